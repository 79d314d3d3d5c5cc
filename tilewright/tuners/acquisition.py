"""Which of many predicted configurations to measure next."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.tuners.prior import Vector

OPTIMISM = 2.0


def pick_batch(opinions: Sequence[tuple[Vector, Vector]], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the places of distinct candidates, each the lowest optimistic cost in one of the opinions.

    The first pick weighs the spread by OPTIMISM; the others draw their weight with that mean, so a batch
    is not one cluster. On recorded spaces twice the spread left fewer runs in a local optimum than once.

    Args:
        opinions: for each pick, the expected cost of the candidates and its spread.
        rng: of the weights.
    """
    picked: list[int] = []
    for place, (mean, spread) in enumerate(opinions[: len(opinions[0][0])] if opinions else ()):
        optimism = OPTIMISM if place == 0 else float(rng.exponential(OPTIMISM))
        score = mean - optimism * spread
        score[picked] = np.inf
        picked.append(int(np.argmin(score)))
    return np.array(picked, dtype=np.int64)


def chance_below(best: float, mean: Vector, spread: Vector) -> Vector:
    """Return the chance of each candidate to have a lower cost than the best so far."""
    from scipy.special import ndtr

    return np.asarray(ndtr((best - mean) / np.maximum(spread, 1e-9)))


def fill_space(features: NDArray[np.float32], known: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the places of `count` rows that are far from each other and from the known rows, greedily."""
    scale = features.std(axis=0)
    scale[scale == 0] = 1.0
    points, others = features / scale, known / scale
    distance = np.full(len(points), np.inf)
    for other in others:
        distance = np.minimum(distance, np.abs(points - other).sum(axis=1))
    picked: list[int] = []
    for _ in range(min(count, len(points))):
        place = int(np.argmax(distance))
        picked.append(place)
        distance = np.minimum(distance, np.abs(points - points[place]).sum(axis=1))
        distance[place] = -1.0
    return np.array(picked, dtype=np.int64)
