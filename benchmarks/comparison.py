"""Ratios of speeds that were measured side by side, with intervals for their medians."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import comb

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two speeds: its median over the rounds, and the interval of that median."""

    median: float
    low: float
    high: float

    def reaches(self, wanted: float) -> bool:
        """Whether the ratio may be ``wanted`` or more: the upper end of the interval is."""
        return self.high >= wanted

    def to_json(self) -> dict[str, float]:
        """As plain data."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]"


def speed_ratio(times: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> Ratio:
    """How much faster what took ``times`` is than what took ``others`` in the same rounds."""
    ratios = others / times
    return Ratio(float(np.median(ratios)), *median_interval(ratios))


def median_interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The interval between two of the sorted values that holds the median with 95 % confidence.

    Nothing is assumed of the distribution. Of five values or fewer it is the whole range, which holds the
    median with less confidence.
    """
    ordered, count = np.sort(values), len(values)
    outside = 0.0  # the chance that so few values lie below the median
    rank = 0
    while rank < (count - 1) // 2:
        outside += comb(count, rank) / 2**count
        if outside > (1 - CONFIDENCE) / 2:
            break
        rank += 1
    rank = max(1, rank)
    return float(ordered[rank - 1]), float(ordered[count - rank])


def geometric_mean(values: Iterable[float]) -> float:
    """Of positive values."""
    return float(np.exp(np.mean(np.log(list(values)))))
