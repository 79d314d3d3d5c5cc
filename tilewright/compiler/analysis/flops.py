"""Arithmetic that a program does, counted from its expressions as AutoTVM counts it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.schedule.schedule import topological_order
from tilewright.compiler.te.expr import INDEX, Binary, Call, Expr, Load, Reduce, Select, children
from tilewright.compiler.te.tensor import ComputeOp, Tensor
from tilewright.compiler.te.words import dot_dtypes, parts_of


class FlopCountError(TilewrightError, RuntimeError):
    """A program does no arithmetic that can be counted."""


def count_flops(tensors: Sequence[Tensor]) -> int:
    """Operations needed for the tensors: 1 for each arithmetic, comparison or logical operation.

    A reduction costs its combination and its source at each step; a choice its condition and the dearer side;
    reads, literals and conversions nothing. Index arithmetic is not counted. A computation that states its
    count (``attrs={"FLOP": n}``) has that.

    Raises:
        FlopCountError: the program only moves data.
    """
    total = 0.0
    for tensor in topological_order(tensors):
        if isinstance(tensor.op, ComputeOp):
            stated = tensor.op.flops
            total += prod(tensor.shape) * _count(tensor.op.body) if stated is None else stated
    if total == 0:
        names = ", ".join(tensor.name for tensor in tensors)
        raise FlopCountError(f"{names} does no arithmetic: say how much with cfg.add_flop(n)")
    return round(total)


def _count(expr: Expr) -> int:
    match expr:
        case Reduce():
            steps = prod(axis.extent for axis in expr.axes)
            combine = 1 if expr.kind != "fold" else 0
            return steps * (combine + sum(_count(value) for value in expr.update))
        case Load():
            return 0
        case Binary():
            inside = _count(expr.a) + _count(expr.b)
            # What joins comparisons of indices, as those of padding, is arithmetic of indices too.
            is_free = expr.a.dtype == INDEX or (expr.op in ("and", "or") and not inside)
            return inside + (0 if is_free else 1)
        case Call() if dot_dtypes(expr):
            # A product for each part, and the additions between them.
            products = parts_of((dot_dtypes(expr) or ("",))[0])
            return 2 * products - 1 + sum(_count(child) for child in expr.args)
        case Select():
            return _count(expr.condition) + max(_count(expr.then), _count(expr.otherwise))
        case _:
            return sum(_count(child) for child in children(expr))
