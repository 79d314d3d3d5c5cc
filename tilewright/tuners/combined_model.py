"""Several models as one: their mean, and a spread that grows where they disagree."""

from collections.abc import Sequence

import numpy as np

from tilewright.templates.space import ConfigSpace
from tilewright.tuners.cost_model import CostModel
from tilewright.tuners.gaussian_process import GaussianProcess
from tilewright.tuners.pending_picks import JointPicks
from tilewright.tuners.points import Points
from tilewright.tuners.prior import Vector
from tilewright.tuners.xgboost_model import XGBoostModel


class CombinedModel(CostModel):
    """Averages models, which see the same data."""

    def __init__(self, models: Sequence[CostModel]) -> None:
        self._models = models

    def fit(self, points: Points, targets: Vector) -> None:
        """Fit every model."""
        for model in self._models:
            model.fit(points, targets)

    def predict(self, points: Points) -> tuple[Vector, Vector]:
        """Return the average mean, and the spread of the mixture of the models."""
        predictions = [model.predict(points) for model in self._models]
        means = np.stack([mean for mean, _ in predictions])
        spreads = np.stack([spread for _, spread in predictions])
        return means.mean(axis=0), np.sqrt((spreads**2).mean(axis=0) + means.var(axis=0))

    def pending_picks(self, points: Points) -> JointPicks:
        """Return what follows the spread of points while some of them are picked."""
        return JointPicks([model.pending_picks(points) for model in self._models])


def trees_and_process(space: ConfigSpace, seed: int) -> CostModel:
    """Return the model of the `xgb` tuner: trees find steps, the process extrapolates and knows its doubt."""
    return CombinedModel([XGBoostModel(seed), GaussianProcess(space)])
