from typing import Any

import numpy as np
import pytest

from tilewright.tuners.acquisition import Opinion, fill_space, pick_batch
from tilewright.tuners.pending_picks import UnrelatedPicks
from tilewright.tuners.points import Points
from tilewright.tuners.xgboost_model import FailureModel, XGBoostModel


def bowl(count: int, seed: int) -> tuple[Points, Any]:
    rng = np.random.default_rng(seed)
    features = rng.integers(0, 8, (count, 3)).astype(np.float32)
    return Points.of_features(features), np.log(1.0 + ((features - 3) ** 2).sum(axis=1))


def test_the_model_learns_a_bowl() -> None:
    model = XGBoostModel(0)
    model.fit(*bowl(200, 0))
    unknown, truth = bowl(100, 1)
    mean, spread = model.predict(unknown)
    assert np.corrcoef(mean, truth)[0, 1] > 0.9
    assert (spread >= 0).all()


def test_the_same_seed_fits_the_same_model() -> None:
    points, targets = bowl(50, 0)
    models = [XGBoostModel(3), XGBoostModel(3)]
    for model in models:
        model.fit(points, targets)
    first, second = (model.predict(points)[0] for model in models)
    assert (first == second).all()


def test_the_chance_to_fail_is_high_where_points_failed() -> None:
    points, targets = bowl(200, 0)
    model = FailureModel(0)
    model.fit(points, (targets > np.median(targets)).astype(np.float64))
    unknown, truth = bowl(100, 1)
    chances, fails = model.predict(unknown), truth > np.median(targets)
    assert chances[fails].mean() > 0.7 > 0.3 > chances[~fails].mean()


def test_without_a_failure_none_is_expected() -> None:
    points, targets = bowl(20, 0)
    model = FailureModel(0)
    model.fit(points, np.zeros_like(targets))
    assert not model.predict(points).any()


def opinion(mean: Any, spread: Any) -> Opinion:
    return Opinion(np.array(mean), np.array(spread), UnrelatedPicks(len(mean)))


def test_a_batch_starts_with_the_lowest_optimistic_cost() -> None:
    one = opinion([1.0, 0.5, 0.6], [0.0, 0.0, 0.3])
    assert pick_batch({0: one}, [0] * 5, np.zeros(3)).tolist() == [2, 1, 0]
    assert pick_batch({0: one}, [0], np.array([0.0, 0.0, 1.0])).tolist() == [1]


def test_each_pick_of_a_batch_follows_its_own_opinion() -> None:
    none = np.zeros(3)
    sides = dict(enumerate([opinion([0.0, 1.0, 2.0], none), opinion([2.0, 1.0, 0.0], none)]))
    assert pick_batch(sides, [0, 1, 1, 0], none).tolist() == [0, 2, 1]


def test_filling_takes_points_far_from_the_known_and_each_other() -> None:
    points = np.array([[0.0], [1.0], [5.0], [10.0]], dtype=np.float32)
    assert fill_space(points, points[:1], 2).tolist() == [3, 2]


def test_any_seed_will_do() -> None:
    points = Points.of_features(np.arange(20.0, dtype=np.float32)[:, None])
    model = XGBoostModel(2**63)
    model.fit(points, np.arange(20.0))
    assert np.isfinite(model.predict(points)[0]).all()


def test_a_chance_to_fail_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import xgboost

    points = Points.of_features(np.arange(20.0, dtype=np.float32)[:, None])
    model = FailureModel(0)
    model.fit(points, (np.arange(20) > 9).astype(np.float64))
    monkeypatch.setattr(xgboost.Booster, "predict", lambda self, data: np.full(20, np.nan))
    with pytest.raises(ArithmeticError, match="no finite chance"):
        model.predict(points)
