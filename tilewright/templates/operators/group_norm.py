"""Group norm: each group of channels of an image has its own mean and variance. Channels come first."""

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
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.literal import check_finite
from tilewright.templates.operators.moments import moments, norm_flops
from tilewright.templates.operators.operand import FloatDtype, Operand
from tilewright.templates.operators.rows import Passes, Rows, default_rows, schedule_rows
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Program = tuple[Schedule, list[Tensor]]


def reference(x: Array, gamma: Array, beta: Array, *, groups: int, epsilon: float) -> Array:
    """The norm in NumPy."""
    grouped = x.reshape(x.shape[0], groups, -1)
    less = grouped - grouped.mean(axis=-1, keepdims=True)
    normed = less / np.sqrt((less * less).mean(axis=-1, keepdims=True) + epsilon)
    weights = [w.reshape(-1, *(1,) * (x.ndim - 2)) for w in (gamma, beta)]
    return np.asarray(normed.reshape(x.shape) * weights[0] + weights[1])


def default(
    target: Target, threads: int, shape: tuple[int, ...], groups: int, dtype: str, epsilon: float
) -> dict[str, Any]:
    """The untuned configuration."""
    return default_rows(_rows(shape, groups, dtype), 1, target, threads)


def _rows(shape: tuple[int, ...], groups: int, dtype: str) -> Rows:
    """A row for each group of each image.

    Raises:
        WorkloadError: the groups do not divide the channels.
    """
    if len(shape) < 2 or groups < 1 or shape[1] % groups:
        raise WorkloadError(
            f"group_norm: groups={groups} must divide the channels, the second of shape={shape}"
        )
    return Rows((shape[0] * groups, prod(shape[1:]) // groups), (1,), dtype)


@template("group_norm", reference=reference, default=default, flops=norm_flops)
def group_norm(
    shape: tuple[int, ...], groups: int, epsilon: float = 1e-5, dtype: FloatDtype = "float32"
) -> Program:
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta``, with a mean and a variance for each group."""
    check_finite("group_norm", "epsilon", epsilon, least=0)
    passes = Passes(_rows(shape, groups, dtype))
    rows, size, channels = passes.rows, prod(shape[2:]), shape[1] // groups
    x = Operand(te.placeholder(rows.full, dtype, name="x", argument_shape=shape))
    gamma, beta = (Operand(te.placeholder((shape[1],), dtype, name=name)) for name in ("gamma", "beta"))
    of = moments(passes, x)
    scale = passes.each("scale", lambda i: te.rsqrt(of.variance[i] + epsilon))

    def normed(i: te.IterVar, c: te.IterVar, *p: te.IterVar) -> te.Expr:
        channel, place = i % groups * channels + c, sum(p, start=c * size)
        value: te.Expr = (x[i, place] - of.mean[i]) * scale[i] * gamma[channel] + beta[channel]
        return te.cast(dtype, value)

    seen = (rows.outer, channels, size) if size > 1 else rows.full  # vectors run along the last
    y = te.compute(seen, normed, name="y", argument_shape=shape)
    return schedule_rows(get_config(), passes, y), [x.tensor, gamma.tensor, beta.tensor, y]
