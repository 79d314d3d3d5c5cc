from typing import Any

import numpy as np

from tilewright.tuners.combined_model import CombinedModel
from tilewright.tuners.gaussian_process import POINTS_LIMIT, GaussianProcess


def bowl(count: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    features = rng.integers(0, 8, (count, 3)).astype(np.float32)
    return features, ((features[:, :2] - 3) ** 2).sum(axis=1).astype(np.float64)


def test_the_process_learns_a_bowl_and_ignores_an_idle_feature() -> None:
    process = GaussianProcess()
    process.fit(*bowl(80, 0))
    unknown, truth = bowl(100, 1)
    assert np.abs(process.predict(unknown)[0] - truth).max() < 1.0


def test_the_spread_is_small_where_it_was_measured() -> None:
    features, targets = bowl(30, 0)
    process = GaussianProcess()
    process.fit(features, targets)
    far = np.full((1, 3), 40.0, dtype=np.float32)
    assert process.predict(features)[1].max() < 0.5 * process.predict(far)[1][0]


def test_equal_targets_and_constant_features_are_no_error() -> None:
    process = GaussianProcess()
    process.fit(np.ones((4, 2), dtype=np.float32), np.ones(4))
    mean, spread = process.predict(np.ones((3, 2), dtype=np.float32))
    assert np.isfinite(mean).all()
    assert np.isfinite(spread).all()


def test_many_points_are_thinned() -> None:
    process = GaussianProcess()
    features, targets = bowl(3 * POINTS_LIMIT, 0)
    process.fit(features, targets)
    assert np.corrcoef(process.predict(features)[0], targets)[0, 1] > 0.99


class Constant:
    def __init__(self, value: float) -> None:
        self.value = value

    def fit(self, features: Any, targets: Any) -> None:
        pass

    def predict(self, features: Any) -> tuple[Any, Any]:
        return np.full(len(features), self.value), np.zeros(len(features))


def test_models_that_disagree_are_unsure() -> None:
    mean, spread = CombinedModel([Constant(1.0), Constant(3.0)]).predict(np.zeros((1, 1), dtype=np.float32))
    assert (mean[0], spread[0]) == (2.0, 1.0)
