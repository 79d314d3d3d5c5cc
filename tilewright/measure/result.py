"""The values of one trial: what is measured, and what came of it. Strict in both directions."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from tilewright.compiler.errors import TilewrightError

if TYPE_CHECKING:
    from tilewright.compiler.program import Program

State = Literal[
    "ok",
    "slow",
    "invalid",
    "compile_error",
    "compile_timeout",
    "run_timeout",
    "crash",
    "wrong_result",
    "out_of_memory",
    "stale",
]
ReferenceKind = Literal["compute", "bandwidth"]

STATES: tuple[State, ...] = get_args(State)
SHORTEST_SECONDS = 1e-9  # a call and its return alone take longer
LONGEST_SECONDS = 1e5
MAXIMUM_ERROR_LENGTH = 2000


class MeasureSetupError(TilewrightError):
    """Measuring cannot start or go on here: the platform, the worker processes or the request."""


@dataclass(frozen=True, slots=True)
class MeasureInput:
    """One trial to be measured.

    Attributes:
        program: the scheduled program.
        workload: the name under which programs with the same mathematics share inputs and reference.
        seed: of the random inputs.
        reference_kind: the loop timed beside the kernel; `bandwidth` for memory-bound work.
    """

    program: "Program"
    workload: str
    seed: int = 0
    reference_kind: ReferenceKind = "compute"


class MeasureError(msgspec.Struct, frozen=True):
    """Why a trial gave no valid time.

    Attributes:
        cause: the state of the trial.
        message: one line for people.
    """

    cause: State
    message: str


class MeasureResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The outcome of one trial.

    Attributes:
        state: how the trial ended; only `ok` carries a cost that may win.
        costs: seconds of one call, one for each slice.
        seconds: the cost; for `slow` the single observation that stopped the trial.
        interval: the range in which the cost lies, in seconds.
        build_seconds: lowering and code generation together.
        lower_seconds: from the program to the loop nest.
        codegen_seconds: from the loop nest to the object.
        verify_seconds: inputs, first run and comparison.
        run_seconds: timing.
        noisy: the slices disagree more than a quiet machine's do.
        reference_ratio: cost over the time of one pass of the reference loop.
        signal: the name of the signal that ended the worker.
        error: the message of a failed trial.
        flushes_denormals: whether the processor was set to take denormal numbers as zero, where it is known.
    """

    state: State
    costs: tuple[float, ...] = ()
    seconds: float | None = None
    interval: tuple[float, float] | None = None
    build_seconds: float = 0.0
    lower_seconds: float = 0.0
    codegen_seconds: float = 0.0
    verify_seconds: float = 0.0
    run_seconds: float = 0.0
    noisy: bool = False
    reference_ratio: float | None = None
    signal: str | None = None
    error: str | None = None
    flushes_denormals: bool | None = None

    def __post_init__(self) -> None:
        check_costs(self.state, self.costs, self.seconds, self.interval)
        check_ratio(self.reference_ratio)
        phases = (self.build_seconds, self.lower_seconds, self.codegen_seconds)
        check_durations((*phases, self.verify_seconds, self.run_seconds))

    @property
    def failure(self) -> MeasureError | None:
        """The cause and its message; none when the trial gave a time."""
        if self.state in ("ok", "slow"):
            return None
        return MeasureError(self.state, self.error or self.state)

    def to_json(self) -> str:
        """Encode as one line of JSON."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "MeasureResult":
        """Decode strictly; nonsense raises `msgspec.ValidationError`."""
        return msgspec.json.decode(text, type=cls)


def failed(state: State, message: str, signal: str | None = None) -> MeasureResult:
    """The result of a trial without a time."""
    return MeasureResult(state=state, error=message[:MAXIMUM_ERROR_LENGTH], signal=signal)


def check_costs(
    state: State,
    costs: tuple[float, ...],
    seconds: float | None,
    interval: tuple[float, float] | None,
) -> None:
    """Refuse times that no kernel can have, and times where there can be none.

    Raises:
        ValueError: naming the field and its value.
    """
    if state == "ok" and (seconds is None or not costs or interval is None):
        raise ValueError("state ok needs costs, seconds and interval")
    if state not in ("ok", "slow") and (seconds is not None or costs or interval is not None):
        raise ValueError(f"state {state} cannot have a cost")
    for name, values in (("costs", costs), ("interval", interval or ())):
        _check_range(name, values)
    if interval is not None and interval[0] > interval[1]:
        raise ValueError(f"interval {interval} is reversed")
    if seconds is not None:
        _check_range("seconds", (seconds,))
        _check_agreement(seconds, costs)


def check_ratio(ratio: float | None) -> None:
    """Refuse a ratio to the reference loop that is not a positive number."""
    if ratio is not None and not (math.isfinite(ratio) and ratio > 0):
        raise ValueError(f"reference_ratio {ratio} is not a positive number")


def check_durations(durations: Iterable[float]) -> None:
    """Refuse negative, infinite and undefined durations."""
    for duration in durations:
        if not (math.isfinite(duration) and duration >= 0):
            raise ValueError(f"a phase of {duration} seconds is impossible")


def _check_range(name: str, values: Iterable[float]) -> None:
    for value in values:
        if not SHORTEST_SECONDS <= value <= LONGEST_SECONDS:
            raise ValueError(f"{name} of {value} seconds is impossible")


def _check_agreement(seconds: float, costs: tuple[float, ...]) -> None:
    # Scaling by the reference loop moves a cost by the slowdown of the machine, never by a decade.
    if costs and not min(costs) / 10 <= seconds <= max(costs) * 10:
        raise ValueError(f"seconds {seconds} contradicts the costs {min(costs)} to {max(costs)}")
