"""Model-based search: a cost model is fitted to what is known and asked where to measure next."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tilewright.templates.constraints import Ordinals
from tilewright.templates.space import ConfigSpace
from tilewright.tuners.acquisition import fill_space, pick_batch
from tilewright.tuners.combined_model import trees_and_process
from tilewright.tuners.cost_model import CostModel, Vector
from tilewright.tuners.genetic import breed
from tilewright.tuners.moves import Moves
from tilewright.tuners.tuner import Tuner

FIRST_POINTS = 8
POOL_LIMIT = 50_000
EXPLORING_SHARE = 0.05
_DRAWS = 256
_PARENTS = 8
_EVOLVED = 512
_ROUNDS = 5
_FAILURE_MARGIN = 0.5

_log = logging.getLogger(__name__)


class ModelBasedSearch(Tuner):
    """Fills the space first, then measures where the model's optimistic cost is lowest."""

    def __init__(
        self,
        space: ConfigSpace,
        seed: int,
        *,
        make_model: Callable[[int], CostModel] = trees_and_process,
        **options: Any,
    ) -> None:
        self.moves = Moves(space)
        self.model: CostModel | None = make_model(seed)
        super().__init__(space, seed, **options)
        self._extract = self.features(space)

    def _propose(self, count: int) -> Sequence[int]:
        if len(self.costs) < FIRST_POINTS or not self.best_indices(1):
            return self._first_points(count)
        exploring = int((self.rng.random(count) < EXPLORING_SHARE).sum())
        found = self._modelled(count - exploring) if exploring < count else []
        return [*found, *self._explore(exploring)]

    def _first_points(self, count: int) -> list[int]:
        pool = self._unseen(np.array(self._explore(_DRAWS), dtype=self.space.index_dtype))
        if not len(pool):
            return []
        if self.prior is not None:
            return self._at(pool, np.argsort(self.prior(self.space, pool), kind="stable")[:count])
        known: Ordinals = np.array(sorted(self.seen), dtype=self.space.index_dtype)
        return self._at(pool, fill_space(self._extract(pool), self._extract(known), count))

    def _modelled(self, count: int) -> list[int]:
        try:
            return self._ask_model(count)
        except Exception as error:  # a model that fails must not end a run that has paid for its trials
            if self.model is not None:
                _log.warning("the cost model failed (%s); the search goes on without it", error)
                self.model = None
            return breed(self, self.moves, self.best_indices(_PARENTS), count, ())

    def _ask_model(self, count: int) -> list[int]:
        if self.model is None:
            raise RuntimeError("no model")
        indices: Ordinals = np.array(list(self.costs), dtype=self.space.index_dtype)
        self.model.fit(self._extract(indices), self._targets(indices))
        pool = self._pool()
        if not len(pool):
            return []
        mean, spread = self._predict(pool)
        return self._at(pool, pick_batch(mean, spread, count, self.rng))

    def _targets(self, indices: Ordinals) -> Vector:
        """Return log costs; a failure counts as worse than anything that ran."""
        known = np.log([cost for cost in self.costs.values() if cost is not None])
        failed = known.max() + _FAILURE_MARGIN
        targets = np.array([failed if cost is None else np.log(cost) for cost in self.costs.values()])
        return targets if self.prior is None else targets - self.prior(self.space, indices)

    def _predict(self, indices: Ordinals) -> tuple[Vector, Vector]:
        assert self.model is not None
        mean, spread = self.model.predict(self._extract(indices))
        return (mean, spread) if self.prior is None else (mean + self.prior(self.space, indices), spread)

    def _pool(self) -> Ordinals:
        """Return unseen candidates: all of a small space, the offspring of the best in a large one."""
        points = self.space.valid_points if self.space.size <= POOL_LIMIT else None
        return self._unseen(points if points is not None else self._evolve())

    def _evolve(self) -> Ordinals:
        """Improve a population under the model by mutation and crossover."""
        best = self.space.ordinals(self.best_indices(_PARENTS))
        drawn = self.space.ordinals(self.space.sample(_EVOLVED, self.rng))
        near = np.vstack([self.moves.neighbours(row) for row in best[:2]])
        population = self._valid(np.vstack([best, near, drawn]))
        for _ in range(_ROUNDS):
            partners = population[self.rng.integers(0, len(population), len(population))]
            mixed = self.moves.cross(population, partners, self.rng)
            rate = 1.0 / population.shape[1]
            moved = self.moves.mutate(np.vstack([population, mixed]), self.rng, rate)
            population = self._valid(np.vstack([population, mixed, moved]))
            mean, spread = self._predict(self.space.indices(population))
            population = population[np.argsort(mean - spread, kind="stable")[:_EVOLVED]]
        return self.space.indices(population)

    def _valid(self, rows: Ordinals) -> Ordinals:
        distinct = np.unique(rows, axis=0)
        return distinct[self.space.valid_mask(distinct)]

    @staticmethod
    def _at(pool: Ordinals, places: Ordinals) -> list[int]:
        chosen: list[int] = pool[places].tolist()
        return chosen
