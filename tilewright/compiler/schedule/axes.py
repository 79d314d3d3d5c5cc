"""From a stage's loops back to its axes: the value of each axis, and what keeps it in range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tilewright.compiler.schedule.stage import SplitRelation, Stage
from tilewright.compiler.te.expr import Expr, IterVar, Var, binary, const


class SplitLimit(NamedTuple):
    """``value < bound``, for a split that does not divide; a guard is tested where elements are stored."""

    value: Expr
    bound: int
    is_guard: bool = False


def axis_extents(stage: Stage, roots: Mapping[IterVar, int]) -> dict[IterVar, int]:
    """The constant extents of all axes of a stage, from those of its root axes."""
    extents = dict(roots)
    for relation in stage.relations:
        if isinstance(relation, SplitRelation):
            parent = extents[relation.parent]
            if relation.factor is not None:
                inner = min(relation.factor, parent)
                outer = -(-parent // relation.factor)
            else:
                assert relation.nparts is not None
                inner = -(-parent // relation.nparts)
                outer = -(-parent // inner)
            extents[relation.outer], extents[relation.inner] = outer, inner
        else:
            extents[relation.fused] = extents[relation.outer] * extents[relation.inner]
    return extents


def axis_values(
    stage: Stage, extents: Mapping[IterVar, int], leaves: Mapping[IterVar, Expr]
) -> tuple[dict[IterVar, Expr], list[SplitLimit]]:
    """The value of every axis in terms of the loops, and a limit for each split that does not divide."""
    values: dict[IterVar, Expr] = dict(leaves)
    limits: list[SplitLimit] = []
    for relation in reversed(stage.relations):
        if isinstance(relation, SplitRelation):
            outer, inner = values[relation.outer], values[relation.inner]
            factor, parent = extents[relation.inner], extents[relation.parent]
            is_partial = extents[relation.outer] * factor > parent
            begin = outer * factor
            if is_partial and relation.tail == "shift_inwards":
                begin = binary("min", begin, const(parent - factor))
            values[relation.parent] = value = begin + inner
            if is_partial and relation.tail != "shift_inwards":
                limits.append(SplitLimit(value, parent, relation.tail == "guard"))
        else:
            fused, width = values[relation.fused], extents[relation.inner]
            values[relation.outer], values[relation.inner] = fused // width, fused % width
    return values, limits


def leaf_values(
    stage: Stage, axes: Sequence[IterVar], leaves: Mapping[IterVar, Expr]
) -> tuple[dict[Var, Expr], list[tuple[Expr, int]]]:
    """Values of ``axes`` over reduction loops at their nominal extents, with their limits."""
    roots = {axis: axis.extent for axis in (*stage.op.axis, *stage.op.reduce_axis)}
    extents = axis_extents(stage, roots)
    known = {**{a: a for a in stage.leaf}, **leaves}
    values, limits = axis_values(stage, extents, known)
    wanted: dict[Var, Expr] = {axis: values[axis] for axis in axes}
    sums = [values[axis] for axis in values if axis.kind == "reduce"]
    reduced = [(limit.value, limit.bound) for limit in limits if any(limit.value is v for v in sums)]
    return wanted, reduced
