"""Norms along a row: layer norm, and root mean square norm, over any axes that are neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import get_config
from tilewright.templates.operators.axes import Axes, normalize_axes
from tilewright.templates.operators.literal import check_finite
from tilewright.templates.operators.moments import default_norm, moments, norm_flops
from tilewright.templates.operators.operand import FloatDtype
from tilewright.templates.operators.rows import Passes, Rows, default_rows, schedule_rows
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Program = tuple[Schedule, list[Tensor]]


def layer_norm_reference(x: Array, gamma: Array, beta: Array, *, axis: Axes, epsilon: float) -> Array:
    """The norm in NumPy."""
    less = x - x.mean(axis=axis, keepdims=True)
    scale = np.sqrt((less * less).mean(axis=axis, keepdims=True) + epsilon)
    return np.asarray(less / scale * _along(gamma, x.ndim, axis) + _along(beta, x.ndim, axis))


def rms_norm_reference(x: Array, gamma: Array, *, axis: Axes, epsilon: float) -> Array:
    """The norm in NumPy."""
    scale = np.sqrt((x * x).mean(axis=axis, keepdims=True) + epsilon)
    return np.asarray(x / scale * _along(gamma, x.ndim, axis))


def _along(weights: Array, rank: int, axis: Axes) -> Array:
    """Weights with the axes that they do not have."""
    axes = normalize_axes("norm", (1,) * rank, axis)
    return np.expand_dims(weights, tuple(d for d in range(rank) if d not in axes))


def layer_norm_default(
    target: Target, threads: int, shape: tuple[int, ...], axis: Axes, dtype: str, epsilon: float
) -> dict[str, Any]:
    """The untuned configuration."""
    return default_norm(Rows.of("layer_norm", shape, axis, dtype), target, threads)


def rms_norm_default(
    target: Target, threads: int, shape: tuple[int, ...], axis: Axes, dtype: str, epsilon: float
) -> dict[str, Any]:
    """The untuned configuration."""
    return default_rows(Rows.of("rms_norm", shape, axis, dtype), 1, target, threads, least=2)


@template("layer_norm", reference=layer_norm_reference, default=layer_norm_default, flops=norm_flops)
def layer_norm(
    shape: tuple[int, ...], axis: Axes = -1, epsilon: float = 1e-5, dtype: FloatDtype = "float32"
) -> Program:
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta`` along an axis, or along neighbouring ones."""
    check_finite("layer_norm", "epsilon", epsilon, least=0)
    passes = Passes(Rows.of("layer_norm", shape, axis, dtype))
    rows, row = passes.rows, passes.rows.row
    x, gamma, beta = rows.input("x"), rows.weights("gamma"), rows.weights("beta")
    of = moments(passes, x)
    scale = passes.each("scale", lambda *i: te.rsqrt(of.variance[i] + epsilon))

    def element(*i: te.Expr) -> te.Expr:
        value: te.Expr = (x[i] - of.mean[row(*i)]) * scale[row(*i)] * gamma[i[1]] + beta[i[1]]
        return value

    y = rows.result(element)
    return schedule_rows(get_config(), passes, y), [x.tensor, gamma.tensor, beta.tensor, y]


@template("rms_norm", reference=rms_norm_reference, default=rms_norm_default)
def rms_norm(
    shape: tuple[int, ...], axis: Axes = -1, epsilon: float = 1e-5, dtype: FloatDtype = "float32"
) -> Program:
    """``x / sqrt(mean(x * x) + epsilon) * gamma`` along an axis, or along neighbouring ones."""
    check_finite("rms_norm", "epsilon", epsilon, least=0)
    passes = Passes(Rows.of("rms_norm", shape, axis, dtype))
    rows, row = passes.rows, passes.rows.row
    x, gamma = rows.input("x"), rows.weights("gamma")
    squares = passes.reduce("squares", te.sum, lambda *i: x[i] * x[i])
    scale = passes.each("scale", lambda *i: te.rsqrt(squares[i] * (1 / rows.length) + epsilon))
    y = rows.result(lambda *i: x[i] * scale[row(*i)] * gamma[i[1]])
    return schedule_rows(get_config(), passes, y), [x.tensor, gamma.tensor, y]
