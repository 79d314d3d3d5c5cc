"""What the bodies of loops hold, as far as the code of the loops around depends on it."""

from __future__ import annotations

from tilewright.compiler.ir.loops import Block, For, If, LoopKind, Stmt, Store, constant_extent
from tilewright.compiler.ir.visit import statements, variables
from tilewright.compiler.te.expr import BYTES, INDEX, Expr, Load, children


def vectors(body: Stmt, lanes: int) -> int:
    """How many vectors the loops of a body that are written out store."""
    match body:
        case Store():
            return 1
        case For():
            extent = constant_extent(body) or 1
            if body.kind is LoopKind.VECTORIZE:
                return -(-extent // lanes)
            return (extent if body.kind is LoopKind.UNROLL else 1) * vectors(body.body, lanes)
        case If():
            return vectors(body.then, lanes)
        case Block():
            return max((vectors(part, lanes) for part in body.body), default=0)
        case _:
            return 0


def value_bytes(value: Expr) -> int:
    """The size of the widest type in which a value is computed; indices do not count."""
    if isinstance(value, Load):
        return BYTES[value.dtype]
    inside = max((value_bytes(child) for child in children(value)), default=0)
    return max(inside, 0 if value.dtype == INDEX and not inside else BYTES[value.dtype])


def is_uniform(loop: For) -> bool:
    """Whether the loops inside run alike in every lane; otherwise the loop cannot be vectorized."""
    inner = [s for s in statements(loop.body) if isinstance(s, For)]
    return not any(loop.var in variables(s.begin) | variables(s.end) for s in inner)


def has_loop(body: Stmt) -> bool:
    """Whether loops inside stay loops in the code."""
    written_out = (LoopKind.VECTORIZE, LoopKind.UNROLL)
    return any(isinstance(s, For) and (s.kind not in written_out or s.factor > 0) for s in statements(body))


def has_parallel(body: Stmt) -> bool:
    """Whether threads share a loop inside."""
    return any(isinstance(s, For) and s.kind is LoopKind.PARALLEL for s in statements(body))
