"""The play-off: the best few candidates and the default, timed in turns and compared in pairs.

In each round every candidate runs one slice, so that what disturbs a round disturbs all of them. The ratios
of a round, not the times, are compared: the interval of their median is that of the order statistics, which
assumes nothing of the noise. A slice in which the process lost its core is taken again.

Trials that were taken seconds apart misjudge candidates by more than these differ, so many are let in, and
those behind drop out after a few rounds (successive halving: Jamieson and Talwalkar, AISTATS 2016).
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from tilewright.measure.core_time import Meter
from tilewright.measure.paired import paired_cost, paired_ratio, scaled_cost
from tilewright.measure.result import MeasureSetupError, State
from tilewright.measure.slices import Runner, Slicer, fill_slice
from tilewright.measure.timing import Clock, ReferenceLoop


class PlayoffPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a play-off is held.

    Attributes:
        rounds: slices of each candidate that stays to the end.
        cuts: after so many rounds, how many stay beside the default: those of the lowest ratios.
        fewest_rounds: that are run however long they take; fewer than 8 cannot be significant.
        slice_seconds: calls are repeated to fill about this time.
        reference_slice_seconds: passes of the reference are repeated to fill about this time.
        longest_seconds: after which no further round begins.
        retakes: of a slice that was disturbed.
        warmed_seconds: calls that are shorter are preceded by one that does not count, since the others have
            driven its constants out of the caches.
    """

    rounds: int = 64
    cuts: tuple[tuple[int, int], ...] = ((8, 8), (16, 4))
    fewest_rounds: int = 8
    slice_seconds: float = 0.004
    reference_slice_seconds: float = 0.001
    longest_seconds: float = 10.0
    retakes: int = 6
    warmed_seconds: float = 0.01


class PlayoffEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one candidate fared.

    Attributes:
        state: `ok`, or why it could not take part.
        costs: seconds of one call in each round that it took part in, which are the first ones.
        seconds: its cost: the default's, corrected by the reference, times the ratio.
        interval: of the cost; the default's is the range over groups of slices.
        ratio: median of its time over the default's, in the same round.
        ratio_interval: of that median.
        reference_ratio: its cost over one pass of the reference loop.
        error: why it could not take part.
    """

    state: State
    costs: tuple[float, ...] = ()
    seconds: float | None = None
    interval: tuple[float, float] | None = None
    ratio: float | None = None
    ratio_interval: tuple[float, float] | None = None
    reference_ratio: float | None = None
    error: str | None = None


class PlayoffResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The outcome of a play-off.

    Attributes:
        entries: in the order of the candidates.
        winner: index of the candidate that ships; None when none could run.
        rounds: that were timed.
    """

    entries: tuple[PlayoffEntry, ...]
    winner: int | None
    rounds: int = 0

    @property
    def best(self) -> PlayoffEntry | None:
        """The winner's entry."""
        return None if self.winner is None else self.entries[self.winner]


@dataclass(frozen=True, slots=True)
class _Rounds:
    slices: tuple[list[float], ...]
    reference: list[float]


def play_off(
    runners: Sequence[Runner],
    reference: ReferenceLoop,
    default: int,
    plan: PlayoffPlan,
    clock: Clock = time.monotonic,
    meter: Meter | None = None,
) -> PlayoffResult:
    """Hold a play-off.

    Args:
        runners: one a candidate.
        reference: by which the costs are corrected.
        default: index of the candidate that ships unless another beats it significantly.
        plan: how.
        clock: seconds that only grow.
        meter: of the processor time that the slices are given.
    """
    if not 0 <= default < len(runners):
        raise MeasureSetupError(f"play-off of {len(runners)} candidates: there is no default {default}")
    rounds = _run_rounds(runners, reference, default, plan, clock, meter)
    entries = tuple(_score(rounds, i, default, reference) for i in range(len(runners)))
    return PlayoffResult(entries, choose_winner(entries, default), len(rounds.reference))


def choose_winner(entries: Sequence[PlayoffEntry], default: int) -> int:
    """The default, unless the whole interval of another's ratio lies below 1; of several, the lowest ratio.

    Equal ratios go to the first. Who dropped out does not win.
    """
    winner, lowest = default, 1.0
    for i, entry in enumerate(entries):
        has_left = len(entry.costs) < len(entries[default].costs)
        if i == default or has_left or entry.ratio is None or entry.ratio_interval is None:
            continue
        if entry.ratio_interval[1] < 1.0 and entry.ratio < lowest:
            winner, lowest = i, entry.ratio
    return winner


def _run_rounds(
    runners: Sequence[Runner],
    reference: ReferenceLoop,
    default: int,
    plan: PlayoffPlan,
    clock: Clock,
    meter: Meter | None,
) -> _Rounds:
    start = clock()
    slicers = [Slicer(run, fill_slice(run, plan.slice_seconds, meter), meter) for run in runners]
    passes = Slicer(reference.run, reference.repeats(plan.reference_slice_seconds), meter)
    rounds = _Rounds(tuple([] for _ in runners), [])
    staying, cuts = list(range(len(runners))), dict(plan.cuts)

    def is_late() -> bool:
        return clock() - start >= plan.longest_seconds

    for number in range(plan.rounds):
        if number >= plan.fewest_rounds and is_late():
            break
        if number in cuts:
            staying = _cut(rounds, staying, default, cuts[number])
        rounds.reference.append(_take(passes, plan.retakes, is_late))
        for step in range(len(staying)):
            i = staying[(number + step) % len(staying)]  # nobody always follows the same neighbour
            taken = rounds.slices[i]
            if taken and taken[-1] < plan.warmed_seconds:
                runners[i](1)
            taken.append(_take(slicers[i], plan.retakes, is_late))
    return rounds


def _cut(rounds: _Rounds, staying: list[int], default: int, count: int) -> list[int]:
    """The default and the `count` others of the lowest ratios to it, in their order."""
    ratios = {i: _median_ratio(rounds.slices[i], rounds.slices[default]) for i in staying if i != default}
    best = sorted(ratios, key=ratios.__getitem__)[:count]
    return [i for i in staying if i == default or i in best]


def _median_ratio(own: Sequence[float], other: Sequence[float]) -> float:
    return statistics.median(mine / theirs for mine, theirs in zip(own, other, strict=True))


def _take(slicer: Slicer, retakes: int, is_late: Callable[[], bool]) -> float:
    """Seconds of one call in a slice, undisturbed if one of several is."""
    found = slicer.take()
    while not found.is_whole and retakes > 0 and not is_late():
        found, retakes = slicer.take(), retakes - 1
    return found.seconds


def _score(rounds: _Rounds, index: int, default: int, reference: ReferenceLoop) -> PlayoffEntry:
    """How a candidate fared: its cost is the default's times their ratio, so that both say the same."""
    nominal, own, others = reference.nominal_seconds, rounds.slices[index], rounds.slices[default]
    seconds, interval = paired_cost(others, rounds.reference, nominal)
    if index != default:
        seconds, interval = scaled_cost(own, others, seconds)
    ratio, ratio_interval = paired_ratio(own, others)
    return PlayoffEntry(
        state="ok",
        costs=tuple(own),
        seconds=seconds,
        interval=interval,
        ratio=ratio,
        ratio_interval=ratio_interval,
        reference_ratio=seconds / nominal,
    )
