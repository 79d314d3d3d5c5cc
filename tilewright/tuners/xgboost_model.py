"""Boosted trees over the logarithm of cost: a small bagged ensemble whose disagreement is the spread."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.tuners.cost_model import Vector

MEMBERS = 3
ROUNDS = 60


class XGBoostModel:
    """An ensemble of boosted trees; xgboost is imported when it is first fitted."""

    def __init__(self, seed: int, members: int = MEMBERS, rounds: int = ROUNDS) -> None:
        self._seed = seed
        self._members = members
        self._rounds = rounds
        self._boosters: list[Any] = []

    def fit(self, features: NDArray[np.float32], targets: Vector) -> None:
        """Fit every member on the same rows with its own sampling of rows and columns."""
        import xgboost

        data = xgboost.DMatrix(features, label=targets, nthread=1)
        self._boosters = [
            xgboost.train(self._settings(member), data, num_boost_round=self._rounds)
            for member in range(self._members)
        ]

    def predict(self, features: NDArray[np.float32]) -> tuple[Vector, Vector]:
        """Return the mean and the standard deviation over the members."""
        import xgboost

        data = xgboost.DMatrix(features, nthread=1)
        predictions = np.stack([booster.predict(data) for booster in self._boosters]).astype(np.float64)
        return predictions.mean(axis=0), predictions.std(axis=0)

    def _settings(self, member: int) -> dict[str, object]:
        return {
            "objective": "reg:squarederror",
            "eta": 0.15,
            "max_depth": 5,
            "min_child_weight": 1,
            "subsample": 0.8,
            "colsample_bytree": 0.8,
            "lambda": 1.0,
            "nthread": 1,
            "seed": self._seed + member,
            "verbosity": 0,
        }
