"""16-bit floats with which nothing is computed are moved as their bits.

Values of these types are held as float32. On the way there and back a processor makes signalling NaNs quiet,
or has to be told how to convert at all; and twice as many lanes fit into a vector of bits.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tilewright.compiler.ir.loops import Alloc, Buffer, Intrinsic, LoopNest, Stmt, Store
from tilewright.compiler.ir.visit import map_stmt, own_exprs, statements, transform, walk
from tilewright.compiler.te.expr import Const, Expr, Load, Select, children
from tilewright.compiler.te.storage import BITS, SHORT_FLOATS, storage_dtype


def move_bits(nest: LoopNest) -> LoopNest:
    """The nest with buffers of bits in the place of those of 16-bit floats with which nothing is computed."""
    moved = {buffer.dtype for buffer in _buffers(nest)} & set(SHORT_FLOATS) - set(_computed(nest.body))
    if not moved:
        return nest
    buffers = {buffer: _with_bits(buffer) for buffer in _buffers(nest) if buffer.dtype in moved}
    inputs, outputs = (
        [buffers.get(buffer, buffer) for buffer in side] for side in (nest.inputs, nest.outputs)
    )
    found = LoopNest(inputs, outputs, _rewrite(nest.body, buffers, moved))
    found.ranges = nest.ranges
    return found


def _buffers(nest: LoopNest) -> Iterator[Buffer]:
    """Every buffer, some of them twice."""
    yield from (*nest.inputs, *nest.outputs)
    yield from (stmt.buffer for stmt in statements(nest.body) if isinstance(stmt, Alloc))


def _computed(body: Stmt) -> Iterator[str]:
    """The types with which something is computed."""
    for stmt in statements(body):
        if isinstance(stmt, Store) and stmt.update:
            yield stmt.buffer.dtype
        if isinstance(stmt, Intrinsic):
            yield from (argument.base.dtype for argument in stmt.arguments)
        for expr in own_exprs(stmt):
            yield from (dtype for node in walk(expr) for dtype in _computed_by(node))


def _computed_by(node: Expr) -> Iterator[str]:
    """The types with which a node itself computes."""
    if isinstance(node, Load | Const):
        return
    chosen = node.dtype if isinstance(node, Select) else None
    if node.dtype != chosen:
        yield node.dtype
    yield from (child.dtype for child in children(node) if child.dtype != chosen)


def _with_bits(buffer: Buffer) -> Buffer:
    marks = (buffer.scope, buffer.aligns, buffer.given, buffer.nontemporal)
    return Buffer(buffer.name, buffer.shape, BITS, *marks)


def _rewrite(stmt: Stmt, buffers: dict[Buffer, Buffer], moved: set[str]) -> Stmt:
    def with_bits(expr: Expr) -> Expr | None:
        if isinstance(expr, Load) and isinstance(expr.source, Buffer) and expr.source in buffers:
            return Load(buffers[expr.source], expr.indices)
        if isinstance(expr, Const) and expr.dtype in moved:
            return Const(int(np.array(expr.value, storage_dtype(expr.dtype)).view(np.uint16)), BITS)
        return None

    stmt = map_stmt(stmt, lambda e: transform(e, with_bits), lambda s: _rewrite(s, buffers, moved))
    match stmt:
        case Store() if stmt.buffer in buffers:
            return Store(buffers[stmt.buffer], stmt.indices, stmt.value)
        case Alloc() if stmt.buffer in buffers:
            return Alloc(buffers[stmt.buffer], stmt.body)
        case _:
            return stmt
