"""Timing several ways to compute the same, in turns: what disturbs one slice disturbs its neighbours too."""

import time
from collections.abc import Callable, Mapping

from tilewright.measure.slices import Runner, fill_slice

ROUNDS = 24
FEWEST_ROUNDS = 3
SLICE_SECONDS = 0.004
LONGEST_SECONDS = 10.0


def make_runner(call: Callable[[], object]) -> Runner:
    """A runner of a Python call: calls to make -> nanoseconds that they took."""

    def run(repeats: int) -> int:
        start = time.perf_counter_ns()
        for _ in range(repeats):
            call()
        return time.perf_counter_ns() - start

    return run


def time_in_turns(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The seconds of one call of each: the least over slices that alternate."""
    runners = {name: make_runner(call) for name, call in calls.items()}
    repeats = {name: fill_slice(run, SLICE_SECONDS) for name, run in runners.items()}
    best = dict.fromkeys(runners, float("inf"))
    names = list(runners)
    deadline = time.monotonic() + LONGEST_SECONDS
    for number in range(ROUNDS):
        if number >= FEWEST_ROUNDS and time.monotonic() > deadline:
            break
        for step in range(len(names)):
            name = names[(number + step) % len(names)]  # nobody always follows the same neighbour
            best[name] = min(best[name], runners[name](repeats[name]) / repeats[name] * 1e-9)
    return best
