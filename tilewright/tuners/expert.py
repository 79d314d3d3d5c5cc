"""A cost model with or without the help of priors, and how well it has foretold what was measured."""

from dataclasses import dataclass, field

import numpy as np

from tilewright.tuners.cost_model import CostModel
from tilewright.tuners.guides import Guides
from tilewright.tuners.points import Points
from tilewright.tuners.prior import Vector

MEMORY = 0.8
# After so many measurements an expert with guides is heard half as much.
FAITH = 16
_MOST_DOUBT = 2.0
_LEAST_SPREAD = 0.05


@dataclass(slots=True)
class Expert:
    """One opinion of several, each of which chooses a share of what is measured next.

    Attributes:
        model: of the scores, less what the guides expect.
        guides: the priors that the model leans on; None for a model that looks at measurements only.
        evidence: the logarithm of its chance to be right, from what it foretold of each batch.
    """

    model: CostModel
    guides: Guides | None
    evidence: float = 0.0
    _foretold: dict[int, tuple[float, float]] = field(default_factory=dict)

    def fit(self, points: Points, scores: Vector) -> None:
        """Learn the scores of points."""
        if self.guides is None:
            self.model.fit(points.without_guesses(), scores)
            return
        self.guides.weigh(points.guesses, scores)
        self.model.fit(points, scores - self.guides.expect(points.guesses))

    def predict(self, points: Points) -> tuple[Vector, Vector]:
        """Return the expected scores of points and their spread."""
        if self.guides is None:
            mean, spread = self.model.predict(points.without_guesses())
        else:
            mean, spread = self.model.predict(points)
            mean = mean + self.guides.expect(points.guesses)
        if not np.isfinite(mean).all() or not np.isfinite(spread).all():
            raise ArithmeticError("it predicts no finite number")
        return mean, spread

    def foretell(self, indices: list[int], mean: Vector, spread: Vector) -> None:
        """Remember what is expected of indices that are about to be measured."""
        self._foretold = dict(zip(indices, zip(mean.tolist(), spread.tolist(), strict=True), strict=True))

    def judge(self, scores: dict[int, float]) -> None:
        """Weigh what was foretold against the scores that came out."""
        densities = [
            _log_density(scores[index], mean, spread)
            for index, (mean, spread) in self._foretold.items()
            if index in scores
        ]
        if densities:
            self.evidence = MEMORY * self.evidence + sum(densities)
        self._foretold = {}


def shares(experts: list[Expert], known: int) -> Vector:
    """Return the share of each expert in the next batch: by evidence, and of one with guides less and less.

    What priors know of the best is soon measured. An expert that leans on them may go on foretelling well
    where it sends the search, and yet send it to the wrong place: no evidence shows that.
    """
    evidence = np.array([expert.evidence for expert in experts])
    faith = np.array([1.0 if expert.guides is None else 0.5 ** (known / FAITH) for expert in experts])
    chances = faith * np.exp(np.maximum(evidence - evidence.max(), -_MOST_DOUBT))
    return np.asarray(chances / chances.sum())


def _log_density(score: float, mean: float, spread: float) -> float:
    spread = max(spread, _LEAST_SPREAD)
    return float(-((score - mean) ** 2) / (2 * spread**2) - np.log(spread))
