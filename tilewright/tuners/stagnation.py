"""How long a search has been in vain."""

import numpy as np

from tilewright.tuners.prior import Vector

_GAIN = 0.01


def evaluations_in_vain(costs: Vector) -> int:
    """Return how many of the last costs were no gain of more than a hundredth over the best before them.

    Args:
        costs: in the order in which they were measured; of failures, infinite.
    """
    best = np.minimum.accumulate(np.concatenate([[np.inf], costs]))[:-1]
    gains = np.flatnonzero(costs < best * (1 - _GAIN))
    return len(costs) - 1 - int(gains[-1]) if len(gains) else len(costs)
