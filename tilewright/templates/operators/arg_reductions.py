"""The place of the greatest or the least element along an axis: the first of equal ones, or the first NaN.

The value comes first, then the least place where it is: two reductions, neither of which carries a place with
its value from step to step. With ``chunk`` a contiguous row is read once: its place is sought in the first
chunk that has the value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.templates.collector import TemplateConfig, get_config
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.lanes import halve_lanes
from tilewright.templates.operators.operand import FloatDtype, Operand, computed_lanes
from tilewright.templates.operators.reduction import (
    Reduction,
    default_reduction,
    define_reduction,
    reduce_along,
    schedule_reduction,
)
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Program = tuple[Schedule, list[Tensor]]
Join = Callable[..., te.Expr]
CHUNKS = (512, 1024, 2048)
NOWHERE = 2**31 - 1


def _reference(function: Callable[..., Any]) -> Callable[..., Array]:
    def reference(x: Array, *, axis: int | None, keepdims: bool) -> Array:
        return np.asarray(function(x, axis=axis, keepdims=keepdims))

    return reference


def default(
    target: Target, threads: int, shape: Shape, axis: int | None, keepdims: bool, dtype: str
) -> dict[str, Any]:
    """The untuned configuration: rows that do not stay in the first cache, or are few, in chunks."""
    reduction = Reduction.of("argmax", shape, axis, keepdims, dtype)
    chosen = default_reduction(reduction, target, threads)
    if not reduction.is_along:
        return chosen
    chunks = _chunks(reduction)
    is_near = reduction.reduced[0] * BYTES[dtype] <= target.l1_bytes // 2
    if len(chunks) == 1 or (is_near and chosen["parts"] == 1):
        return {**chosen, "chunk": 0}
    return {**chosen, "chunk": [size for size in chunks if size <= 1024][-1], "parts": 1, "rows": 1}


def flops(shape: Shape, **_: Any) -> int:
    """Two comparisons for each element."""
    return 2 * prod(shape)


def _chunks(reduction: Reduction) -> list[int]:
    return [0, *(size for size in CHUNKS if 2 * size <= reduction.reduced[0])]


def _find(reduction: Reduction, join: Join) -> Program:
    if prod(reduction.reduced) >= NOWHERE:
        raise WorkloadError(
            f"argmax, argmin: at most {NOWHERE - 1} elements along axis, of {reduction.shape}"
        )
    cfg, x = get_config(), reduction.input()
    if reduction.is_along:
        cfg.define_knob("chunk", _chunks(reduction))
        define_reduction(cfg, reduction)
        cfg.constrain(("chunk", "parts"), lambda chunk, parts: chunk.val == 0 or parts.val == 1)
        if cfg["chunk"].val:
            return _find_in_chunks(cfg, reduction, x, join, cfg["chunk"].val)
    best = reduction.reduce("best", x, lambda value, steps, _: join(value, axis=steps))

    def place(value: te.Expr, steps: Sequence[IterVar], index: Sequence[IterVar]) -> te.Expr:
        return _first(_is_found(value, best[tuple(index)]), steps[0], steps[0])

    first = reduction.reduce("first", x, place)
    y = reduction.result(first, lambda at: at.astype("int64"))
    return schedule_reduction(cfg, reduction, [best, first], y), [x.tensor, y]


def _is_found(value: te.Expr, best: te.Expr) -> te.Expr:
    """Whether an element is the best one; where that is NaN, every NaN is."""
    return te.any(value == best, value != value)


def _first(is_found: te.Expr, place: te.Expr, axis: IterVar) -> te.Expr:
    return te.min(te.if_then_else(is_found, place.astype("int32"), NOWHERE), axis=axis)


def _find_in_chunks(cfg: TemplateConfig, reduction: Reduction, x: Operand, join: Join, size: int) -> Program:
    """The best of each chunk, which threads share; then the first chunk that has it, and the place there."""
    (rows,), (length,) = reduction.kept, reduction.reduced
    count = -(-length // size)
    k, n = te.reduce_axis((0, size), "k"), te.reduce_axis((0, count), "n")

    def begin(chunk: te.Expr) -> te.Expr:
        """The last chunk is moved back to end with the row."""
        return te.minimum(chunk * size, length - size)

    part = te.compute((rows, count), lambda i, c: join(x[i, begin(c) + k], axis=k), name="part")
    best = te.compute((rows,), lambda i: join(part[i, n], axis=n), name="best")
    c = te.reduce_axis((0, count), "c")
    which = te.compute((rows,), lambda i: _first(_is_found(part[i, c], best[i]), c, c), name="which")
    at = te.reduce_axis((0, size), "at")

    def place(i: IterVar) -> te.Expr:
        inside = begin(which[i].astype("int64")) + at
        return _first(_is_found(x[i, inside], best[i]), inside, at)

    first = te.compute((rows,), place, name="first")
    y = reduction.result(first, lambda at: at.astype("int64"))
    s = create_schedule(y)
    lanes = computed_lanes(cfg.target, reduction.dtype)
    reduce_along(s, cfg, [s.cache_write(part, "call")], part, lanes)
    (i,) = s[y].op.axis
    for stage in (best, which, first):
        s[stage].compute_at(s[y], i)
    for lane in halve_lanes(s, first, lanes, 1):
        s[lane].compute_at(s[y], i)
        s[lane].vectorize(s[lane].op.axis[-1])
        s[lane].reorder(*s[lane].op.axis[:-1], *s[lane].op.reduce_axis, s[lane].op.axis[-1])
    s[y].parallel(i)
    return s, [x.tensor, y]


@template("argmax", reference=_reference(np.argmax), default=default, flops=flops)
def argmax(
    shape: Shape, axis: int | None = None, keepdims: bool = False, dtype: FloatDtype = "float32"
) -> Program:
    """The place of the greatest element along an axis, as int64; in the flat array unless one is given."""
    return _find(Reduction.of("argmax", shape, axis, keepdims, dtype), te.max)


@template("argmin", reference=_reference(np.argmin), default=default, flops=flops)
def argmin(
    shape: Shape, axis: int | None = None, keepdims: bool = False, dtype: FloatDtype = "float32"
) -> Program:
    """The place of the least element along an axis, as int64; in the flat array unless one is given."""
    return _find(Reduction.of("argmin", shape, axis, keepdims, dtype), te.min)
