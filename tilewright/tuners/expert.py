"""A cost model with or without the help of priors, and how well it has foretold what was measured."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tilewright.tuners.acquisition import Opinion, chance_below
from tilewright.tuners.cost_model import CostModel
from tilewright.tuners.guides import Guides
from tilewright.tuners.points import Points
from tilewright.tuners.prior import Vector
from tilewright.tuners.scores import cost_scores

MEMORY = 0.8
# Errors that weigh as much as all before them; bounds of one squared error, and of the factor.
_CALIBRATION = 16
_LARGEST_ERROR = 9.0
_LARGEST_SURPRISE = 16.0
# After so many measurements an expert with guides is heard half as much.
FAITH = 16
LEAST_FAITH = 0.1
_MOST_DOUBT = 2.0
_LEAST_SPREAD = 0.05


@dataclass(slots=True)
class Expert:
    """One opinion of several, each of which chooses a share of what is measured next.

    Attributes:
        model: of the scores, less what the guides expect.
        guides: the priors that the model leans on; None for a model that looks at measurements only.
        scale: turns costs into the scores that it learns.
        evidence: the logarithm of its chance to be right, from what it foretold of each batch.
        surprise: the factor of its variance that its errors so far call for, one at least. A model that is
            too sure of where it has measured much stays there.
    """

    model: CostModel
    guides: Guides | None
    scale: Callable[[Vector], Vector] = cost_scores
    evidence: float = 0.0
    surprise: float = 1.0
    _foretold: dict[int, tuple[float, float]] = field(default_factory=dict)
    _best: float = 0.0

    @property
    def has_say(self) -> bool:
        """Whether it differs from a model without guides."""
        return self.guides is None or bool(self.guides.heard.any())

    def faith(self, known: int) -> float:
        """Return how much it is to be heard, but for its evidence, when so many are measured."""
        return 1.0 if self.guides is None else float(0.5 ** (known / FAITH))

    def learn(self, indices: list[int], points: Points, costs: Vector) -> None:
        """Weigh what was foretold of indices against their costs, then learn all of these."""
        scores = self.scale(costs)
        self._best = float(scores.min())
        self.judge(dict(zip(indices, scores.tolist(), strict=True)))
        self.fit(points, scores)

    def hope(self, opinion: Opinion) -> float:
        """Return the chance that the most promising of the candidates is below the best score."""
        return float(chance_below(self._best, opinion.mean, opinion.spread).max())

    def fit(self, points: Points, scores: Vector) -> None:
        """Learn the scores of points."""
        if self.guides is not None:
            self.guides.weigh(points.guesses, scores)
            scores = scores - self.guides.expect(points.guesses)
        self.model.fit(self._seen(points), scores)

    def predict(self, points: Points) -> tuple[Vector, Vector]:
        """Return the expected scores of points and their spread."""
        return self._amend(points, *self.model.predict(self._seen(points)))

    def opinion(self, points: Points) -> Opinion:
        """Return what is expected of points, of which some will be picked."""
        found = self.model.opinion(self._seen(points))
        return Opinion(*self._amend(points, found.mean, found.spread), found.pending)

    def _amend(self, points: Points, mean: Vector, spread: Vector) -> tuple[Vector, Vector]:
        """Return what a model predicts with what the guides expect, and with the spread that errors call for.

        Raises:
            ArithmeticError: a prediction is not finite.
        """
        if self.guides is not None:
            mean = mean + self.guides.expect(points.guesses)
        if not np.isfinite(mean).all() or not np.isfinite(spread).all():
            raise ArithmeticError("it predicts no finite number")
        return mean, spread * np.sqrt(self.surprise)

    def foretell(self, indices: list[int], mean: Vector, spread: Vector) -> None:
        """Remember what is expected of indices that are about to be measured."""
        self._foretold = dict(zip(indices, zip(mean.tolist(), spread.tolist(), strict=True), strict=True))

    def judge(self, scores: dict[int, float]) -> None:
        """Weigh what was foretold against the scores that came out."""
        met = [(scores[index], *told) for index, told in self._foretold.items() if index in scores]
        self._foretold = {}
        if not met:
            return
        score, mean, spread = np.array(met).T
        spread = np.maximum(spread, _LEAST_SPREAD)
        squares = ((score - mean) / spread) ** 2
        self.evidence = MEMORY * self.evidence - float((squares / 2 + np.log(spread)).sum())
        self.surprise = self._calibrate(np.minimum(squares, _LARGEST_ERROR))

    def _seen(self, points: Points) -> Points:
        """Return points as the model sees them."""
        return points.with_guesses(slice(0) if self.guides is None else self.guides.heard)

    def _calibrate(self, squares: Vector) -> float:
        """Return the factor of the variance that makes the errors of the latest batches what was foretold."""
        found = self.surprise * float(squares.mean())
        weight = len(squares) / (len(squares) + _CALIBRATION)
        return float(np.clip((1 - weight) * self.surprise + weight * found, 1.0, _LARGEST_SURPRISE))


def shares(experts: list[Expert], known: int) -> Vector:
    """Return the share of each expert in the next batch: by evidence, and of one with guides less and less.

    What priors know of the best is soon measured. An expert that leans on them may go on foretelling well
    where it sends the search, and yet send it to the wrong place: no evidence shows that.
    """
    evidence = np.array([expert.evidence for expert in experts])
    faith = np.array([expert.faith(known) for expert in experts])
    chances = faith * np.exp(np.maximum(evidence - evidence.max(), -_MOST_DOUBT))
    return np.asarray(chances / chances.sum())
