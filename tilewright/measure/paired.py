"""What two contestants that took turns say of each other: minima, or ratios of neighbouring slices.

Minima serve beside a loop that differs in kind, since a disturbance slows the two by different factors.
Ratios serve between kernels of one operator, which are disturbed alike.
"""

import math
import statistics
from collections.abc import Sequence

SIGNIFICANCE = 0.01  # the chance that the median of ratios lies outside its interval

_GROUPS = 5


def paired_cost(
    kernel_slices: Sequence[float], reference_slices: Sequence[float], nominal_seconds: float
) -> tuple[float, tuple[float, float]]:
    """The cost from the minima of all slices, and its range over interleaved groups of them."""
    seconds = min(kernel_slices) / min(reference_slices) * nominal_seconds
    groups = min(_GROUPS, len(kernel_slices))
    found = [
        min(kernel_slices[i::groups]) / min(reference_slices[i::groups]) * nominal_seconds
        for i in range(groups)
    ]
    return seconds, (min(seconds, *found), max(seconds, *found))


def scaled_cost(
    kernel_slices: Sequence[float], reference_slices: Sequence[float], nominal_seconds: float
) -> tuple[float, tuple[float, float]]:
    """The cost from the median ratio of neighbouring slices, and its interval; of few slices, their range."""
    ratio, interval = paired_ratio(kernel_slices, reference_slices, SIGNIFICANCE)
    low, high = interval or _range(kernel_slices, reference_slices)
    return nominal_seconds * ratio, (nominal_seconds * low, nominal_seconds * high)


def paired_ratio(
    own: Sequence[float], other: Sequence[float], significance: float = SIGNIFICANCE
) -> tuple[float, tuple[float, float] | None]:
    """The median of the ratios of two candidates' slices, in the rounds of both, and its interval.

    The interval is None where there are too few rounds for one.
    """
    logarithms = [math.log(mine / theirs) for mine, theirs in zip(own, other, strict=False)]
    low, high = median_interval(logarithms, significance)
    finite = math.isfinite(low) and math.isfinite(high)
    return math.exp(statistics.median(logarithms)), (math.exp(low), math.exp(high)) if finite else None


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


def _range(own: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    ratios = [mine / theirs for mine, theirs in zip(own, other, strict=False)]
    return min(ratios), max(ratios)
