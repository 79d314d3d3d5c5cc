"""Pooling: large windows, missing values, parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.templates.test_epilogue import check, compile_config
from tilewright.compiler.target import Target
from tilewright.templates.errors import TemplateError, WorkloadError
from tilewright.templates.task import Task


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
