"""The base of all tuners: proposes configurations, never one twice, never an invalid one."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from math import isfinite
from numbers import Real
from typing import ClassVar

import numpy as np

from tilewright.templates.config import Config
from tilewright.templates.constraints import Ordinals
from tilewright.templates.errors import ConfigError
from tilewright.templates.space import ConfigSpace
from tilewright.tuners.errors import TunerError
from tilewright.tuners.features import Describe, FeatureMap, knob_features
from tilewright.tuners.observation import Observation
from tilewright.tuners.prior import Prior

# Known configurations around which a search looks where draws find none.
_KNOWN = 16

_log = logging.getLogger(__name__)


def _checked(observation: Observation) -> Observation:
    cost = observation.cost_seconds
    if cost is not None and not (isinstance(cost, Real) and isfinite(cost) and cost > 0):
        raise TunerError(
            f"the cost of {observation.config} is {cost!r}: give seconds above 0, or None where it failed"
        )
    return observation


class Tuner(ABC):
    """Searches a space by asking for batches of costs; it sees a space and observations, nothing else.

    Args:
        space: The space to search.
        seed: The same seed and observations give the same proposals.
        start: Configurations to propose first.
        history: What is known already; never proposed, but learned from.
        features: Makes the function from indices to feature rows.
        priors: Guesses of the logarithm of relative costs, from other workloads, machines or an analysis.
        describe: What is known of one configuration before it is measured, at the cost of milliseconds;
            asked of a few.
        bounds: The part of the indices to search, `[first, last)`; all by default.

    Attributes:
        uses_priors: whether priors and descriptions are of use to it.
        hope: the chance that what is left holds something better, as far as the search can tell.
    """

    uses_priors: ClassVar[bool] = False

    def __init__(
        self,
        space: ConfigSpace,
        seed: int,
        *,
        start: Iterable[Config] = (),
        history: Iterable[Observation] = (),
        features: FeatureMap = knob_features,
        priors: Iterable[Prior] = (),
        describe: Describe | None = None,
        bounds: tuple[int, int] | None = None,
    ) -> None:
        self.space = space
        self.bounds = space.check_range(*(bounds or (None, None)))
        self.rng = np.random.default_rng(seed)
        self.features = features
        self.priors = tuple(priors)
        self.describe = describe
        self.hope = 1.0
        self.costs: dict[int, float | None] = {}
        self._proposed: set[int] = set()
        self._has_warned = False
        self._start = [index for config in start if (index := self._index_of(config)) is not None]
        self.update(history)

    @property
    def seen(self) -> set[int]:
        """The indices that were proposed or observed."""
        return self._proposed

    def next_batch(self, n: int) -> list[Config]:
        """Return up to n configurations to measure; none when nothing is left that is worth it."""
        batch: list[int] = []
        while self._start and len(batch) < n:
            self._accept([self._start.pop(0)], batch, n)
        if len(batch) < n:
            self._accept(self._propose(n - len(batch)), batch, n)
        if len(batch) < n:
            self._accept(self._explore(n - len(batch)), batch, n)
        return [self.space.config(index) for index in batch]

    def update(self, observations: Iterable[Observation]) -> None:
        """Learn from costs; those of configurations outside the space are passed over.

        Raises:
            TunerError: a cost is no positive finite number, nor None; nothing is learned then.
        """
        fresh = []
        for observation in [_checked(observation) for observation in observations]:
            index = self._index_of(observation.config)
            if index is not None:
                self._proposed.add(index)
                self.costs[index] = observation.cost_seconds
                fresh.append(index)
        if fresh:
            self._learn(fresh)

    def best_indices(self, count: int) -> list[int]:
        """Return the indices of the lowest costs so far, the best first."""
        costs = {index: cost for index, cost in self.costs.items() if cost is not None}
        return sorted(costs, key=lambda index: (costs[index], index))[:count]

    @abstractmethod
    def _propose(self, count: int) -> Sequence[int]:
        """Return indices to measure, best first; invalid and seen ones are dropped."""

    def _learn(self, fresh: Sequence[int]) -> None:  # noqa: B027 - most tuners read `costs` when they propose
        """Take note of indices whose cost is new."""

    def _explore(self, count: int) -> list[int]:
        """Return random valid indices that were not seen; fewer when the space is exhausted.

        Of a large space with few valid ones, which draws miss, those near known ones.
        """
        found = self.space.sample(count, self.rng, self._proposed, self.bounds)
        if len(found) == count or self.space.valid_points is not None:
            return found
        if not found and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "random draws find no valid configuration any more, the search goes on near known ones: "
                "declare what makes so many invalid with constrain((knobs), f)"
            )
        return [*found, *self._nearby(count - len(found), found)]

    def _nearby(self, count: int, taken: Sequence[int]) -> list[int]:
        """Return unseen valid indices one knob away from known ones, the fastest of which come first."""
        found: dict[int, None] = {}
        for known in dict.fromkeys([*self.best_indices(_KNOWN), *sorted(self._proposed)[:_KNOWN]]):
            near = self._unseen(np.array(self.space.neighbours(known), dtype=self.space.index_dtype))
            found.update(
                dict.fromkeys(index for index in self.rng.permutation(near).tolist() if index not in taken)
            )
            if len(found) >= count:
                break
        return list(found)[:count]

    def _unseen(self, indices: Ordinals) -> Ordinals:
        """Return the distinct indices that were not seen, in their order."""
        distinct = dict.fromkeys(index for index in indices.tolist() if index not in self._proposed)
        return np.array(list(distinct), dtype=self.space.index_dtype)

    def _accept(self, indices: Iterable[int], batch: list[int], limit: int) -> None:
        for index in indices:
            if len(batch) >= limit:
                return
            inside = self.bounds[0] <= index < self.bounds[1]
            if inside and index not in self._proposed and self.space.is_valid(index):
                self._proposed.add(index)
                batch.append(index)

    def _index_of(self, config: Config) -> int | None:
        if self.space.made(config):
            return config.index
        try:
            index = self.space.index(config)
        except ConfigError as error:
            _log.debug("configuration passed over: %s", error)
            return None
        return index if self.space.is_valid(index) else None
