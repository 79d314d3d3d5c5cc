"""Pooling over random shapes, windows, layouts and configurations, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.templates.test_epilogue import check, compile_config
from tilewright.compiler.target import Target
from tilewright.templates.errors import TemplateError, WorkloadError
from tilewright.templates.task import Task

LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
LONGEST = {1: 200, 2: 40, 3: 14}


def draw_case(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    rank, is_last = int(rng.integers(1, 4)), bool(rng.integers(2))
    params: dict[str, Any] = {"n": int(rng.integers(1, 4)), "c": int(rng.integers(1, 40 if is_last else 6))}
    params |= {"dtype": str(rng.choice(["float32", "float64"])), "layout": LAYOUTS[rank][is_last]}
    names = "dhw"[-rank:]
    params |= {name: int(rng.integers(6, LONGEST[rank])) for name in names}
    kind = str(rng.choice(["max", "avg", "global_avg"], p=[0.4, 0.4, 0.2]))
    if kind != "global_avg":
        params |= draw_window(rng, rank)
    if kind == "avg":
        params["count_include_pad"] = bool(rng.integers(2))
    return f"{kind}_pool{rank}d", params


def draw_window(rng: np.random.Generator, rank: int) -> dict[str, Any]:
    kernel = tuple(int(k) for k in rng.integers(1, 4, rank))
    window: dict[str, Any] = {"kernel": kernel, "dilation": int(rng.integers(1, 3))}
    if rng.integers(2):
        window["stride"] = tuple(int(v) for v in rng.integers(1, 4, rank))
    ends = kernel * int(rng.integers(1, 3))
    window["padding"] = tuple(int(rng.integers(0, (k - 1) * window["dilation"] + 1)) for k in ends)
    return window


@pytest.mark.parametrize("seed", range(40))
def test_default_and_random_configurations_are_right(seed: int) -> None:
    rng = np.random.default_rng(seed)
    op, params = draw_case(rng)
    task = Task.create(op, Target.host(), int(rng.integers(1, 3)), **params)
    check(task, task.default_config, seed)
    for index in task.space.sample(1, rng):
        check(task, task.space.config(int(index)), seed)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_large_window_is_not_written_out(layout: str) -> None:
    task = Task.create(
        "avg_pool2d", Target.host(), 1, n=1, c=64, h=28, w=28, kernel=14, stride=14, layout=layout
    )
    check(task, task.default_config)


def test_a_missing_value_is_the_maximum() -> None:
    task = Task.create("max_pool2d", Target.host(), 1, n=1, c=1, h=6, w=6, kernel=3, stride=1, padding=1)
    for separate in (False, True):
        values = {**task.default_config.to_json(), "separate": separate}
        x = np.zeros((1, 1, 6, 6), np.float32)
        x[0, 0, 2, 3] = np.nan
        y = compile_config(task, task.space.from_values(values))(x)
        assert np.isnan(y[0, 0, 1:4, 2:5]).all()
        assert np.isnan(y).sum() == 9


def test_a_stride_is_the_kernel_unless_given() -> None:
    task = Task.create("max_pool2d", Target.host(), 1, n=1, c=2, h=8, w=9, kernel=(2, 3))
    assert compile_config(task, task.default_config).outputs[0].shape == (1, 2, 4, 3)


def test_operations_are_those_of_the_windows() -> None:
    shape = {"n": 2, "c": 3, "h": 9, "w": 9, "kernel": 3, "stride": 2}
    assert Task.create("max_pool2d", Target.host(), 1, **shape).flops == 2 * 3 * 4 * 4 * 9
    assert Task.create("avg_pool2d", Target.host(), 1, **shape).flops == 2 * 3 * 4 * 4 * 9
    assert Task.create("global_avg_pool2d", Target.host(), 1, n=2, c=3, h=9, w=9).flops == 6 * 81 + 6


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kernel": 9}, "exceed h=8"),
        ({"kernel": 2, "padding": 2}, "padding 2 of h must be less than the window's 2"),
        ({"kernel": 2, "stride": 0}, "stride must be one integer or 2, each at least 1, not 0"),
        ({"kernel": (2, 2, 2)}, "kernel must be one integer or 2"),
        ({"kernel": 2, "padding": (1, 0, 1)}, "padding must be one integer or 2"),
        ({"kernel": 0}, "kernel must be a positive integer"),
        ({"kernel": 2, "layout": "HWCN"}, "layout must be one of 'NCHW', 'NHWC'"),
    ],
)
def test_a_wrong_window_is_named(params: dict[str, Any], message: str) -> None:
    with pytest.raises((WorkloadError, TemplateError), match=message):
        Task.create("max_pool2d", Target.host(), 1, n=1, c=1, h=8, w=8, **params).space  # noqa: B018
