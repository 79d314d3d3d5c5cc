"""Tuners on recorded spaces: what they would have found, without measuring anything."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median
from typing import Any

from tilewright.logs.formats.recorded_space import RecordedSpace
from tilewright.tuners import Observation, batch_size, make_tuner

MARKS = (25, 50, 100, 200)
GOAL = 0.95

Curve = list[float]


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """How fast a tuner got near the best of a recorded space, over seeds.

    Attributes:
        space: its name.
        size: how many configurations it has.
        tuner: its name.
        fraction_of_optimum: the lowest cost of the space over the lowest found after so many evaluations:
            the mean; None where fewer were made.
        evaluations_to_95: until the best found is 95 % as fast as the best of the space: the median; None
            where half of the seeds never came so far.
    """

    space: str
    size: int
    tuner: str
    fraction_of_optimum: dict[int, float | None]
    evaluations_to_95: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "space": self.space,
            "size": self.size,
            "tuner": self.tuner,
            "fraction_of_optimum": {str(mark): value for mark, value in self.fraction_of_optimum.items()},
            "evaluations_to_95": self.evaluations_to_95,
        }


def replay(
    recorded: RecordedSpace,
    tuner: str,
    *,
    trials: int = 200,
    seeds: int = 20,
    warm: Sequence[RecordedSpace] = (),
    run: Callable[[Callable[[int], Curve], Iterable[int]], Iterable[Curve]] = map,
) -> ReplayResult:
    """Let a tuner search a recorded space once for each of the seeds 0, 1, ...

    Args:
        recorded: the space and its costs.
        tuner: a name of `TUNERS`.
        trials: evaluations of one search; a failed one counts, none is repeated.
        seeds: how many searches.
        warm: recordings of other machines or shapes, which `xgb` may learn from before it begins.
        run: calls a function with each seed; `map` of an executor does so in other processes.

    Raises:
        TunerError: there is no such tuner.
    """
    curves = list(run(partial(search, recorded, tuner, trials), range(seeds)))
    return summarize(recorded, tuner, curves, trials)


def search(recorded: RecordedSpace, tuner: str, trials: int, seed: int) -> Curve:
    """The share of the optimum's speed that the best has after each evaluation, a failed one counting too."""
    chosen = make_tuner(tuner, recorded.space, seed)
    optimum, best = recorded.optimum, math.inf
    curve: Curve = []
    while len(curve) < trials and (
        batch := chosen.next_batch(min(batch_size(len(curve)), trials - len(curve)))
    ):
        seen = [Observation(config, recorded.costs[config.index]) for config in batch]
        chosen.update(seen)
        for observation in seen:
            if observation.cost_seconds is not None:
                best = min(best, observation.cost_seconds)
            curve.append(optimum / best)
    return curve


def summarize(recorded: RecordedSpace, tuner: str, curves: Sequence[Curve], trials: int) -> ReplayResult:
    """What curves of several seeds have in common."""
    fractions = {
        mark: fmean(_at(curve, mark) for curve in curves) if mark <= trials else None for mark in MARKS
    }
    evaluations = median(_evaluations(curve) for curve in curves)
    return ReplayResult(
        space=recorded.name,
        size=len(recorded.costs),
        tuner=tuner,
        fraction_of_optimum=fractions,
        evaluations_to_95=evaluations if math.isfinite(evaluations) else None,
    )


def _at(curve: Curve, mark: int) -> float:
    """The value after `mark` evaluations; the last one where the space had fewer."""
    return curve[min(mark, len(curve)) - 1] if curve else 0.0


def _evaluations(curve: Curve) -> float:
    return next((count for count, share in enumerate(curve, 1) if share >= GOAL), math.inf)
