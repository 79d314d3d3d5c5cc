"""What a model learns of costs: scores that no outlier stretches."""

import numpy as np

from tilewright.tuners.prior import Vector


def cost_scores(costs: Vector) -> Vector:
    """Return a score for each cost, low for fast: the mean of its rank and of its speed.

    Ranks, as normal quantiles, tell the good ones apart; speeds tell how far apart they are, and make little
    of how bad a bad one is, which says little of where the best is. A failure is an infinite cost: no speed.
    """
    ran = np.isfinite(costs)
    if not ran.any():
        return np.zeros(len(costs))
    return (normal_scores(costs) - _standard(costs[ran].min() / costs)) / 2


def log_scores(costs: Vector) -> Vector:
    """Return the logarithm of each cost, standardised; a failure is as slow as the slowest that ran.

    Logarithms tell what is bad from what is useless: where knobs must fit each other, they show which do.
    """
    ran = np.isfinite(costs)
    if not ran.any():
        return np.zeros(len(costs))
    return _standard(np.log(np.where(ran, costs, costs[ran].max())))


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
