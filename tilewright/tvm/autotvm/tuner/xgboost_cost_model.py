"""The cost model alone: fitted to scores of configurations, asked for those of others."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tilewright.tuners.features import knob_features
from tilewright.tuners.points import Points
from tilewright.tuners.xgboost_model import XGBoostModel
from tilewright.tvm.autotvm.task.definition import Task
from tilewright.tvm.ignored import warn_ignored


class XGBoostCostModel:
    """Boosted trees over the knobs; scores are operations a second, higher is better."""

    def __init__(self, task: Task, *, seed: int = 0, **options: Any) -> None:
        warn_ignored("XGBoostCostModel", options)
        self._features = knob_features(task.config_space.space())
        self._model = XGBoostModel(seed)

    def fit(self, xs: Sequence[int], ys: Sequence[float], plan_size: int = 0) -> None:
        """Learn the scores of indices; those of failures are 0."""
        scores = np.maximum(np.asarray(ys, dtype=np.float64), 1e-8)
        self._model.fit(self._points(xs), -np.log(scores))

    def predict(self, xs: Sequence[int], output_margin: bool = False) -> Any:
        """The expected scores of indices."""
        return np.exp(-self._model.predict(self._points(xs))[0])

    def _points(self, indices: Sequence[int]) -> Points:
        return Points.of_features(self._features(np.asarray(indices, dtype=np.int64)))


__all__ = ["XGBoostCostModel"]
