"""What a model learns of costs: scores that no outlier stretches."""

import numpy as np

from tilewright.tuners.prior import Vector

_BAD = 0.75


def cost_scores(costs: Vector) -> Vector:
    """Return a score for each cost, low for fast: the mean of its rank and of its clipped logarithm.

    Ranks, as normal quantiles, tell the good ones apart; logarithms, cut off above the third quartile, tell
    how far apart they are. How bad a bad one is says little of where the best is. A failure is an infinite
    cost.
    """
    ran = np.isfinite(costs)
    if not ran.any():
        return np.zeros(len(costs))
    logs = np.log(np.where(ran, costs, costs[ran].max()))
    logs[~ran] = np.inf
    worst = np.quantile(logs[ran], _BAD) if ran.mean() > _BAD else logs[ran].max()
    clipped = np.minimum(logs, worst)
    return (normal_scores(costs) + _standard(clipped)) / 2


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


def _standard(values: Vector) -> Vector:
    deviation = values.std()
    return np.asarray((values - values.mean()) / (deviation if deviation > 0 else 1.0))
