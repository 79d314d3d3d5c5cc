"""Reductions along what is contiguous: partial results in lanes, which are joined by halves at the end."""

from __future__ import annotations

import math

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.te import IterVar, Tensor

VECTORS = (1, 2, 4, 8)


def vectors_of(extent: int, lanes: int) -> list[int]:
    """How many vectors at once an extent has room for."""
    return [v for v in VECTORS if v == 1 or (v - 1) * lanes < extent]


def halve_lanes(s: Schedule, c: Tensor, lanes: int, vectors: int) -> list[Tensor]:
    """Stages of partial sums along the last reduction: all lanes, one vector, half of it, ..., two lanes."""
    steps = [axis for axis in s[c].leaf_iter_vars if axis.kind == "reduce"]
    _, inner = s[c].split(steps[-1], lanes * vectors)
    stages, count = [s.rfactor(c, inner, factor_axis=-1)], inner.extent
    width = lanes
    while width > 1:
        if width < count:
            _, inner = s[c].split(s[c].op.reduce_axis[0], width)
            stages.append(s.rfactor(c, inner, factor_axis=-1))
        width //= 2
    return stages


def compute_lanes(s: Schedule, stage: Tensor, unroll_k: int) -> None:
    """Rows side by side inside the loop over k; with 0 the few steps of each row are written out."""
    (*_, i, j, lane), steps = s[stage].op.axis, s[stage].op.reduce_axis
    s[stage].reorder(*((*steps, i, j) if unroll_k else (i, j, *steps)), lane)
    s[stage].unroll(steps[-1], unroll_k)
    s[stage].unroll(i)
    s[stage].unroll(j)
    s[stage].vectorize(lane)


def reduce_lanes(
    s: Schedule,
    total: Tensor,
    lanes: int,
    vectors: int,
    unroll: int,
    reader: Tensor,
    loop: IterVar,
    copies: int = 0,
) -> list[Tensor]:
    """Reduce contiguous rows inside a loop of their reader: in lanes, all rows side by side, then those.

    The stages of the lanes. The lanes of so many ``copies`` of rows are joined side by side, 0 being all.
    """
    partial = halve_lanes(s, total, lanes, vectors)
    for part in (*partial, total):
        s[part].compute_at(s[reader], loop)
    for part in partial:
        *others, row, lane = s[part].op.axis
        steps = s[part].op.reduce_axis
        is_long = part is partial[0]  # the few steps after it are written out for each row
        s[part].reorder(*others, *((*steps, row) if is_long else (row, *steps)), lane)
        s[part].unroll(steps[-1], unroll if is_long else 0)
        s[part].unroll(row, 0 if is_long else copies)
        s[part].vectorize(lane)
    s[total].unroll(s[total].op.axis[-1], copies)
    s[total].unroll(s[total].op.reduce_axis[0])
    return partial


def greatest_number(
    value: te.Expr, axis: IterVar, where: te.Expr | None = None, least: float = -math.inf
) -> te.Expr:
    """The greatest value that is no NaN: one instruction a step, where ``te.max`` takes three.

    What is subtracted from values ahead of ``exp``: a NaN comes through those. It is at least ``least``, and
    values for which ``where`` does not hold are left out.
    """
    greatest = te.comm_reducer(
        lambda x, y: te.if_then_else(x > y, x, y), lambda dtype: te.const(least, dtype)
    )
    return greatest(value, axis, where)
