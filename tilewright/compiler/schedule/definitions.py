"""What a computation must not say of its elements: it is refused before there is any code."""

from __future__ import annotations

from collections.abc import Iterator

from tilewright.compiler.errors import ExpressionError
from tilewright.compiler.ir.affine import bounds, linear
from tilewright.compiler.ir.visit import variables
from tilewright.compiler.te.expr import Expr, IterVar, Load, Reduce, Select, Var, children
from tilewright.compiler.te.tensor import ComputeOp, Operation


def check_definition(op: Operation) -> None:
    """Refuse a variable that no loop counts, and a read outside of a tensor.

    Raises:
        ExpressionError: naming the computation and what is wrong.
    """
    if isinstance(op, ComputeOp):
        _check_variables(op)
        _check_reads(op)


def _check_variables(op: ComputeOp) -> None:
    state = op.body.state if isinstance(op.body, Reduce) else ()
    foreign = variables(op.body) - {*op.axis, *op.reduce_axis, *state}
    if foreign:
        name = min(var.name for var in foreign)
        raise ExpressionError(
            f"{op.name}: {name} is neither an axis of it nor reduced over; use the axes that te.compute "
            f"passes, or reduce, as in te.sum(..., axis={name})"
        )


def _check_reads(op: ComputeOp) -> None:
    """Refuse a read that some iteration takes from outside of a tensor.

    Only those are looked at that no condition guards, at indices that are sums of multiples of the axes: the
    least and the greatest value of such an index both occur.
    """
    ranges: dict[Var, tuple[int, int]] = {
        axis: (0, axis.extent - 1) for axis in (*op.axis, *op.reduce_axis) if axis.extent > 0
    }
    for load in _unconditional(op.body):
        for dimension, index in enumerate(load.indices):
            form, extent = linear(index, ranges), load.source.shape[dimension]
            if not all(isinstance(atom, IterVar) and atom in ranges for atom, _ in form.terms.values()):
                continue
            low, high = bounds(form, ranges)
            if low < 0 or high >= extent:
                raise ExpressionError(
                    f"{op.name}: {load.source.name} is read at {low} to {high} along dimension {dimension}, "
                    f"which has {extent}; guard it with te.if_then_else, or change the index {index}"
                )


def _unconditional(expr: Expr) -> Iterator[Load]:
    """The reads of an expression that take place whatever its conditions say."""
    if isinstance(expr, Load):
        yield expr
    for child in (expr.condition,) if isinstance(expr, Select) else children(expr):
        yield from _unconditional(child)
