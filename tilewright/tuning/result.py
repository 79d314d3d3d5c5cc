"""What a tuning run found."""

from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from tilewright.compiler.errors import TilewrightError
from tilewright.logs.errors import DatabaseError
from tilewright.logs.record import Record
from tilewright.measure.paired import paired_ratio

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Gain:
    """By how much the untuned default is slower: the median over the rounds of the play-off.

    Attributes:
        ratio: the default's time over the winner's, in the same round.
        interval: in which the median lies but for a chance of one in a hundred; None after too few rounds.
    """

    ratio: float
    interval: tuple[float, float] | None


def measure_gain(default: Record, winner: Record) -> Gain | None:
    """The gain of a play-off's winner, from the samples of both; their rounds are in the same order."""
    if default.config == winner.config or len(default.costs) != len(winner.costs):
        return None
    return Gain(*paired_ratio(default.costs, winner.costs))


@dataclass(frozen=True, slots=True)
class Best:
    """The configuration that ships, and its speed in the play-off.

    The JSON of the command has the first four attributes; the others follow from the records of the play-off.

    Attributes:
        interval: the range of the seconds over groups of samples.
        gain: over the untuned default; None where that ships, or where both were not timed in turns.
    """

    seconds: float
    gflops: float
    config: dict[str, Any]
    index: int
    interval: tuple[float, float] | None = None
    gain: Gain | None = None


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
        data = asdict(self)
        if data["best"] is not None:
            data["best"] = {name: data["best"][name] for name in ("seconds", "gflops", "config", "index")}
        return data


class NoValidConfig(TilewrightError):  # noqa: N818 - the name is part of the contract
    """Every trial of a workload failed; ``result`` holds what is known."""

    def __init__(self, message: str, result: TuneResult) -> None:
        super().__init__(message)
        self.result = result


class RecordsNotStored(DatabaseError, Generic[R]):  # noqa: N818 - says what happened, as its neighbours do
    """The database could not be written; ``result`` holds what is known, the best included."""

    def __init__(self, message: str, result: R) -> None:
        super().__init__(message)
        self.result = result


class TuningInterrupted(KeyboardInterrupt):
    """Ctrl-C ended a run; every finished trial is stored, and ``result`` holds what is known."""

    def __init__(self, result: TuneResult) -> None:
        super().__init__("tuning was interrupted; every finished trial is stored")
        self.result = result
