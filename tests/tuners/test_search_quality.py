import logging
import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from tilewright.tuners import Observation, make_tuner
from tilewright.tuners.cost_model import CostModel
from tilewright.tuners.model_based import IN_VAIN, ModelBasedSearch
from tilewright.tuners.stagnation import evaluations_in_vain

SEEDS = range(10)
TRIALS = 64


def mean_fraction(recorded: Any, name: str) -> float:
    return float(np.mean([recorded.fraction(recorded.search(name, seed, TRIALS)) for seed in SEEDS]))


@pytest.mark.parametrize(("name", "least"), [("xgb", 0.95), ("ga", 0.9), ("descent", 0.9)])
def test_it_beats_random_at_equal_trials(recorded: Any, name: str, least: float) -> None:
    found = mean_fraction(recorded, name)
    assert found > mean_fraction(recorded, "random")
    assert found > least


def test_history_saves_trials(recorded: Any) -> None:
    found: dict[bool, list[float]] = {True: [], False: []}
    for seed in SEEDS:
        history = recorded.search("random", seed, 60)
        for known in found:
            later = recorded.search("xgb", seed, 16, history=history if known else ())
            found[known].append(recorded.fraction(later))
    assert np.mean(found[True]) > np.mean(found[False])


def test_a_prior_leads_the_first_points(recorded: Any) -> None:
    def prior(space: Any, indices: Any) -> Any:
        costs = [recorded.costs[int(index)] for index in indices]
        return np.array([0.0 if cost is None else math.log(cost) for cost in costs])

    first = recorded.search("xgb", 0, 8, priors=[prior])
    blind = recorded.search("xgb", 0, 8)
    assert recorded.fraction(first) > recorded.fraction(blind)


class BrokenModel(CostModel):
    def __init__(self, space: Any, seed: int) -> None:
        self.seed = seed

    def fit(self, features: Any, targets: Any) -> None:
        raise ValueError("labels are wrong")

    def predict(self, features: Any) -> Any:
        raise AssertionError("never fitted")


def test_a_failing_model_degrades_the_search_with_one_warning(
    recorded: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        tuner = ModelBasedSearch(recorded.space, 0, make_model=BrokenModel)
        trials = 0
        while trials < 64:
            configs = tuner.next_batch(8)
            tuner.update([Observation(config, recorded.costs[config.index]) for config in configs])
            trials += len(configs)
    assert trials == 64
    assert min(filter(None, tuner.costs.values())) < recorded.optimum / 0.93
    assert [record.getMessage() for record in caplog.records] == [
        "the cost model failed (labels are wrong); the search goes on with a simpler one"
    ]


class StubbornModel(CostModel):
    """Expects most of the slowest, whatever it learns."""

    costs: ClassVar[dict[tuple[int, ...], float]] = {}

    def __init__(self, space: Any, seed: int) -> None:
        self.seed = seed

    def fit(self, points: Any, targets: Any) -> None:
        pass

    def predict(self, points: Any) -> Any:
        means = np.array([-self.costs[tuple(choice)] for choice in points.choices.tolist()])
        return means, np.full(len(means), 1e-6)


def test_where_experts_are_long_in_vain_another_takes_their_place(
    recorded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = recorded.space.ordinals(np.array(list(recorded.costs))).tolist()
    costs = [1.0 if cost is None else cost for cost in recorded.costs.values()]
    monkeypatch.setattr(StubbornModel, "costs", dict(zip(map(tuple, rows), costs, strict=True)))
    tuner = ModelBasedSearch(recorded.space, 0, make_model=StubbornModel)
    batches = []
    for _ in range(12):
        configs = tuner.next_batch(8)
        seen = [Observation(config, recorded.costs[config.index]) for config in configs]
        tuner.update(seen)
        batches.append(recorded.fraction(seen))
    first, turned = max(batches[:1]), 1 + IN_VAIN // 8
    assert max(batches[1:turned]) < first
    assert max(batches[turned:]) > 0.95


def test_the_time_in_vain_counts_from_the_last_gain() -> None:
    assert evaluations_in_vain(np.array([])) == 0
    assert evaluations_in_vain(np.array([np.inf, np.inf])) == 2
    assert evaluations_in_vain(np.array([np.inf, 5.0])) == 0
    assert evaluations_in_vain(np.array([5.0, 9.0, 4.0, 4.5, np.inf])) == 2
    assert evaluations_in_vain(np.array([5.0, 4.99, 4.98])) == 2  # less than a hundredth is no gain
    assert evaluations_in_vain(np.array([5.0, 4.9, 4.87])) == 1  # nor is it over what was a gain


def test_grid_visits_the_indices_in_order(recorded: Any) -> None:
    indices = [observation.config.index for observation in recorded.search("grid", 0, 30)]
    assert indices == list(map(int, recorded.space.valid_points[:30]))


def test_failures_are_avoided(recorded: Any) -> None:
    """As if wide tiles whose reduction is unrolled needed too much code: a third of what is fast."""

    def cost(index: int) -> float | None:
        config = recorded.space.config(index)
        too_large = config["unroll_k"].val > 1 and config["rows"].val * config["vectors"].val >= 12
        return None if too_large else recorded.costs[index]

    failing = replace(recorded, costs={index: cost(index) for index in recorded.costs})
    share = sum(value is None for value in failing.costs.values()) / len(failing.costs)
    failures = [sum(o.cost_seconds is None for o in failing.search("xgb", seed, 64)) for seed in range(5)]
    assert share > 0.2
    assert np.mean(failures) < 64 * 0.6 * share


def test_tuners_take_batches_of_any_length(recorded: Any) -> None:
    tuner = make_tuner("xgb", recorded.space, 0)
    for length in (1, 40, 3):
        configs = tuner.next_batch(length)
        assert len(configs) == length
        tuner.update([Observation(config, recorded.costs[config.index]) for config in configs])


def test_hope_fades_once_the_best_is_known(recorded: Any) -> None:
    tuner = make_tuner("xgb", recorded.space, 0)
    hopes = [tuner.hope]
    for _ in range(24):
        configs = tuner.next_batch(8)
        tuner.update([Observation(config, recorded.costs[config.index]) for config in configs])
        hopes.append(tuner.hope)
    assert hopes[0] == 1.0
    assert np.mean(hopes[-4:]) < 0.5 * np.mean(hopes[2:6])
