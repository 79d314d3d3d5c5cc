"""What a tuning run found."""

from dataclasses import asdict, dataclass
from typing import Any

from tilewright.compiler.errors import TilewrightError


@dataclass(frozen=True, slots=True)
class Best:
    """The configuration that ships, and its speed in the play-off."""

    seconds: float
    gflops: float
    config: dict[str, Any]
    index: int


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast the untuned default is."""

    seconds: float
    gflops: float


@dataclass(frozen=True, slots=True)
class TuneResult:
    """What a run found; the attributes are the keys of the command's JSON.

    ``trials`` were measured by this run, ``reused`` were in the database at its start; ``failed`` counts the
    failures of both by state.
    """

    op: str
    workload: dict[str, Any]
    best: Best | None
    default: Speed | None
    trials: int
    reused: int
    failed: dict[str, int]
    elapsed_seconds: float
    trials_per_second: float

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


class NoValidConfig(TilewrightError):  # noqa: N818 - the name is part of the contract
    """Every trial of a workload failed; ``result`` holds what is known."""

    def __init__(self, message: str, result: TuneResult) -> None:
        super().__init__(message)
        self.result = result


class TuningInterrupted(KeyboardInterrupt):
    """Ctrl-C ended a run; every finished trial is stored, and ``result`` holds what is known."""

    def __init__(self, result: TuneResult) -> None:
        super().__init__("tuning was interrupted; every finished trial is stored")
        self.result = result
