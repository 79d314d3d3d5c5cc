"""A prior made from an estimate: ranks as it does, asks seldom, and fails without harm."""

import logging
import math
import sys

import numpy as np
import pytest

from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.target import Target
from tilewright.templates.config import Config
from tilewright.templates.config_cost import config_cost
from tilewright.templates.constraints import Ordinals
from tilewright.templates.space import ConfigSpace
from tilewright.templates.task import Task
from tilewright.tuners.distilled_prior import distil_prior
from tilewright.tuners.prior import Vector
from tilewright.tuners.registry import make_tuner


@pytest.fixture(scope="module")
def space() -> ConfigSpace:
    return Task.create("matmul", Target.host(), 1, m=512, n=512, k=512).space


class Bowl:
    """An estimate that is least at six rows and two vectors, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, config: Config) -> float:
        self.asked.append(config.index)
        values = config.to_json()
        rows, vectors = float(str(values["rows"])), float(str(values["vectors"]))
        return abs(math.log2(rows / 6)) + abs(math.log2(vectors / 2))


def rank_correlation(left: Vector, right: Vector) -> float:
    a, b = (np.argsort(np.argsort(values)) - (len(values) - 1) / 2 for values in (left, right))
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def drawn(space: ConfigSpace, count: int, seed: int) -> Ordinals:
    return np.array(space.sample(count, np.random.default_rng(seed)), dtype=space.index_dtype)


def test_ten_thousand_are_ranked_and_few_are_estimated(space: ConfigSpace) -> None:
    bowl = Bowl()
    prior = distil_prior(space, bowl, 0, sample=200, seconds=60)
    assert prior is not None
    assert len(bowl.asked) <= 200
    indices = drawn(space, 10_000, 1)
    values = prior(space, indices)
    assert values.shape == (10_000,)
    assert len(bowl.asked) <= 200
    truth = np.array([bowl(space.config(index)) for index in indices[:500].tolist()])
    assert rank_correlation(values[:500], truth) > 0.9


def test_the_same_seed_makes_the_same_prior(space: ConfigSpace) -> None:
    indices = drawn(space, 500, 2)
    first, second = (distil_prior(space, Bowl(), 3, sample=60, seconds=60) for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first(space, indices) == second(space, indices)).all()


def test_the_default_is_estimated_first_and_kept_exactly(space: ConfigSpace) -> None:
    bowl = Bowl()
    default = space.config(space.sample(1, np.random.default_rng(5))[0])
    prior = distil_prior(space, bowl, 0, default=default, sample=40, seconds=60)
    assert prior is not None
    assert bowl.asked[0] == default.index
    (value,) = prior(space, np.array([default.index], dtype=space.index_dtype))
    assert value == bowl(default)


def test_a_small_space_is_known_whole() -> None:
    task = Task.create("softmax", Target.host(), 1, shape=(64, 128))
    points = drawn(task.space, 1000, 0)
    prior = distil_prior(task.space, lambda c: float(c.index % 7), 0, sample=1000, seconds=60)
    assert prior is not None
    assert prior(task.space, points).tolist() == [index % 7 for index in points.tolist()]


def test_time_that_is_over_ends_the_sample(space: ConfigSpace) -> None:
    bowl = Bowl()
    distil_prior(space, bowl, 0, sample=200, seconds=-1.0)
    assert len(bowl.asked) < 5


def test_configurations_that_cannot_be_built_are_left_out(space: ConfigSpace) -> None:
    def estimate(config: Config) -> float:
        if config.index % 2:
            raise TilewrightError("no")
        return float(config.index % 10)

    assert distil_prior(space, estimate, 0, sample=60, seconds=60) is not None


def refuse(config: Config) -> float:
    raise ZeroDivisionError("estimate")


@pytest.mark.parametrize("cause", ["estimate", "xgboost", "nothing"])
def test_a_failure_is_one_warning_and_no_prior(
    space: ConfigSpace, cause: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimate = Bowl() if cause == "xgboost" else (refuse if cause == "estimate" else lambda _: np.inf)
    if cause == "xgboost":
        monkeypatch.setitem(sys.modules, "xgboost", None)
    with caplog.at_level(logging.WARNING):
        assert distil_prior(space, estimate, 0, sample=20, seconds=60) is None
    assert len(caplog.records) == 1
    assert "no prior" in caplog.text


def test_a_tuner_begins_where_the_estimate_is_low() -> None:
    task = Task.create("matmul", Target.host(), 1, m=256, n=256, k=256)
    prior = distil_prior(
        task.space, lambda c: config_cost(task, c).log_cycles, 0, default=task.default_config, sample=60
    )
    tuner = make_tuner("xgb", task.space, 0, priors=[prior])
    some = [task.space.config(index) for index in drawn(task.space, 30, 0).tolist()]
    usual = np.median([config_cost(task, config).cycles for config in some])
    guided, far = (batch := tuner.next_batch(4))[:2], batch[2:]
    assert all(config_cost(task, config).cycles < usual for config in guided)
    assert len(far) == 2  # the others lie apart, in case the estimate misleads
