"""The reductions: sum, mean, product, maximum and minimum."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import get_config
from tilewright.templates.operators.operand import FloatDtype
from tilewright.templates.operators.reduction import Reduction, default_reduction, schedule_reduction
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Axis = int | tuple[int, ...] | None
Program = tuple[Schedule, list[Tensor]]


def _reference(function: Callable[..., Any]) -> Callable[..., Array]:
    def reference(x: Array, *, axis: Axis, keepdims: bool) -> Array:
        return np.asarray(function(x, axis=axis, keepdims=keepdims))

    return reference


def default(target: Target, threads: int, shape: Shape, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration."""
    return default_reduction(Reduction.of("reduction", shape, **arguments), target, threads)


def flops(shape: Shape, **_: Any) -> int:
    """One operation for each element."""
    return prod(shape)


# Of which even long products are no denormals, nor infinite.
FACTORS = (0.9, 1.1)


def _schedule(
    reduction: Reduction, join: Callable[..., te.Expr], finish: Callable[[te.Expr], te.Expr] = lambda x: x
) -> Program:
    x = reduction.input(FACTORS if join is te.prod else None)
    total = reduction.reduce("total", x, lambda value, steps, _: join(value, axis=steps))
    y = reduction.result(total, lambda value: te.cast(reduction.dtype, finish(value)))
    return schedule_reduction(get_config(), reduction, [total], y), [x.tensor, y]


@template("reduce_sum", reference=_reference(np.sum), default=default, flops=flops)
def reduce_sum(
    shape: Shape, axis: Axis = None, keepdims: bool = False, dtype: FloatDtype = "float32"
) -> Program:
    """The sum over some axes; over all of them unless given."""
    return _schedule(Reduction.of("reduce_sum", shape, axis, keepdims, dtype), te.sum)


@template("reduce_mean", reference=_reference(np.mean), default=default, flops=flops)
def reduce_mean(
    shape: Shape, axis: Axis = None, keepdims: bool = False, dtype: FloatDtype = "float32"
) -> Program:
    """The mean over some axes; over all of them unless given."""
    reduction = Reduction.of("reduce_mean", shape, axis, keepdims, dtype)
    return _schedule(reduction, te.sum, lambda x: x * (1 / prod(reduction.reduced)))


@template("reduce_prod", reference=_reference(np.prod), default=default, flops=flops)
def reduce_prod(
    shape: Shape, axis: Axis = None, keepdims: bool = False, dtype: FloatDtype = "float32"
) -> Program:
    """The product over some axes; over all of them unless given."""
    return _schedule(Reduction.of("reduce_prod", shape, axis, keepdims, dtype), te.prod)


@template("reduce_max", reference=_reference(np.max), default=default, flops=flops)
def reduce_max(
    shape: Shape, axis: Axis = None, keepdims: bool = False, dtype: FloatDtype = "float32"
) -> Program:
    """The greatest element over some axes, NaN where one is NaN; over all of them unless given."""
    return _schedule(Reduction.of("reduce_max", shape, axis, keepdims, dtype), te.max)


@template("reduce_min", reference=_reference(np.min), default=default, flops=flops)
def reduce_min(
    shape: Shape, axis: Axis = None, keepdims: bool = False, dtype: FloatDtype = "float32"
) -> Program:
    """The least element over some axes, NaN where one is NaN; over all of them unless given."""
    return _schedule(Reduction.of("reduce_min", shape, axis, keepdims, dtype), te.min)
