"""What a run of several workloads found."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tilewright.compiler.errors import TilewrightError
from tilewright.tuners.task_scheduler import Objective, evaluate
from tilewright.tuning.result import TuneResult


@dataclass(frozen=True, slots=True)
class Total:
    """The weighted sum of the workloads' seconds, or the value of the objective that was given.

    None where a workload has no valid kernel, or its default none.
    """

    default: float | None
    best: float | None


@dataclass(frozen=True, slots=True)
class TuneAllResult:
    """What a run of several workloads found; the attributes are the keys of the command's JSON.

    Attributes:
        results: of each workload, equal ones taken together, in the order in which they were given.
        weights: of each.
        total: before and after.
        trials: measured by this run.
        reused: in the database at its start.
        elapsed_seconds: of the whole run.
        trials_per_second: of the whole run.
    """

    results: tuple[TuneResult, ...]
    weights: tuple[float, ...]
    total: Total
    trials: int
    reused: int
    elapsed_seconds: float
    trials_per_second: float

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "results": [result.to_json() for result in self.results]}


class IncompleteTuningError(TilewrightError):
    """A workload has no valid kernel; ``result`` holds what is known of all."""

    def __init__(self, message: str, result: TuneAllResult) -> None:
        super().__init__(message)
        self.result = result


class TuneAllInterrupted(KeyboardInterrupt):
    """Ctrl-C ended a run; every finished trial is stored, and ``result`` holds what is known."""

    def __init__(self, result: TuneAllResult) -> None:
        super().__init__("tuning was interrupted; every finished trial is stored")
        self.result = result


def gather_results(
    results: Sequence[TuneResult], weights: Sequence[float], objective: Objective | None, elapsed: float
) -> TuneAllResult:
    """The result of a run from those of its workloads."""
    default = [None if r.default is None else r.default.seconds for r in results]
    best = [None if r.best is None else r.best.seconds for r in results]
    trials = sum(result.trials for result in results)
    return TuneAllResult(
        results=tuple(results),
        weights=tuple(weights),
        total=Total(_total(default, weights, objective), _total(best, weights, objective)),
        trials=trials,
        reused=sum(result.reused for result in results),
        elapsed_seconds=elapsed,
        trials_per_second=trials / elapsed if elapsed > 0 else 0.0,
    )


def _total(
    costs: Sequence[float | None], weights: Sequence[float], objective: Objective | None
) -> float | None:
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return None
    if objective is not None:
        return evaluate(objective, known)
    return sum(weight * cost for weight, cost in zip(weights, known, strict=True))
