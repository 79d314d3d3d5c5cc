import logging
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tilewright.tuners import Observation, make_tuner
from tilewright.tuners.model_based import ModelBasedSearch

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
    history = recorded.search("random", 1, 60)
    later = recorded.search("xgb", 0, 16, history=history)
    assert recorded.fraction(later) > recorded.fraction(history)


def test_a_prior_leads_the_first_points(recorded: Any) -> None:
    def prior(space: Any, indices: Any) -> Any:
        costs = [recorded.costs[int(index)] for index in indices]
        return np.array([0.0 if cost is None else math.log(cost) for cost in costs])

    first = recorded.search("xgb", 0, 8, priors=[prior])
    blind = recorded.search("xgb", 0, 8)
    assert recorded.fraction(first) > recorded.fraction(blind)


class BrokenModel:
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
    assert [record.getMessage() for record in caplog.records] == [
        "the cost model failed (labels are wrong); the search goes on without it"
    ]


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
