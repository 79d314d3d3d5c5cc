"""A whole search on a simulated machine: every candidate is timed, the best few play off with the default."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from tests.simulated_machine import Machine
from tilewright.measure.playoff import PlayoffPlan, PlayoffResult, play_off
from tilewright.measure.timing import Timing, TimingPlan, time_kernel
from tilewright.tuning.finalists import count_finalists

# Seconds of one call of each candidate of the known space: four within 5 % of the best, then steps of 3 %.
# The default, the first, takes one and a half times the best time.
COSTS = (
    1.5e-4,
    *(1e-4 * factor for factor in (1.0, 1.01, 1.02, 1.045, *(1.07 * 1.03**i for i in range(20)))),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found; `winner` and the keys are places in the space."""

    winner: int
    timings: dict[int, Timing]
    playoff: PlayoffResult


def search(machine: Machine, seed: int, costs: Sequence[float] = COSTS, sigma: float = 0.01) -> Found:
    """Search as a run does, with noise of `sigma` on every slice."""
    chance = random.Random(seed)
    order = list(range(1, len(costs)))
    chance.shuffle(order)
    runners = [
        machine.runner(str(i), cost, lambda: 1 + abs(chance.gauss(0, sigma))) for i, cost in enumerate(costs)
    ]
    reference, best = machine.reference(), None
    timings: dict[int, Timing] = {}
    for i in (0, *order):
        timing = time_kernel(runners[i], reference, TimingPlan(), best, machine.clock, meter=machine.meter)
        timings[i] = timing
        if not timing.is_slow:
            best = timing.seconds if best is None else min(best, timing.seconds)
    ranked = sorted(timings, key=lambda i: timings[i].seconds)
    count = count_finalists([timings[i].seconds for i in ranked])
    finalists = [0, *[i for i in ranked if i != 0][:count]]
    result = play_off(
        [runners[i] for i in finalists], reference, 0, PlayoffPlan(), machine.clock, machine.meter
    )
    assert result.winner is not None
    return Found(finalists[result.winner], timings, result)


def plain_search(machine: Machine, seed: int, costs: Sequence[float] = COSTS, sigma: float = 0.01) -> int:
    """The winner of a plain harness: the mean of ten samples of 10 ms each, nothing beside them."""
    chance = random.Random(seed)
    means = []
    for i, cost in enumerate(costs):
        run = machine.runner(str(i), cost, lambda: 1 + abs(chance.gauss(0, sigma)))
        means.append(mean(run(round(0.01 / cost)) for _ in range(10)) / round(0.01 / cost))
    return means.index(min(means))


def is_good(place: int, costs: Sequence[float] = COSTS) -> bool:
    """Whether a candidate is within 5 % of the quiet winner."""
    return costs[place] <= 1.05 * min(costs)
