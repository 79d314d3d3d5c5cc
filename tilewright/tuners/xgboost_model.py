"""Boosted trees: a small bagged ensemble whose disagreement is the spread, and the chance to fail."""

from typing import Any

import numpy as np

from tilewright.tuners.cost_model import CostModel
from tilewright.tuners.points import Points
from tilewright.tuners.prior import Vector

MEMBERS = 3
ROUNDS = 60
_FAILURE_ROUNDS = 30


class XGBoostModel(CostModel):
    """An ensemble of boosted trees; xgboost is imported when it is first fitted."""

    def __init__(self, seed: int, members: int = MEMBERS, rounds: int = ROUNDS, **settings: object) -> None:
        self._seed = seed
        self._members = members
        self._rounds = rounds
        self._special = settings
        self._boosters: list[Any] = []

    def fit(self, points: Points, targets: Vector) -> None:
        """Fit every member on the same rows with its own sampling of rows and columns."""
        import xgboost

        data = xgboost.DMatrix(points.columns, label=targets, nthread=1)
        self._boosters = [
            xgboost.train(self._settings(member), data, num_boost_round=self._rounds)
            for member in range(self._members)
        ]

    def predict(self, points: Points) -> tuple[Vector, Vector]:
        """Return the mean and the standard deviation over the members."""
        import xgboost

        data = xgboost.DMatrix(points.columns, nthread=1)
        predictions = np.stack([booster.predict(data) for booster in self._boosters]).astype(np.float64)
        return predictions.mean(axis=0), predictions.std(axis=0)

    def _settings(self, member: int) -> dict[str, object]:
        return {
            **_settings(self._seed + member),
            "objective": "reg:squarederror",
            "subsample": 0.8,
            **self._special,
        }


class FailureModel:
    """The chance of a configuration to fail, by boosted trees; none without an example of either kind."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._booster: Any = None

    def fit(self, points: Points, failed: Vector) -> None:
        """Learn which points failed: 1 for those that did."""
        import xgboost

        self._booster = None
        if 0 < failed.sum() < len(failed):
            settings = {**_settings(self._seed), "objective": "binary:logistic"}
            data = xgboost.DMatrix(points.columns, label=failed, nthread=1)
            self._booster = xgboost.train(settings, data, num_boost_round=_FAILURE_ROUNDS)

    def predict(self, points: Points) -> Vector:
        """Return the chance of each point to fail.

        Raises:
            ArithmeticError: one is not finite.
        """
        import xgboost

        if self._booster is None:
            return np.zeros(len(points))
        chances = self._booster.predict(xgboost.DMatrix(points.columns, nthread=1))
        if not np.isfinite(chances).all():
            raise ArithmeticError("it predicts no finite chance to fail")
        return np.asarray(chances, dtype=np.float64)


def _settings(seed: int) -> dict[str, object]:
    return {
        "eta": 0.15,
        "max_depth": 5,
        "min_child_weight": 1,
        "colsample_bytree": 0.8,
        "lambda": 1.0,
        "nthread": 1,
        "seed": seed % (1 << 31),
        "verbosity": 0,
    }
