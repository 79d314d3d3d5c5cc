"""Gathering: the parts of an array along an axis that indices name."""

from __future__ import annotations

from math import prod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.templates.collector import get_config
from tilewright.templates.operators.axes import normalize_axes
from tilewright.templates.operators.sweep import ElementDtype, default_sweep, no_flops, sweep
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
IndexDtype = Literal["int64", "int32"]


def reference(x: Array, indices: Array, *, axis: int) -> Array:
    """The gathering in NumPy."""
    extent = x.shape[axis]
    wrapped = np.where(indices < 0, indices + extent, indices)
    return np.take(x, wrapped, axis, mode="clip")


def default(
    target: Target, threads: int, shape: Shape, indices: Shape, axis: int, dtype: str, index_dtype: str
) -> dict[str, Any]:
    """The untuned configuration."""
    extents = _extents(shape, prod(indices), axis)
    return default_sweep(target, threads, extents, dtype, _lanes(target, extents, dtype, index_dtype))


@template("gather", reference=reference, default=default, flops=no_flops)
def gather(
    shape: Shape,
    indices: Shape,
    axis: int = 0,
    dtype: ElementDtype = "float32",
    index_dtype: IndexDtype = "int64",
) -> tuple[Schedule, list[Tensor]]:
    """``numpy.take(x, indices, axis)``: the result has the shape of ``indices`` in place of the axis.

    A negative index counts from the end. One that lies outside after that names the nearest part there is.
    """
    cfg, (place,) = get_config(), normalize_axes("gather", shape, axis)
    extent, count = shape[place], prod(indices)
    extents = _extents(shape, count, axis)
    operand = (extents[0], extent, *extents[2:])
    x = te.placeholder(operand, dtype, name="x", argument_shape=shape)
    where = te.placeholder(
        (count,), index_dtype, name="indices", argument_shape=indices, values=(-extent, extent)
    )

    def element(o: te.Expr, i: te.Expr, *inner: te.Expr) -> te.Expr:
        return te.Load(x, [o, _part(te.Load(where, [i]), extent), *inner])

    seen = (*shape[:place], *indices, *shape[place + 1 :])
    y = te.compute(extents, lambda *i: element(*i), name="y", argument_shape=seen)
    return sweep(cfg, y, _lanes(cfg.target, extents, dtype, index_dtype)), [x, where, y]


def _extents(shape: Shape, count: int, axis: int) -> Shape:
    """Of what is around the axis, of the indices, and of what is contiguous, if that is more than one."""
    (place,) = normalize_axes("gather", shape, axis)
    outer, inner = prod(shape[:place]), prod(shape[place + 1 :])
    return (outer, count, inner) if inner > 1 else (outer, count)


def _lanes(target: Target, extents: Shape, dtype: str, index_dtype: str) -> int:
    """Lanes of elements; of indices too, where these lie in the lanes."""
    widest = BYTES[dtype] if len(extents) > 2 else max(BYTES[dtype], BYTES[index_dtype])
    return target.lanes(widest)


def _part(index: te.Expr, extent: int) -> te.Expr:
    """The part that an index names."""
    wrapped = te.if_then_else(index < 0, index + extent, index)
    return te.cast("int64", te.minimum(te.maximum(wrapped, 0), extent - 1))
