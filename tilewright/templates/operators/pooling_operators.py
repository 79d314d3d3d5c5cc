"""The pooling operators: maxima and averages of windows, and of whole images, in one to three dimensions."""

from __future__ import annotations

from typing import Any

from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import get_config
from tilewright.templates.operators import pooling
from tilewright.templates.operators.global_pooling import default_mean, mean_reference, schedule_mean
from tilewright.templates.operators.operand import FloatDtype
from tilewright.templates.operators.pooling import Array, Pooling, make_window
from tilewright.templates.operators.window import Layout, Layout1d, Layout3d
from tilewright.templates.template import template

One = int | tuple[int, ...]
Program = tuple[Schedule, list[Tensor]]


def describe(kind: str, arguments: dict[str, Any]) -> Pooling:
    """A pooling from an operator's parameters."""
    extents = tuple(arguments[name] for name in ("d", "h", "w") if name in arguments)
    window = make_window(extents, *(arguments[name] for name in ("kernel", "stride", "padding", "dilation")))
    counts_padding = arguments.get("count_include_pad", True)
    outer = (arguments["n"], arguments["c"])
    return Pooling(kind, outer, extents, window, arguments["layout"], arguments["dtype"], counts_padding)


def max_reference(x: Array, **arguments: Any) -> Array:
    """The maxima in NumPy."""
    return pooling.reference(describe("max", arguments), x)


def avg_reference(x: Array, **arguments: Any) -> Array:
    """The averages in NumPy."""
    return pooling.reference(describe("avg", arguments), x)


def max_default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration."""
    return pooling.default_pooling(describe("max", arguments), target, threads)


def avg_default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration."""
    return pooling.default_pooling(describe("avg", arguments), target, threads)


def max_flops(**arguments: Any) -> int:
    """A comparison for each element of each window."""
    return describe("max", arguments).flops


def avg_flops(**arguments: Any) -> int:
    """An addition for each element of each window."""
    return describe("avg", arguments).flops


@template("max_pool1d", reference=max_reference, default=max_default, flops=max_flops)
def max_pool1d(
    n: int,
    c: int,
    w: int,
    kernel: One,
    stride: One | None = None,
    padding: One = 0,
    dilation: One = 1,
    layout: Layout1d = "NCW",
    dtype: FloatDtype = "float32",
) -> Program:
    """The maximum of each window; without a stride the windows lie side by side."""
    return pooling.schedule_pooling(get_config(), describe("max", locals()))


@template("avg_pool1d", reference=avg_reference, default=avg_default, flops=avg_flops)
def avg_pool1d(
    n: int,
    c: int,
    w: int,
    kernel: One,
    stride: One | None = None,
    padding: One = 0,
    dilation: One = 1,
    count_include_pad: bool = True,
    layout: Layout1d = "NCW",
    dtype: FloatDtype = "float32",
) -> Program:
    """The average of each window; without a stride the windows lie side by side."""
    return pooling.schedule_pooling(get_config(), describe("avg", locals()))


@template("global_avg_pool1d", reference=mean_reference, default=default_mean)
def global_avg_pool1d(
    n: int, c: int, w: int, layout: Layout1d = "NCW", dtype: FloatDtype = "float32"
) -> Program:
    """The average of each channel."""
    return schedule_mean(get_config(), (n, c), (w,), layout, dtype)


@template("max_pool2d", reference=max_reference, default=max_default, flops=max_flops)
def max_pool2d(
    n: int,
    c: int,
    h: int,
    w: int,
    kernel: One,
    stride: One | None = None,
    padding: One = 0,
    dilation: One = 1,
    layout: Layout = "NCHW",
    dtype: FloatDtype = "float32",
) -> Program:
    """The maximum of each window; without a stride the windows lie side by side."""
    return pooling.schedule_pooling(get_config(), describe("max", locals()))


@template("avg_pool2d", reference=avg_reference, default=avg_default, flops=avg_flops)
def avg_pool2d(
    n: int,
    c: int,
    h: int,
    w: int,
    kernel: One,
    stride: One | None = None,
    padding: One = 0,
    dilation: One = 1,
    count_include_pad: bool = True,
    layout: Layout = "NCHW",
    dtype: FloatDtype = "float32",
) -> Program:
    """The average of each window; without a stride the windows lie side by side."""
    return pooling.schedule_pooling(get_config(), describe("avg", locals()))


@template("global_avg_pool2d", reference=mean_reference, default=default_mean)
def global_avg_pool2d(
    n: int, c: int, h: int, w: int, layout: Layout = "NCHW", dtype: FloatDtype = "float32"
) -> Program:
    """The average of each channel."""
    return schedule_mean(
        get_config(),
        (n, c),
        (
            h,
            w,
        ),
        layout,
        dtype,
    )


@template("max_pool3d", reference=max_reference, default=max_default, flops=max_flops)
def max_pool3d(
    n: int,
    c: int,
    d: int,
    h: int,
    w: int,
    kernel: One,
    stride: One | None = None,
    padding: One = 0,
    dilation: One = 1,
    layout: Layout3d = "NCDHW",
    dtype: FloatDtype = "float32",
) -> Program:
    """The maximum of each window; without a stride the windows lie side by side."""
    return pooling.schedule_pooling(get_config(), describe("max", locals()))


@template("avg_pool3d", reference=avg_reference, default=avg_default, flops=avg_flops)
def avg_pool3d(
    n: int,
    c: int,
    d: int,
    h: int,
    w: int,
    kernel: One,
    stride: One | None = None,
    padding: One = 0,
    dilation: One = 1,
    count_include_pad: bool = True,
    layout: Layout3d = "NCDHW",
    dtype: FloatDtype = "float32",
) -> Program:
    """The average of each window; without a stride the windows lie side by side."""
    return pooling.schedule_pooling(get_config(), describe("avg", locals()))


@template("global_avg_pool3d", reference=mean_reference, default=default_mean)
def global_avg_pool3d(
    n: int, c: int, d: int, h: int, w: int, layout: Layout3d = "NCDHW", dtype: FloatDtype = "float32"
) -> Program:
    """The average of each channel."""
    return schedule_mean(
        get_config(),
        (n, c),
        (
            d,
            h,
            w,
        ),
        layout,
        dtype,
    )
