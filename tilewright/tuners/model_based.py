"""Model-based search: a cost model is fitted to what is known and asked where to measure next."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tilewright.templates.constraints import Ordinals
from tilewright.templates.space import ConfigSpace
from tilewright.tuners.acquisition import Opinion, fill_space, pick_batch
from tilewright.tuners.combined_model import trees_and_processes
from tilewright.tuners.cost_model import CostModel
from tilewright.tuners.expert import LEAST_FAITH, Expert, shares
from tilewright.tuners.gaussian_process import GaussianProcess
from tilewright.tuners.genetic import breed
from tilewright.tuners.guides import Guides
from tilewright.tuners.moves import Moves
from tilewright.tuners.points import PointEncoder, Points
from tilewright.tuners.prior import Vector
from tilewright.tuners.scores import cost_scores, log_scores
from tilewright.tuners.shortlist import LEAST_SIZE, Shortlist
from tilewright.tuners.single_thread import single_blas_thread
from tilewright.tuners.stagnation import evaluations_in_vain
from tilewright.tuners.tuner import Tuner
from tilewright.tuners.xgboost_model import FailureModel

FIRST_POINTS = 8
POOL_LIMIT = 50_000
# Evaluations in vain after which another expert chooses, until there is a gain.
IN_VAIN = 48
# Measurements after which the favourite of each prior that is not heard by then is tried all the same: what
# two devices have in common may be no more than their best.
BENEFIT_OF_DOUBT = 16
_DRAWS = 256
_PARENTS = 8
_EVOLVED = 384
_ROUNDS = 4
FAILURE_COST = 1.0

_log = logging.getLogger(__name__)


class ModelBasedSearch(Tuner):
    """Fills the space first, then measures where the model's optimistic cost is lowest.

    An expert looks at measurements only; another, where there are priors, also leans on what they expect.
    Each chooses a share of a batch. Where they have long been in vain, one takes their place that sees costs
    on another scale, and so hopes elsewhere.
    """

    uses_priors = True

    def __init__(
        self,
        space: ConfigSpace,
        seed: int,
        *,
        make_model: Callable[[ConfigSpace, int], CostModel] = trees_and_processes,
        **options: Any,
    ) -> None:
        self.moves = Moves(space)
        self._failures = FailureModel(seed)
        self._is_simple = False
        self._begun: int | None = None
        self._tried_unheard = False
        super().__init__(space, seed, **options)
        self._guides = Guides(space, self.priors)
        self._encode = PointEncoder(space, self.features, self._guides)
        self._experts = [Expert(make_model(space, seed), None)]
        if len(self._guides):
            self._experts.append(Expert(make_model(space, seed), self._guides))
        self._relief = Expert(GaussianProcess(space), None, scale=log_scores)
        self._choosing = self._experts
        self._shortlist: Shortlist | None = None
        if self.describe is not None and space.size >= LEAST_SIZE:
            self._shortlist = Shortlist(space, self.describe, self._guides, seed)

    def _propose(self, count: int) -> Sequence[int]:
        if len(self.costs) < FIRST_POINTS or not self.best_indices(1):
            return self._first_points(count)
        return [*self._unheard_favourites(), *self._modelled(count)]

    def _first_points(self, count: int) -> list[int]:
        """Half of what priors expect most of, if any is heard, and points far from each other."""
        guided = self._guided_points(count // 2) if self._guides.heard.any() else []
        pool = self._unseen(np.array(self._explore(_DRAWS), dtype=self.space.index_dtype))
        if not len(pool):
            return guided
        known: Ordinals = np.array([*sorted(self.seen), *guided], dtype=self.space.index_dtype)
        far = fill_space(self._encode(pool).features, self._encode(known).features, count - len(guided))
        return [*guided, *self._at(pool, far)]

    def _guided_points(self, count: int) -> list[int]:
        """Return what all priors that are heard together, then each in turn, expect to be fastest."""
        pool = self._pool(self._expected)
        columns = self._guides.columns(pool)
        opinions = [self._guides.expect(columns), *columns[:, self._guides.heard].T]
        rankings = [np.argsort(opinion, kind="stable")[:count] for opinion in opinions]
        in_turn = np.stack(rankings, axis=1).ravel() if len(pool) else np.zeros(0, dtype=np.int64)
        return list(dict.fromkeys(self._at(pool, in_turn)))[:count]

    def _unheard_favourites(self) -> list[int]:
        """Return, once, what each prior that is not heard expects to be fastest."""
        if self._tried_unheard or len(self.costs) < BENEFIT_OF_DOUBT:
            return []
        self._tried_unheard = True
        opinions = [partial(self._opinion, column) for column in np.flatnonzero(~self._guides.heard).tolist()]
        pools = [(self._pool(opinion), opinion) for opinion in opinions]
        return [int(pool[np.argmin(opinion(pool))]) for pool, opinion in pools if len(pool)]

    def _modelled(self, count: int) -> list[int]:
        try:
            return self._ask_model(count)
        except Exception as error:  # a model that fails must not end a run that has paid for its trials
            self._simplify(error)
        try:
            return self._ask_model(count)
        except Exception as error:
            _log.debug("the process alone failed too: %s", error)
            return breed(self, self.moves, self.best_indices(_PARENTS), count, ())

    def _simplify(self, error: Exception) -> None:
        """Warn, once, and go on with the process alone, which needs no other library."""
        if not self._is_simple:
            _log.warning("the cost model failed (%s); the search goes on with a simpler one", error)
        self._is_simple = True
        self._shortlist = None
        self._experts = [Expert(GaussianProcess(self.space), None)]

    def _ask_model(self, count: int) -> list[int]:
        with single_blas_thread():
            self._fit()
            pool = self._pool(self._optimistic)
            return self._pick(pool, count) if len(pool) else []

    def _fit(self) -> None:
        """Say who chooses the next batch, and teach them what is known."""
        indices = list(self.costs)
        costs = np.array([np.inf if cost is None else cost for cost in self.costs.values()])
        points = self._encode(np.array(indices, dtype=self.space.index_dtype))
        self._experts = [each for each in self._experts if each.faith(len(indices)) >= LEAST_FAITH]
        self._begun = len(costs) if self._begun is None else self._begun
        in_vain = min(evaluations_in_vain(costs), len(costs) - self._begun)
        scores = cost_scores(costs)
        self._hear(points, scores)
        if self._shortlist is not None:
            self._shortlist.learn(indices, points, scores)
        heard = [each for each in self._experts if each.has_say]
        self._choosing = [self._relief] if in_vain >= IN_VAIN else heard
        for expert in self._choosing:
            expert.learn(indices, points, costs)
        if not self._is_simple:
            self._failures.fit(points, np.isinf(costs).astype(np.float64))

    def _hear(self, points: Points, scores: Vector) -> None:
        """Confront the guides with scores; an expert that they begin to help begins with their evidence."""
        silent = [each for each in self._experts if not each.has_say]
        support = self._guides.confront(points.guesses, scores)
        for each in silent:
            each.evidence = self._experts[0].evidence + support

    def _pick(self, pool: Ordinals, count: int) -> list[int]:
        """Let experts choose in proportion to how well they have foretold; each foretells all picks."""
        points, experts = self._encode(pool), self._choosing
        choosers = self.rng.choice(len(experts), size=count, p=shares(experts, len(self.costs))).tolist()
        opinions = {number: experts[number].opinion(points) for number in dict.fromkeys(choosers)}
        risk = self._risk(points)
        taken = pick_batch(self._reviewed(pool, points, opinions, risk, count), choosers, risk)
        chosen = self._at(pool, taken)
        for number, expert in enumerate(experts):
            asked = number in opinions
            expert.foretell(chosen, *(opinions[number].at(taken) if asked else expert.predict(points[taken])))
        if self._relief not in experts:  # the relief has hope where these had none left: that is its purpose
            self.hope = max(experts[number].hope(opinion) for number, opinion in opinions.items())
        return chosen

    def _reviewed(
        self, pool: Ordinals, points: Points, opinions: dict[int, Opinion], risk: Vector, count: int
    ) -> dict[int, Opinion]:
        """Return opinions of the candidates of a shortlist only, where there is one; the relief has none."""
        if self._shortlist is None or self._relief in self._choosing:
            return opinions
        review = self._shortlist.review(pool, points, list(opinions.values()), risk, count)
        return opinions if review is None else {number: review.amend(it) for number, it in opinions.items()}

    def _optimistic(self, indices: Ordinals) -> Vector:
        """Return how low the most hopeful expert thinks the scores may be."""
        points = self._encode(indices)
        hopes = [mean - spread for mean, spread in (expert.predict(points) for expert in self._choosing)]
        return np.asarray(np.min(hopes, axis=0) + self._risk(points))

    def _risk(self, points: Points) -> Vector:
        """Return what the chance to fail adds to a score."""
        return np.zeros(len(points)) if self._is_simple else FAILURE_COST * self._failures.predict(points)

    def _expected(self, indices: Ordinals) -> Vector:
        return self._guides.expect(self._guides.columns(indices))

    def _opinion(self, column: int, indices: Ordinals) -> Vector:
        return np.asarray(self._guides.columns(indices)[:, column])

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
