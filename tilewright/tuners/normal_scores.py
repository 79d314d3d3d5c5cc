"""Ranks as quantiles of the normal distribution, which no outlier stretches."""

import numpy as np

from tilewright.tuners.prior import Vector


def normal_scores(values: Vector) -> Vector:
    """Return for each value the normal quantile of its rank; equal values have equal scores."""
    return NormalScale(values)(values)


class NormalScale:
    """Maps values to normal quantiles of their place among reference values."""

    def __init__(self, reference: Vector) -> None:
        self._sorted = np.sort(reference)

    def __call__(self, values: Vector) -> Vector:
        """Return the scores of values."""
        from scipy.special import ndtri

        size = len(self._sorted)
        below = np.searchsorted(self._sorted, values, side="left")
        upto = np.searchsorted(self._sorted, values, side="right")
        return np.asarray(ndtri(((below + upto) / 2 + 0.5) / (size + 1)))
