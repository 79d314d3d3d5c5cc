"""Features of loop nests: always as many, always finite, and different where nests differ."""

from typing import Any

import numpy as np
import pytest

from tilewright.compiler.target import Target
from tilewright.templates.config_cost import config_cost
from tilewright.templates.registry import OPERATORS
from tilewright.templates.task import Task
from tilewright.tuners.nest_features import FEATURE_NAMES, nest_features

WORKLOADS: dict[str, dict[str, Any]] = {
    "matmul": {"m": 37, "n": 70, "k": 33},
    "dense": {"m": 16, "n": 64, "k": 48, "dtype": "uint8"},
    "conv2d": {"n": 1, "c": 5, "h": 13, "w": 12, "o": 18, "kernel": 3, "padding": 1, "layout": "NHWC"},
    "conv2d_transpose": {"n": 1, "c": 4, "h": 7, "w": 6, "o": 8, "kernel": 3, "stride": 2},
    "depthwise_conv2d": {"n": 1, "c": 6, "h": 14, "w": 14, "kernel": 3, "padding": 1},
    "attention": {"b": 1, "heads": 2, "m": 17, "n": 33, "d": 16, "causal": True},
    "softmax": {"shape": (7, 100)},
    "layer_norm": {"shape": (5, 64)},
    "argmax": {"shape": (5, 64), "axis": 1},
    "gather": {"shape": (50, 16), "indices": (7,), "axis": 0},
    "resize": {"n": 1, "c": 3, "h": 8, "w": 8, "size": (16, 12)},
    "max_pool2d": {"n": 1, "c": 4, "h": 15, "w": 15, "kernel": 3, "stride": 2},
    "elementwise": {"shape": (40, 30), "chain": "gelu(x + y)"},
    "reduce_sum": {"shape": (4, 500), "axis": 1},
    "transpose": {"shape": (30, 40)},
}


@pytest.mark.parametrize("op", WORKLOADS)
def test_there_are_always_as_many_finite_numbers(op: str) -> None:
    task = Task.create(op, Target.host(), 2, **WORKLOADS[op])
    indices = task.space.sample(6, np.random.default_rng(0))
    for config in (task.default_config, *(task.space.config(index) for index in indices)):
        cost = config_cost(task, config)
        found = nest_features(cost)
        assert found.shape == (len(FEATURE_NAMES),)
        assert np.isfinite(found).all()
        assert cost.cycles > 0


def test_every_feature_has_a_name_of_its_own() -> None:
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)
    assert set(WORKLOADS) <= set(OPERATORS)


def test_numbers_say_what_their_names_do() -> None:
    task = Task.create("matmul", Target.host(), 1, m=64, n=64, k=64)
    values = {"rows": 4, "vectors": 1, "pack": "none", "unroll_k": 1}
    config = task.space.from_values({**task.default_config.to_json(), **values})
    found = dict(zip(FEATURE_NAMES, nest_features(config_cost(task, config)).tolist(), strict=True))
    assert found["main_copies"] == pytest.approx(np.log2(1 + 4))
    assert found["main_vectors"] == pytest.approx(1)
    assert found["main_accumulators"] == pytest.approx(np.log2(1 + 4))
    assert found["main_spilled"] == 0
    assert found["main_is_carried"] == 1
    assert found["main_trips_0"] == pytest.approx(np.log2(1 + 64))


def test_configurations_of_other_nests_have_other_features() -> None:
    task = Task.create("matmul", Target.host(), 1, m=256, n=256, k=256)
    indices = task.space.sample(30, np.random.default_rng(1))
    rows = {nest_features(config_cost(task, task.space.config(i))).tobytes() for i in indices}
    assert len(rows) > 25
