"""Which of many predicted configurations to measure next."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tilewright.tuners.pending_picks import PendingPicks
from tilewright.tuners.prior import Vector

OPTIMISM = 2.0


@dataclass(frozen=True, slots=True)
class Opinion:
    """What an expert thinks of candidates.

    Attributes:
        mean: their expected scores.
        spread: their standard deviations.
        pending: what the picks of a batch leave of the spread.
    """

    mean: Vector
    spread: Vector
    pending: PendingPicks

    def at(self, places: NDArray[np.int64]) -> tuple[Vector, Vector]:
        """Return the mean and the spread of candidates at places."""
        return self.mean[places], self.spread[places]

    def hopes(self) -> Vector:
        """Return how low the scores may well be.

        On recorded spaces twice the spread left fewer runs in a local optimum than once.
        """
        return self.mean - OPTIMISM * self.spread * self.pending.spread_left()


def pick_batch(opinions: Mapping[int, Opinion], choosers: Iterable[int], risk: Vector) -> NDArray[np.int64]:
    """Return the places of distinct candidates, each the most hopeful in one of the opinions.

    What is picked takes from the spread of those like it, in all opinions, so a batch is not one cluster.

    Args:
        opinions: of the same candidates, by who has them.
        choosers: for each pick, whose opinion makes it.
        risk: what is added to the score of each candidate.
    """
    picked: list[int] = []
    for chooser in islice(choosers, len(risk)):
        score = opinions[chooser].hopes() + risk
        score[picked] = np.inf
        picked.append(int(np.argmin(score)))
        for opinion in opinions.values():
            opinion.pending.add(picked[-1])
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
