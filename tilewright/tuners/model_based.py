"""Model-based search: a cost model is fitted to what is known and asked where to measure next."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tilewright.templates.constraints import Ordinals
from tilewright.templates.space import ConfigSpace
from tilewright.tuners.acquisition import chance_below, fill_space, pick_batch
from tilewright.tuners.combined_model import trees_and_process
from tilewright.tuners.cost_model import CostModel
from tilewright.tuners.expert import Expert, shares
from tilewright.tuners.genetic import breed
from tilewright.tuners.guides import Guides
from tilewright.tuners.moves import Moves
from tilewright.tuners.points import PointEncoder
from tilewright.tuners.prior import Vector
from tilewright.tuners.scores import cost_scores
from tilewright.tuners.single_thread import single_blas_thread
from tilewright.tuners.tuner import Tuner
from tilewright.tuners.xgboost_model import FailureModel

FIRST_POINTS = 8
POOL_LIMIT = 50_000
EXPLORING_SHARE = 0.05
_DRAWS = 256
_PARENTS = 8
_EVOLVED = 512
_ROUNDS = 5
FAILURE_COST = 1.0

_log = logging.getLogger(__name__)


class ModelBasedSearch(Tuner):
    """Fills the space first, then measures where the model's optimistic cost is lowest.

    An expert looks at measurements only; another, where there are priors, also leans on what they expect.
    Each chooses a share of a batch.
    """

    uses_priors = True

    def __init__(
        self,
        space: ConfigSpace,
        seed: int,
        *,
        make_model: Callable[[ConfigSpace, int], CostModel] = trees_and_process,
        **options: Any,
    ) -> None:
        self.moves = Moves(space)
        self._failures = FailureModel(seed)
        self._best_score = 0.0
        super().__init__(space, seed, **options)
        self._guides = Guides(space, self.priors)
        self._encode = PointEncoder(space, self.features, self._guides)
        self._experts = [Expert(make_model(space, seed), None)]
        if len(self._guides):
            self._experts.append(Expert(make_model(space, seed), self._guides))

    def _propose(self, count: int) -> Sequence[int]:
        if len(self.costs) < FIRST_POINTS or not self.best_indices(1):
            return self._first_points(count)
        exploring = int((self.rng.random(count) < EXPLORING_SHARE).sum())
        found = self._modelled(count - exploring) if exploring < count else []
        return [*found, *self._explore(exploring)]

    def _first_points(self, count: int) -> list[int]:
        """Half of what priors expect most of, if there are any, and points far from each other."""
        guided = self._guided_points(count // 2) if len(self._guides) else []
        pool = self._unseen(np.array(self._explore(_DRAWS), dtype=self.space.index_dtype))
        if not len(pool):
            return guided
        known: Ordinals = np.array([*sorted(self.seen), *guided], dtype=self.space.index_dtype)
        far = fill_space(self._encode(pool).features, self._encode(known).features, count - len(guided))
        return [*guided, *self._at(pool, far)]

    def _guided_points(self, count: int) -> list[int]:
        """Return the configurations that all priors together, then each in turn, expect to be fastest."""
        pool = self._pool(self._expected)
        columns = self._guides.columns(pool)
        opinions = [self._guides.expect(columns), *columns.T] if len(self._guides) > 1 else [columns[:, 0]]
        rankings = [np.argsort(opinion, kind="stable")[:count] for opinion in opinions]
        in_turn = np.stack(rankings, axis=1).ravel() if len(pool) else np.zeros(0, dtype=np.int64)
        return list(dict.fromkeys(self._at(pool, in_turn)))[:count]

    def _modelled(self, count: int) -> list[int]:
        try:
            return self._ask_model(count)
        except Exception as error:  # a model that fails must not end a run that has paid for its trials
            if self._experts:
                _log.warning("the cost model failed (%s); the search goes on without it", error)
                self._experts = []
            return breed(self, self.moves, self.best_indices(_PARENTS), count, ())

    def _ask_model(self, count: int) -> list[int]:
        if not self._experts:
            raise RuntimeError("no model")
        with single_blas_thread():
            self._fit()
            pool = self._pool(self._optimistic)
            return self._pick(pool, count) if len(pool) else []

    def _fit(self) -> None:
        indices: Ordinals = np.array(list(self.costs), dtype=self.space.index_dtype)
        costs = np.array([np.inf if cost is None else cost for cost in self.costs.values()])
        points, scores = self._encode(indices), cost_scores(costs)
        self._best_score = float(scores.min())
        by_index = dict(zip(indices.tolist(), scores.tolist(), strict=True))
        for expert in self._experts:
            expert.judge(by_index)
            expert.fit(points, scores)
        self._failures.fit(points, np.isinf(costs).astype(np.float64))

    def _pick(self, pool: Ordinals, count: int) -> list[int]:
        """Let each expert choose in proportion to how well it has foretold so far."""
        points = self._encode(pool)
        opinions = [expert.predict(points) for expert in self._experts]
        risk = FAILURE_COST * self._failures.predict(points)
        chances = shares(self._experts, len(self.costs))
        choosers = self.rng.choice(len(opinions), size=count, p=chances)
        taken = pick_batch([(opinions[k][0] + risk, opinions[k][1]) for k in choosers], self.rng)
        chosen = self._at(pool, taken)
        for expert, (mean, spread) in zip(self._experts, opinions, strict=True):
            expert.foretell(chosen, mean[taken], spread[taken])
        self.hope = max(float(chance_below(self._best_score, *opinion).max()) for opinion in opinions)
        return chosen

    def _optimistic(self, indices: Ordinals) -> Vector:
        """Return how low the most hopeful expert thinks the scores may be."""
        points = self._encode(indices)
        hopes = [mean - spread for mean, spread in (expert.predict(points) for expert in self._experts)]
        return np.asarray(np.min(hopes, axis=0) + FAILURE_COST * self._failures.predict(points))

    def _expected(self, indices: Ordinals) -> Vector:
        return self._guides.expect(self._guides.columns(indices))

    def _pool(self, score: Callable[[Ordinals], Vector]) -> Ordinals:
        """Return unseen candidates: all of a small space; of a large one, what evolves under `score`."""
        points = self.space.valid_points if self.space.size <= POOL_LIMIT else None
        return self._unseen(points if points is not None else self._evolve(score))

    def _evolve(self, score: Callable[[Ordinals], Vector]) -> Ordinals:
        """Improve a population by mutation and crossover; a low score is a good one."""
        best = self.space.ordinals(self.best_indices(_PARENTS))
        drawn = self.space.ordinals(self.space.sample(_EVOLVED, self.rng))
        near = [self.moves.neighbours(row) for row in best[:2]]
        population = self._valid(np.vstack([best, *near, drawn]))
        for _ in range(_ROUNDS):
            partners = population[self.rng.integers(0, len(population), len(population))]
            mixed = self.moves.cross(population, partners, self.rng)
            rate = 1.0 / population.shape[1]
            moved = self.moves.mutate(np.vstack([population, mixed]), self.rng, rate)
            population = self._valid(np.vstack([population, mixed, moved]))
            scores = score(self.space.indices(population))
            population = population[np.argsort(scores, kind="stable")[:_EVOLVED]]
        return self.space.indices(population)

    def _valid(self, rows: Ordinals) -> Ordinals:
        distinct = np.unique(rows, axis=0)
        return distinct[self.space.valid_mask(distinct)]

    @staticmethod
    def _at(pool: Ordinals, places: Ordinals) -> list[int]:
        chosen: list[int] = pool[places].tolist()
        return chosen
