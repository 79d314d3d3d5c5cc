"""Tuners on recorded spaces: what they would have found, without measuring anything."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median, pstdev
from typing import Any

from tilewright.logs.errors import RecordError
from tilewright.logs.formats.recorded_space import RecordedSpace
from tilewright.tuners import Observation, Prior, Tuner, batch_size, make_tuner
from tilewright.tuners.transfer import TransferPrior

MARKS = (25, 50, 100, 200)
GOAL = 0.95

_log = logging.getLogger(__name__)

Curve = list[float]
TunerMaker = Callable[..., Tuner]


@dataclass(frozen=True, slots=True)
class Search:
    """One search of a recorded space.

    Attributes:
        curve: the share of the optimum's speed that the best has after each evaluation.
        seconds: of the tuner's own work.
    """

    curve: Curve
    seconds: float


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """How fast a tuner got near the best of a recorded space, over seeds.

    Attributes:
        space: its name.
        size: how many configurations it has.
        tuner: its name.
        fraction_of_optimum: the lowest cost of the space over the lowest found after so many evaluations:
            the mean; None where fewer were made.
        spread: the standard deviation of these fractions over the seeds.
        evaluations_to_95: until the best found is 95 % as fast as the best of the space: the median; None
            where half of the seeds never came so far.
        seconds_per_100: the tuner's own work for a hundred evaluations: the median.
        curves: of each seed.
    """

    space: str
    size: int
    tuner: str
    fraction_of_optimum: dict[int, float | None]
    spread: dict[int, float | None]
    evaluations_to_95: float | None
    seconds_per_100: float
    curves: tuple[Curve, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data, without the curves."""
        return {
            "space": self.space,
            "size": self.size,
            "tuner": self.tuner,
            "fraction_of_optimum": {str(mark): value for mark, value in self.fraction_of_optimum.items()},
            "spread": {str(mark): value for mark, value in self.spread.items()},
            "evaluations_to_95": self.evaluations_to_95,
            "seconds_per_100": self.seconds_per_100,
        }


def replay(
    recorded: RecordedSpace,
    tuner: str,
    *,
    trials: int = 200,
    seeds: int = 20,
    warm: Sequence[RecordedSpace] = (),
    make: TunerMaker = make_tuner,
    run: Callable[[Callable[[int], Search], Iterable[int]], Iterable[Search]] = map,
) -> ReplayResult:
    """Let a tuner search a recorded space once for each of the seeds 0, 1, ...

    Args:
        recorded: the space and its costs.
        tuner: a name of `TUNERS`, or one that `make` knows.
        trials: evaluations of one search; a failed one counts, none is repeated.
        seeds: how many searches.
        warm: recordings of other machines or shapes, which `xgb` knows before it begins.
        make: makes a tuner of a name, a space, a seed and `priors`.
        run: calls a function with each seed; `map` of an executor does so in other processes.

    Raises:
        TunerError: there is no such tuner.
        RecordError: a recording in `warm` has other knobs.
    """
    priors = tuple(_priors(recorded, warm))
    searches = list(run(partial(search, recorded, tuner, trials, priors=priors, make=make), range(seeds)))
    return summarize(recorded, tuner, searches, trials)


def _priors(recorded: RecordedSpace, warm: Sequence[RecordedSpace]) -> Iterator[Prior]:
    """What other recordings tell; nothing more, with a warning, once a model of them fails."""
    for source in warm:
        trials = [(source.space.config(index).to_json(), cost) for index, cost in source.costs.items()]
        try:
            prior = TransferPrior.fit(recorded.space, trials)
        except Exception as error:  # a search without them is better than none
            _log.warning("the recordings of other machines are left aside: %s", error)
            return
        if prior is None:
            raise RecordError(
                f"{source.name} cannot warm a search of {recorded.name}: it has too few trials, or its knobs "
                f"are {', '.join(source.space.names)} and not {', '.join(recorded.space.names)}"
            )
        yield prior


def search(
    recorded: RecordedSpace,
    tuner: str,
    trials: int,
    seed: int,
    *,
    priors: Sequence[Prior] = (),
    make: TunerMaker = make_tuner,
) -> Search:
    """Search a recorded space once; an evaluation that failed counts too."""
    optimum, best = recorded.optimum, math.inf
    curve: Curve = []
    begun = time.process_time()
    chosen = make(tuner, recorded.space, seed, priors=priors)
    while len(curve) < trials and (
        batch := chosen.next_batch(min(batch_size(len(curve)), trials - len(curve)))
    ):
        seen = [Observation(config, recorded.costs[config.index]) for config in batch]
        chosen.update(seen)
        for observation in seen:
            if observation.cost_seconds is not None:
                best = min(best, observation.cost_seconds)
            curve.append(optimum / best)
    return Search(curve, time.process_time() - begun)


def summarize(recorded: RecordedSpace, tuner: str, searches: Sequence[Search], trials: int) -> ReplayResult:
    """What searches with several seeds have in common."""
    curves = tuple(search.curve for search in searches)
    at_marks = {mark: [_at(curve, mark) for curve in curves] for mark in MARKS if mark <= trials}
    evaluations = median(_evaluations(curve) for curve in curves)
    return ReplayResult(
        space=recorded.name,
        size=len(recorded.costs),
        tuner=tuner,
        fraction_of_optimum={mark: fmean(at_marks[mark]) if mark in at_marks else None for mark in MARKS},
        spread={mark: pstdev(at_marks[mark]) if mark in at_marks else None for mark in MARKS},
        evaluations_to_95=evaluations if math.isfinite(evaluations) else None,
        seconds_per_100=median(100 * search.seconds / max(len(search.curve), 1) for search in searches),
        curves=curves,
    )


def _at(curve: Curve, mark: int) -> float:
    """The value after `mark` evaluations; the last one where the space had fewer."""
    return curve[min(mark, len(curve)) - 1] if curve else 0.0


def _evaluations(curve: Curve) -> float:
    return next((count for count, share in enumerate(curve, 1) if share >= GOAL), math.inf)
