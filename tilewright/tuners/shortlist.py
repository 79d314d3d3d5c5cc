"""A second look at the most hopeful candidates, by numbers that are too dear to have of all.

Wide scoring knows a candidate by its knobs, in microseconds. What its loop nest is like tells more, and takes
milliseconds. So only those that the experts hope most of are described; a model that also sees these numbers
then says what it expects of them. It and the experts weigh as the inverse of their latest squared errors
(Bates and Granger, "The combination of forecasts", 1969).

On recorded trials of products with spaces of 150,000 points, sixteen candidates a pick gained most; with few
it was as without. So as many are described as a small share of the time that measuring takes allows.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.errors import TilewrightError
from tilewright.templates.config import Config
from tilewright.templates.constraints import Ordinals
from tilewright.templates.space import ConfigSpace
from tilewright.tuners.acquisition import Opinion
from tilewright.tuners.expert import MEMORY, Expert
from tilewright.tuners.features import Describe
from tilewright.tuners.guides import Guides
from tilewright.tuners.points import Points
from tilewright.tuners.prior import Vector
from tilewright.tuners.xgboost_model import XGBoostModel

# Smaller spaces have none: the prior has estimated a good part of them, and trials tell the rest soon.
LEAST_SIZE = 2048
# Candidates that are described for each that is picked, and at most.
CANDIDATES = 16
MOST_CANDIDATES = 64
# Measured configurations that are described, beside those that were on a list, before each batch.
LESSONS = 16
# What describing may take of the time that trials take: of the least seen so far, as between two batches
# other workloads may have their turn, and of no more than so many seconds each.
SHARE = 0.08
_PACE = 0.25
# With fewer lessons nothing is said.
FEWEST = 8
# Squared errors that both are taken to have made before any is known.
_FIRST_ERRORS = 2.0

Row = NDArray[np.float32]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Review:
    """What a reader of descriptions expects of the candidates on a list.

    Attributes:
        places: of these among all candidates.
        mean: their expected scores.
        weight: of this, from 0 to 1, beside what an expert expects.
    """

    places: NDArray[np.int64]
    mean: Vector
    weight: float

    def amend(self, opinion: Opinion) -> Opinion:
        """Return an opinion of the listed candidates only, moved towards what the reader expects."""
        mean = np.full(len(opinion.mean), np.inf)
        mean[self.places] = (1 - self.weight) * opinion.mean[self.places] + self.weight * self.mean
        return replace(opinion, mean=mean)


def make_trees(seed: int) -> XGBoostModel:
    """Return a model for many columns and few rows: shallow trees, each of a part of the columns."""
    return XGBoostModel(seed, members=1, rounds=60, max_depth=4, colsample_bytree=0.3, max_bin=32)


class Shortlist:
    """Describes the candidates that are hoped most of, and corrects what is expected of them."""

    def __init__(self, space: ConfigSpace, describe: Describe, guides: Guides, seed: int) -> None:
        self._space = space
        self._describe = describe
        self._reader = Expert(make_trees(seed), guides)
        self._rows: dict[int, Row | None] = {}
        self._is_ready = False
        self._is_broken = False
        self._foretold: dict[int, Vector] = {}
        self._errors = np.full(2, _FIRST_ERRORS)
        self._known = 0
        self._pace = _PACE
        self._proposed = time.monotonic()
        self._end = 0.0

    def learn(self, indices: list[int], points: Points, scores: Vector) -> None:
        """Learn from measured configurations; of those not yet described, the best come first.

        Args:
            indices: of what was measured.
            points: the same.
            scores: low for fast.
        """
        self._limit_time(len(indices))
        ranked = np.argsort(scores, kind="stable").tolist()
        fresh = [indices[place] for place in ranked if indices[place] not in self._rows]
        self._read(fresh[:LESSONS])
        told = self._read_places(np.arange(len(indices)), indices)
        self._judge(dict(zip(indices, scores.tolist(), strict=True)))
        self._is_ready = len(told) >= FEWEST and not self._is_broken
        if self._is_ready:
            known = [indices[place] for place in told]
            self._reader.fit(self._detailed(points[told], known), scores[told])

    def review(
        self, pool: Ordinals, points: Points, opinions: Sequence[Opinion], risk: Vector, count: int
    ) -> Review | None:
        """Return what is expected of the most hopeful candidates that could be described.

        Args:
            pool: the candidates.
            points: the same.
            opinions: what experts think of them.
            risk: what is added to the score of each.
            count: how many of them will be picked.

        Returns:
            None where too few are described, candidates or measured configurations.
        """
        places = self._list(pool, opinions, risk, count) if self._is_ready else np.zeros(0, dtype=np.int64)
        self._proposed = time.monotonic()
        if self._is_broken or len(places) < count:
            return None
        indices = pool[places].tolist()
        mean, _ = self._reader.predict(self._detailed(points[places], indices))
        experts = np.mean([opinion.mean[places] for opinion in opinions], axis=0)
        self._foretold = dict(zip(indices, np.stack([mean, experts], axis=1), strict=True))
        return Review(places, mean, float(self._errors[1] / self._errors.sum()))

    def _limit_time(self, known: int) -> None:
        """Grant descriptions a share of what the latest trials took."""
        now, fresh = time.monotonic(), known - self._known
        if self._known and fresh:
            self._pace = min(self._pace, (now - self._proposed) / fresh)
        self._known = known
        self._end = now + SHARE * self._pace * min(fresh, LESSONS)

    def _list(
        self, pool: Ordinals, opinions: Sequence[Opinion], risk: Vector, count: int
    ) -> NDArray[np.int64]:
        """Return the places of the most hopeful candidates that could be described in time."""
        hopes = np.min([opinion.hopes() for opinion in opinions], axis=0) + risk
        most = max(count, min(CANDIDATES * count, MOST_CANDIDATES))
        hopeful = np.argsort(hopes, kind="stable")[:most]
        self._read(pool[hopeful].tolist())
        return self._read_places(hopeful, pool[hopeful].tolist())

    def _judge(self, scores: dict[int, float]) -> None:
        """Weigh what was foretold of the latest list against the scores that came out."""
        errors = [told - scores[index] for index, told in self._foretold.items() if index in scores]
        self._foretold = {}
        if errors:
            self._errors = MEMORY * self._errors + np.square(errors).sum(axis=0)

    def _read(self, indices: Iterable[int]) -> None:
        """Describe configurations, as long as there is time; one that cannot be described has no numbers."""
        for index in indices:
            if index in self._rows:
                continue
            if self._is_broken or time.monotonic() > self._end:
                return
            self._rows[index] = self._ask(self._space.config(index))

    def _ask(self, config: Config) -> Row | None:
        try:
            row = self._describe(config)
        except TilewrightError:
            return None
        except Exception as error:  # a second look that fails must not cost the first
            _log.info("configurations cannot be described (%s); the search goes on without that", error)
            self._is_broken = True
            return None
        return row if np.isfinite(row).all() else None

    def _read_places(self, places: NDArray[np.int64], indices: list[int]) -> NDArray[np.int64]:
        """Return those places whose indices have numbers."""
        is_read = np.array([self._rows.get(index) is not None for index in indices], dtype=bool)
        return np.asarray(places[is_read])

    def _detailed(self, points: Points, indices: list[int]) -> Points:
        """Return points with what the descriptions add to their features."""
        rows = [self._rows[index] for index in indices]
        return replace(points, features=np.hstack([points.features, np.array(rows, dtype=np.float32)]))
