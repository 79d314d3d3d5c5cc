"""Transposed convolutions: what they are, the schedules of usual ones, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.templates.operators.test_products import check
from tilewright.compiler.build import compile_program, write_llvm
from tilewright.compiler.target import Target
from tilewright.deploy import build
from tilewright.templates.errors import WorkloadError
from tilewright.templates.task import Task

SMALL: dict[str, Any] = {"n": 1, "c": 16, "h": 14, "w": 14, "o": 32}
USUAL: list[dict[str, Any]] = [
    {"kernel": 4, "stride": 2, "padding": 1},
    {"kernel": 2, "stride": 2},
    {"kernel": 3, "stride": 2, "padding": 1, "output_padding": 1},
    {"kernel": 3, "padding": 1},
    {"kernel": 16, "stride": 8, "padding": 4},
    {"kernel": 32, "stride": 16, "padding": 8},
    {"kernel": 4, "stride": 2, "padding": 1, "groups": 4, "epilogue": ("bias", "add", "tanh")},
    {"kernel": 6, "stride": 4, "padding": 1, "groups": 16},
]


@pytest.mark.parametrize("params", USUAL)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_what_networks_have_is_right_and_short(params: dict[str, Any], layout: str) -> None:
    task = Task.create("conv2d_transpose", Target.host(), 1, **SMALL, **params, layout=layout)
    assert check(task, None, np.random.default_rng(0))
    assert compile_program(task.instantiate(task.default_config), task.target).lines < 2000


@pytest.mark.parametrize(("kernel", "stride", "epilogue"), [
    (4, 2, ()), (3, 3, ("bias", "relu")), (5, 4, ("add",)), (3, 2, ("silu",)),
])  # fmt: skip
def test_pixels_of_one_phase_lie_in_the_lanes(kernel: int, stride: int, epilogue: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    cut = max(0, kernel - stride)
    task = Task.create(
        "conv2d_transpose", Target.host(), 1, n=1, c=5, h=6, w=21, o=3, kernel=kernel, stride=stride,
        output_padding=max(0, stride - kernel), padding=(0, 0, cut, cut), epilogue=epilogue,
    )  # fmt: skip
    assert task.default_config["lanes"].val == "pixels"
    assert check(task, None, rng)
    configs = [task.space.config(int(index)) for index in task.space.sample(40, rng)]
    for config in [config for config in configs if config["lanes"].val == "pixels"][:5]:
        assert check(task, config.index, rng)
    code = write_llvm(task.instantiate(task.default_config), task.target, 1)[0].text
    assert "scatter" not in code


def scatter(x: np.ndarray, weight: np.ndarray, **window: Any) -> np.ndarray:
    """The definition, one product at a time."""
    (sy, sx), (top, left, bottom, right), (more_y, more_x), (dy, dx), groups = (
        window[name] for name in ("stride", "padding", "output_padding", "dilation", "groups")
    )
    (n, c, h, w), (_, share, kh, kw) = x.shape, weight.shape
    rows, columns = (h - 1) * sy + (kh - 1) * dy + 1 + more_y, (w - 1) * sx + (kw - 1) * dx + 1 + more_x
    y = np.zeros((n, groups * share, rows, columns))
    for b, k, i, j, f, p, q in np.ndindex(n, c, h, w, share, kh, kw):
        channel = k // (c // groups) * share + f
        y[b, channel, i * sy + p * dy, j * sx + q * dx] += x[b, k, i, j] * weight[k, f, p, q]
    return y[:, :, top : rows - bottom, left : columns - right]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_reference_is_the_definition(layout: str) -> None:
    rng = np.random.default_rng(1)
    window = {
        "stride": (2, 3),
        "padding": (1, 0, 2, 1),
        "output_padding": (1, 2),
        "dilation": (1, 2),
        "groups": 2,
    }
    x, weight = rng.uniform(-1, 1, (2, 4, 4, 5)), rng.uniform(-1, 1, (4, 3, 3, 2))
    expected = scatter(x, weight, **window)
    task = Task.create(
        "conv2d_transpose", Target.host(), 1, n=2, c=4, h=4, w=5, o=6, kernel=(3, 2), **window,
        layout=layout, dtype="float64",
    )  # fmt: skip
    assert task.reference is not None
    image = x if layout == "NCHW" else x.transpose(0, 2, 3, 1)
    wanted = expected if layout == "NCHW" else expected.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(task.reference(image, weight), wanted, atol=1e-12)
    assert task.flops == 2 * x.size * 3 * 3 * 2


def test_what_no_tap_reaches_is_zero_and_not_a_number_stays_where_it_is() -> None:
    conv = build("conv1d_transpose", threads=1, n=1, c=1, w=4, o=1, kernel=3, stride=4, output_padding=3)
    x = np.array([[[1, np.nan, 2, np.inf]]], "float32")
    y = conv(x, np.ones((1, 1, 3), "float32"))
    spread = [1, 1, 1, 0, np.nan, np.nan, np.nan, 0, 2, 2, 2, 0, np.inf, np.inf, np.inf, 0, 0, 0]
    np.testing.assert_array_equal(y[0, 0], spread)


def test_a_layer_is_bound_once() -> None:
    conv = build("conv2d_transpose", threads=1, n=1, c=8, h=10, w=12, o=20, kernel=4, stride=2, padding=1)
    rng = np.random.default_rng(0)
    x, weight = (rng.uniform(-1, 1, s.shape).astype("float32") for s in conv.inputs)
    layer = conv.bind(weight=weight)
    np.testing.assert_allclose(layer(x), conv(x, weight), rtol=1e-5, atol=1e-5)
    assert layer(x).shape == (1, 20, 20, 24)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kernel": 3, "padding": 9}, "leaves nothing of the result"),
        ({"kernel": 3, "groups": 2}, "groups=2 must divide c=3 and o=4"),
        ({"kernel": 3, "padding": (1, -1)}, "padding must not be negative"),
        ({"kernel": 3, "stride": 2, "output_padding": 2}, "output_padding"),
        ({"kernel": 3, "stride": 2, "output_padding": -1}, "output_padding"),
        ({"kernel": 3, "stride": 0}, "stride"),
        ({"kernel": 3, "layout": "NWHC"}, "layout"),
    ],
)
def test_what_cannot_be_is_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        _ = Task.create("conv2d_transpose", Target.host(), 1, n=1, c=3, h=7, w=7, o=4, **params).space
