"""One-hot vectors: at the place that an index names one value, another everywhere else."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.compiler.te.storage import storage_dtype
from tilewright.templates.collector import get_config
from tilewright.templates.operators.axes import normalize_axes
from tilewright.templates.operators.gather import IndexDtype
from tilewright.templates.operators.literal import literal
from tilewright.templates.operators.sweep import ElementDtype, default_sweep, no_flops, sweep
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


def reference(indices: Array, *, depth: int, axis: int, on: float, off: float, dtype: str) -> Array:
    """The vectors in NumPy."""
    wrapped = np.where(indices < 0, indices + depth, indices)
    is_on = np.moveaxis(wrapped[..., None] == np.arange(depth), -1, axis)
    return np.ascontiguousarray(np.where(is_on, on, off).astype(storage_dtype(dtype)))


def default(
    target: Target, threads: int, shape: Shape, depth: int, axis: int, dtype: str, **_: Any
) -> dict[str, Any]:
    """The untuned configuration."""
    return default_sweep(target, threads, _extents(shape, depth, axis), dtype)


@template("one_hot", reference=reference, default=default, flops=no_flops)
def one_hot(
    shape: Shape,
    depth: int,
    axis: int = -1,
    on: float = 1.0,
    off: float = 0.0,
    dtype: ElementDtype = "float32",
    index_dtype: IndexDtype = "int64",
) -> tuple[Schedule, list[Tensor]]:
    """A dimension of ``depth`` at ``axis`` of the result, ``on`` where it is the index and ``off`` elsewhere.

    ``shape`` is that of the indices. A negative index counts from the end; one that lies outside after that
    is nowhere.
    """
    cfg, extents = get_config(), _extents(shape, depth, axis)
    hot, cold = literal("one_hot", "on", on, dtype), literal("one_hot", "off", off, dtype)
    outer, _, *inner = extents
    indices = te.placeholder(
        (outer, *inner), index_dtype, name="indices", argument_shape=shape, values=(-depth, depth)
    )

    def element(o: te.Expr, d: te.Expr, *i: te.Expr) -> te.Expr:
        index = te.cast("int64", te.Load(indices, [o, *i]))
        wrapped = te.if_then_else(index < 0, index + depth, index)
        return te.if_then_else(wrapped == d, hot, cold)

    place = _place(shape, axis)
    seen = (*shape[:place], depth, *shape[place:])
    y = te.compute(extents, lambda *i: element(*i), name="y", argument_shape=seen)
    return sweep(cfg, y, cfg.target.lanes(BYTES[dtype])), [indices, y]


def _place(shape: Shape, axis: int) -> int:
    """The new dimension's place in the result."""
    return normalize_axes("one_hot", (*shape, 1), axis)[0]


def _extents(shape: Shape, depth: int, axis: int) -> Shape:
    """Of what is around the new dimension, of that, and of what is inside it, if that is more than one."""
    place = _place(shape, axis)
    outer, inner = prod(shape[:place]), prod(shape[place:])
    return (outer, depth, inner) if inner > 1 else (outer, depth)
