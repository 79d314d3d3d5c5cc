"""Several models as one: their mean, and a spread that grows where they disagree."""

from collections.abc import Sequence

import numpy as np

from tilewright.templates.space import ConfigSpace
from tilewright.tuners.acquisition import Opinion
from tilewright.tuners.cost_model import CostModel
from tilewright.tuners.gaussian_process import GaussianProcess
from tilewright.tuners.pending_picks import JointPicks
from tilewright.tuners.points import Points
from tilewright.tuners.prior import Vector
from tilewright.tuners.xgboost_model import XGBoostModel

# Of the two processes one expects effects to reach far. On recorded spaces both together came nearer to the
# best than either.
_LENGTHS = (0.0, 1.0)


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
        return _mixture([model.predict(points) for model in self._models])

    def opinion(self, points: Points) -> Opinion:
        """Return the same, and what picks leave of the spread in each model's eyes."""
        opinions = [model.opinion(points) for model in self._models]
        mean, spread = _mixture([(each.mean, each.spread) for each in opinions])
        return Opinion(mean, spread, JointPicks([each.pending for each in opinions]))


def _mixture(predictions: Sequence[tuple[Vector, Vector]]) -> tuple[Vector, Vector]:
    means = np.stack([mean for mean, _ in predictions])
    spreads = np.stack([spread for _, spread in predictions])
    return means.mean(axis=0), np.sqrt((spreads**2).mean(axis=0) + means.var(axis=0))


def trees_and_processes(space: ConfigSpace, seed: int) -> CostModel:
    """Return the model of the `xgb` tuner: trees find steps, processes extrapolate and know their doubt."""
    processes = [GaussianProcess(space, length) for length in _LENGTHS]
    return CombinedModel([XGBoostModel(seed), *processes])
