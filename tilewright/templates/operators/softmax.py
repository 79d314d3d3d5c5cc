"""Softmax and its logarithm, along any axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import get_config
from tilewright.templates.operators.axes import Axes
from tilewright.templates.operators.lanes import greatest_number
from tilewright.templates.operators.operand import FloatDtype, computed_lanes
from tilewright.templates.operators.rows import Passes, Rows, default_rows, schedule_rows
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Program = tuple[Schedule, list[Tensor]]

# Vectors of all rows side by side that keep the processor busy where rows overlap.
OVERLAPPED = 32


def softmax_reference(x: Array, *, axis: Axes) -> Array:
    """The softmax in NumPy."""
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def log_softmax_reference(x: Array, *, axis: Axes) -> Array:
    """Its logarithm in NumPy."""
    less = x - x.max(axis=axis, keepdims=True)
    return np.asarray(less - np.log(np.exp(less).sum(axis=axis, keepdims=True)))


def softmax_default(
    target: Target, threads: int, shape: tuple[int, ...], axis: Axes, dtype: str
) -> dict[str, Any]:
    """The untuned configuration; powers are kept beside the input."""
    rows = Rows.of("softmax", shape, axis, dtype)
    overlapped = max(1, OVERLAPPED * computed_lanes(target, dtype) // rows.length)
    return default_rows(rows, 2, target, threads, overlapped)


def log_softmax_default(
    target: Target, threads: int, shape: tuple[int, ...], axis: Axes, dtype: str
) -> dict[str, Any]:
    """The untuned configuration."""
    return default_rows(Rows.of("log_softmax", shape, axis, dtype), 1, target, threads)


def softmax_flops(shape: tuple[int, ...], **_: Any) -> int:
    """Five for each element: greatest, difference, power, sum and quotient."""
    return 5 * int(np.prod(shape))


@template("softmax", reference=softmax_reference, default=softmax_default, flops=softmax_flops)
def softmax(shape: tuple[int, ...], axis: Axes = -1, dtype: FloatDtype = "float32") -> Program:
    """``exp(x) / sum(exp(x))`` along an axis, or along neighbouring ones."""
    passes = Passes(Rows.of("softmax", shape, axis, dtype))
    row = passes.rows.row
    x = passes.rows.input("x")
    most = passes.reduce("most", greatest_number, lambda *i: x[i])
    passes.part()
    power = passes.map("power", lambda *i: te.exp(x[i] - most[row(*i)]))
    total = passes.reduce("total", te.sum, lambda *i: power[i])
    share = passes.each("share", lambda *i: 1 / total[i])
    y = passes.rows.result(lambda *i: power[i] * share[row(*i)])
    return schedule_rows(get_config(), passes, y), [x.tensor, y]


@template("log_softmax", reference=log_softmax_reference, default=log_softmax_default, flops=softmax_flops)
def log_softmax(shape: tuple[int, ...], axis: Axes = -1, dtype: FloatDtype = "float32") -> Program:
    """``x - log(sum(exp(x)))`` along an axis, or along neighbouring ones."""
    passes = Passes(Rows.of("log_softmax", shape, axis, dtype))
    row = passes.rows.row
    x = passes.rows.input("x")
    most = passes.reduce("most", greatest_number, lambda *i: x[i])
    total = passes.reduce("total", te.sum, lambda *i: te.exp(x[i] - most[row(*i)]))
    less = passes.each("less", lambda *i: te.log(total[i]))
    y = passes.rows.result(lambda *i: x[i] - most[row(*i)] - less[row(*i)])
    return schedule_rows(get_config(), passes, y), [x.tensor, y]
