"""Slices: runs of one piece of code, long enough for the clock and short enough to pass undisturbed."""

from collections.abc import Callable
from dataclasses import dataclass

from tilewright.measure.core_time import CoreTime, Meter, share_of

Runner = Callable[[int], int]  # calls to make -> nanoseconds they took

NANOSECOND = 1e-9
_MAXIMUM_REPEATS = 1 << 26
_SHORTEST = 8  # a slice that was disturbed again and again has this part of its calls
_BLIND = CoreTime(0)


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice showed.

    Attributes:
        seconds: of one call, while it ran.
        is_whole: nothing else had the core meanwhile; only such slices count where there are enough.
        lost_seconds: in which it did not run.
    """

    seconds: float
    is_whole: bool
    lost_seconds: float = 0.0


class Slicer:
    """Takes slices of a runner; each that is disturbed makes the next ones shorter.

    A process that competes for its core runs for a few milliseconds at a time. Shorter slices fit in between.
    """

    def __init__(self, run: Runner, repeats: int, meter: Meter | None) -> None:
        self._run, self._meter = run, meter
        self._repeats, self._fewest = repeats, max(1, repeats // _SHORTEST)

    def take(self) -> Slice:
        """Run once."""
        repeats = self._repeats
        found = run_slice(self._run, repeats, self._meter)
        if not found.is_whole:
            self._repeats = max(self._fewest, repeats // 2)
        return found


def run_slice(run: Runner, repeats: int, meter: Meter | None) -> Slice:
    """Run a number of calls; without a meter a slice is taken to be whole."""
    before = meter() if meter is not None else _BLIND
    elapsed = max(1, run(repeats))
    if meter is None:
        return Slice(elapsed * NANOSECOND / repeats, True)
    share = share_of(elapsed, before, meter())
    # A call and its return alone take a nanosecond.
    ran = elapsed if share.is_whole else min(elapsed, max(repeats, share.nanoseconds))
    return Slice(ran * NANOSECOND / repeats, share.is_whole, (elapsed - ran) * NANOSECOND)


def fill_slice(run: Runner, slice_seconds: float, meter: Meter | None = None) -> int:
    """The number of calls that takes about `slice_seconds`."""
    repeats = 1
    while True:
        seconds = run_slice(run, repeats, meter).seconds
        if seconds * repeats >= slice_seconds / 2 or repeats >= _MAXIMUM_REPEATS:
            return max(1, min(_MAXIMUM_REPEATS, round(slice_seconds / seconds)))
        # A short run says little about the speed: grow by ten at most.
        repeats = min(_MAXIMUM_REPEATS, repeats * 10, max(2 * repeats, int(slice_seconds / seconds)))
