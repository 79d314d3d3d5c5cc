"""How long one call takes on a machine that others disturb: slices of it and of a reference, in turns.

The time of the reference is known. Where it is a loop that keeps the core or the memory busy,

    cost = min(kernel slice) / min(reference slice) * nominal seconds of the reference

What slows both (frequency, a neighbour) cancels. The spread of this estimate was 1.06 % where that of the
median of plain samples was 2.6 %. Neighbours that take cache and memory slow a short kernel by a tenth and no
such loop as much. Beside another kernel of the same operator, on the same arrays, they do cancel:

    cost = median(kernel slice / reference slice) * seconds of the reference

Slices in which the process did not have its core all the time are dropped.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from tilewright.measure.core_time import Meter
from tilewright.measure.paired import paired_cost, scaled_cost
from tilewright.measure.slices import NANOSECOND, Runner, Slicer, fill_slice, run_slice

Clock = Callable[[], float]

_MINIMUM_SLICES = 3
# Pairs that may be disturbed, and the time that they may take, as multiples of what was asked for.
_PATIENCE = 3
_LATENESS = 2


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
        is_alike: it is another kernel of the operator, which is disturbed as much as the one that is timed.
    """

    run: Runner
    nominal_seconds: float
    is_alike: bool = False

    def repeats(self, slice_seconds: float) -> int:
        """Passes that fill a slice."""
        return max(1, round(slice_seconds / self.nominal_seconds))


@dataclass(frozen=True, slots=True)
class Timing:
    """What timing found.

    Attributes:
        costs: seconds of one call in each slice that counts, as the clock showed them.
        seconds: the cost, corrected by the reference.
        interval: the range of the cost over groups of slices, or of the median of ratios.
        is_noisy: it is wide, or hardly a slice was undisturbed.
        is_slow: stopped at the first run; `seconds` is a lower bound of interest only.
    """

    costs: tuple[float, ...]
    seconds: float
    interval: tuple[float, float]
    is_noisy: bool = False
    is_slow: bool = False


def time_kernel(
    kernel: Runner,
    reference: ReferenceLoop,
    plan: TimingPlan,
    best_seconds: float | None = None,
    clock: Clock = time.monotonic,
    first_seconds: float | None = None,
    meter: Meter | None = None,
) -> Timing:
    """Time a kernel; a noisy result that may be the best gets as many slices again.

    Args:
        kernel: makes a number of calls.
        reference: the loop to alternate with.
        plan: how.
        best_seconds: the lowest cost known, for the early stop.
        clock: seconds that only grow.
        first_seconds: of an undisturbed call that was made already.
        meter: of the processor time that the slices are given; without it all of them count.
    """
    slow = _time_first_run(kernel, reference, plan, best_seconds, first_seconds, meter)
    if slow is not None:
        return slow
    sampler = _Sampler(kernel, reference, plan, clock, meter)
    for slices, factor in plan.stages if best_seconds is not None else ():
        sampler.take(slices, 0.0)
        timing = sampler.conclude()
        if best_seconds is not None and timing.interval[0] > factor * best_seconds:
            return timing
    sampler.take(plan.slices, plan.span_seconds)
    timing = sampler.conclude()
    if not timing.is_noisy or (best_seconds is not None and timing.interval[0] > best_seconds):
        return timing  # the noise hides no new best
    sampler.take(2 * max(plan.slices, sampler.count), plan.span_seconds)
    return sampler.conclude()


def calibrate(run: Runner, plan: TimingPlan, seconds: float = 0.3, clock: Clock = time.monotonic) -> float:
    """The nominal seconds of one pass of a reference loop: its minimum over `seconds` of slices."""
    repeats = fill_slice(run, plan.reference_slice_seconds)
    best = math.inf
    start = clock()
    while clock() - start < seconds or best == math.inf:
        best = min(best, max(1, run(repeats)) * NANOSECOND / repeats)
    return best


def _time_first_run(
    kernel: Runner,
    reference: ReferenceLoop,
    plan: TimingPlan,
    best_seconds: float | None,
    first_seconds: float | None,
    meter: Meter | None,
) -> Timing | None:
    if best_seconds is None:
        return None
    limit = plan.slow_factor * best_seconds
    observed = first_seconds if first_seconds is not None else run_slice(kernel, 1, meter).seconds
    # A run may pay for caches and pages, which a long one hardly feels.
    if limit < observed < plan.cold_seconds:
        observed = min(observed, *(run_slice(kernel, 1, meter).seconds for _ in range(2)))
    if observed <= limit:
        return None
    passes = reference.repeats(plan.reference_slice_seconds)
    speed = reference.nominal_seconds / run_slice(reference.run, passes, meter).seconds
    seconds = observed * min(1.0, speed)
    if seconds <= limit:
        return None
    return Timing((observed,), seconds, (seconds, max(observed, seconds)), is_slow=True)


class _Sampler:
    """Takes slices of a kernel and of the reference in turns, and keeps the pairs that were not disturbed."""

    def __init__(
        self, kernel: Runner, reference: ReferenceLoop, plan: TimingPlan, clock: Clock, meter: Meter | None
    ) -> None:
        self._plan, self._clock, self._nominal = plan, clock, reference.nominal_seconds
        self._estimate = scaled_cost if reference.is_alike else paired_cost
        self._kernel = Slicer(kernel, fill_slice(kernel, plan.slice_seconds, meter), meter)
        self._reference = Slicer(reference.run, reference.repeats(plan.reference_slice_seconds), meter)
        self._whole: list[tuple[float, float]] = []
        self._all: list[tuple[float, float]] = []
        self._lost_seconds = 0.0
        self._start = clock()

    @property
    def count(self) -> int:
        """Undisturbed slices of each."""
        return len(self._whole)

    def take(self, slices: int, span_seconds: float) -> None:
        """Take slices until there are as many and they span the time, or the plan's time is over.

        Where most are disturbed, it gives up.
        """
        while True:
            elapsed = self._clock() - self._start
            few = min(slices, _MINIMUM_SLICES)
            if self.count >= slices and elapsed >= span_seconds:
                return
            if self.count >= few and elapsed - self._lost_seconds >= self._plan.longest_seconds:
                return
            if self._is_hopeless(max(slices, _MINIMUM_SLICES), elapsed):
                return
            self._take_pair()

    def _is_hopeless(self, slices: int, elapsed: float) -> bool:
        disturbed = len(self._all) - self.count
        if disturbed >= _PATIENCE * slices:
            return True
        is_late = elapsed >= _LATENESS * self._plan.longest_seconds
        return is_late and disturbed > self.count and len(self._all) >= _MINIMUM_SLICES

    def _take_pair(self) -> None:
        own, other = self._kernel.take(), self._reference.take()
        self._lost_seconds += own.lost_seconds + other.lost_seconds
        self._all.append((own.seconds, other.seconds))
        if own.is_whole and other.is_whole:
            self._whole.append(self._all[-1])

    def conclude(self) -> Timing:
        """What the slices so far say."""
        has_enough = self.count >= min(_MINIMUM_SLICES, len(self._all))
        kernel, reference = zip(*(self._whole if has_enough else self._all), strict=True)
        seconds, interval = self._estimate(kernel, reference, self._nominal)
        noisy = interval[1] - interval[0] > self._plan.noise_limit * seconds
        return Timing(kernel, seconds, interval, is_noisy=noisy or not has_enough)
