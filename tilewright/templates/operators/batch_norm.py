"""Batch norm at inference: each channel has a mean and a variance that are given."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import get_config
from tilewright.templates.operators.axes import normalize_axes
from tilewright.templates.operators.literal import check_finite
from tilewright.templates.operators.operand import FloatDtype, Operand, computed_lanes
from tilewright.templates.operators.sweep import default_sweep, sweep
from tilewright.templates.template import template

Array = npt.NDArray[Any]


def reference(
    x: Array, gamma: Array, beta: Array, mean: Array, variance: Array, *, axis: int, epsilon: float
) -> Array:
    """The norm in NumPy."""
    shape = [1] * x.ndim
    shape[axis] = -1
    gamma, beta, mean, variance = (w.reshape(shape) for w in (gamma, beta, mean, variance))
    return np.asarray((x - mean) / np.sqrt(variance + epsilon) * gamma + beta)


def default(
    target: Target, threads: int, shape: tuple[int, ...], axis: int, dtype: str, epsilon: float
) -> dict[str, Any]:
    """The untuned configuration."""
    return default_sweep(target, threads, _extents(shape, axis), dtype, computed_lanes(target, dtype))


def _extents(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """Images, channels and what is contiguous in one; without the last where channels are."""
    (channel,) = normalize_axes("batch_norm", shape, axis)
    outer, inner = prod(shape[:channel]), prod(shape[channel + 1 :])
    return (outer, shape[channel]) if inner == 1 else (outer, shape[channel], inner)


@template("batch_norm", reference=reference, default=default)
def batch_norm(
    shape: tuple[int, ...], axis: int = 1, epsilon: float = 1e-5, dtype: FloatDtype = "float32"
) -> tuple[Schedule, list[Tensor]]:
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta``; a channel's factor is computed once."""
    check_finite("batch_norm", "epsilon", epsilon, least=0)
    cfg, extents = get_config(), _extents(shape, axis)
    lanes = computed_lanes(cfg.target, dtype)
    x = Operand(te.placeholder(extents, dtype, name="x", argument_shape=shape))
    gamma, beta, mean, variance = (
        Operand(te.placeholder(extents[1:2], dtype, name=name, values=values))
        for name, values in (("gamma", None), ("beta", None), ("mean", None), ("variance", (0, 1)))
    )
    scale = te.compute(extents[1:2], lambda c: gamma[c] * te.rsqrt(variance[c] + epsilon), name="scale")
    y = te.compute(
        extents,
        lambda *i: te.cast(dtype, (x[i] - mean[i[1]]) * scale[i[1]] + beta[i[1]]),
        name="y",
        argument_shape=shape,
    )
    s = sweep(cfg, y, lanes)
    s[scale].vectorize(s[scale].op.axis[0])
    return s, [*(operand.tensor for operand in (x, gamma, beta, mean, variance)), y]
