"""The play-off: the best few candidates and the default, timed in turns and compared in pairs.

In each round every candidate runs one slice, so that what disturbs a round disturbs all of them. The ratios
of a round, not the times, are compared: the interval of their median is that of the order statistics, which
assumes nothing of the noise.
"""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from tilewright.measure.result import MeasureSetupError, State
from tilewright.measure.timing import Clock, ReferenceLoop, Runner, fill_slice, paired_cost

_NANOSECOND = 1e-9


class PlayoffPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a play-off is held.

    Attributes:
        rounds: slices of each candidate.
        fewest_rounds: that are run however long they take; fewer than 8 cannot be significant.
        slice_seconds: calls are repeated to fill about this time.
        reference_slice_seconds: passes of the reference are repeated to fill about this time.
        longest_seconds: after which no further round begins.
        significance: the chance at which equal candidates are told apart.
    """

    rounds: int = 24
    fewest_rounds: int = 8
    slice_seconds: float = 0.004
    reference_slice_seconds: float = 0.001
    longest_seconds: float = 10.0
    significance: float = 0.01


class PlayoffEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one candidate fared.

    Attributes:
        state: `ok`, or why it could not take part.
        seconds: its cost, corrected by the reference.
        interval: the range of the cost over groups of slices.
        ratio: median of its time over the default's, in the same round.
        ratio_interval: of that median.
        reference_ratio: its cost over one pass of the reference loop.
        error: why it could not take part.
    """

    state: State
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
) -> PlayoffResult:
    """Hold a play-off.

    Args:
        runners: one a candidate.
        reference: by which the costs are corrected.
        default: index of the candidate that ships unless another beats it significantly.
        plan: how.
        clock: seconds that only grow.
    """
    if not 0 <= default < len(runners):
        raise MeasureSetupError(f"play-off of {len(runners)} candidates: there is no default {default}")
    rounds = _run_rounds(runners, reference, plan, clock)
    entries = tuple(_score(rounds, i, default, reference, plan) for i in range(len(runners)))
    return PlayoffResult(entries, choose_winner(entries, default), len(rounds.reference))


def choose_winner(entries: Sequence[PlayoffEntry], default: int) -> int:
    """The default, unless the whole interval of another's ratio lies below 1; of several, the lowest ratio.

    Equal ratios go to the first.
    """
    winner, lowest = default, 1.0
    for i, entry in enumerate(entries):
        if i == default or entry.ratio is None or entry.ratio_interval is None:
            continue
        if entry.ratio_interval[1] < 1.0 and entry.ratio < lowest:
            winner, lowest = i, entry.ratio
    return winner


def median_interval(values: Sequence[float], significance: float) -> tuple[float, float]:
    """The interval of the median from order statistics; infinite when there are too few values."""
    ordered, count = sorted(values), len(values)
    rank, tail = 0, 0.0
    while rank < count // 2:
        tail += math.comb(count, rank) / 2**count
        if 2 * tail > significance:
            break
        rank += 1
    if rank == 0:
        return -math.inf, math.inf
    return ordered[rank - 1], ordered[count - rank]


def _run_rounds(
    runners: Sequence[Runner], reference: ReferenceLoop, plan: PlayoffPlan, clock: Clock
) -> _Rounds:
    start = clock()
    repeats = [fill_slice(run, plan.slice_seconds) for run in runners]
    passes = reference.repeats(plan.reference_slice_seconds)
    rounds = _Rounds(tuple([] for _ in runners), [])
    for number in range(plan.rounds):
        if number >= plan.fewest_rounds and clock() - start >= plan.longest_seconds:
            break
        rounds.reference.append(reference.slice(passes))
        for step in range(len(runners)):
            i = (number + step) % len(runners)  # nobody always follows the same neighbour
            rounds.slices[i].append(max(1, runners[i](repeats[i])) * _NANOSECOND / repeats[i])
    return rounds


def _score(
    rounds: _Rounds, index: int, default: int, reference: ReferenceLoop, plan: PlayoffPlan
) -> PlayoffEntry:
    nominal = reference.nominal_seconds
    seconds, interval = paired_cost(rounds.slices[index], rounds.reference, nominal)
    pairs = zip(rounds.slices[index], rounds.slices[default], strict=True)
    logarithms = [math.log(own / other) for own, other in pairs]
    low, high = median_interval(logarithms, plan.significance)
    finite = math.isfinite(low) and math.isfinite(high)
    return PlayoffEntry(
        state="ok",
        seconds=seconds,
        interval=interval,
        ratio=math.exp(statistics.median(logarithms)),
        ratio_interval=(math.exp(low), math.exp(high)) if finite else None,
        reference_ratio=seconds / nominal,
    )
