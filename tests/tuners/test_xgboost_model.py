from typing import Any

import numpy as np

from tilewright.tuners.acquisition import fill_space, pick_batch
from tilewright.tuners.xgboost_model import XGBoostModel


def bowl(count: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    features = rng.integers(0, 8, (count, 3)).astype(np.float32)
    return features, np.log(1.0 + ((features - 3) ** 2).sum(axis=1))


def test_the_model_learns_a_bowl() -> None:
    features, targets = bowl(200, 0)
    model = XGBoostModel(0)
    model.fit(features, targets)
    unknown, truth = bowl(100, 1)
    mean, spread = model.predict(unknown)
    assert np.corrcoef(mean, truth)[0, 1] > 0.9
    assert (spread >= 0).all()


def test_the_same_seed_fits_the_same_model() -> None:
    features, targets = bowl(50, 0)
    models = [XGBoostModel(3), XGBoostModel(3)]
    for model in models:
        model.fit(features, targets)
    first, second = (model.predict(features)[0] for model in models)
    assert (first == second).all()


def test_a_batch_starts_with_the_lowest_optimistic_cost() -> None:
    mean, spread = np.array([1.0, 0.5, 0.6]), np.array([0.0, 0.0, 0.3])
    picked = pick_batch(mean, spread, 3, np.random.default_rng(0))
    assert picked[0] == 2
    assert sorted(picked) == [0, 1, 2]


def test_filling_takes_points_far_from_the_known_and_each_other() -> None:
    points = np.array([[0.0], [1.0], [5.0], [10.0]], dtype=np.float32)
    assert fill_space(points, points[:1], 2).tolist() == [3, 2]
