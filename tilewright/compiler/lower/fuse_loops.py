"""Loops side by side in a loop's body become one, so that the processor overlaps what they do.

A pragma of the loop around asks for it, and so does ``software_pipeline``.

::

    for k in range(64): y[i - 2, k] = powers[k] * share      ->  for k in range(64):
    for k in range(64): powers[k] = exp(x[i - 1, k] - most)          y[i - 2, k] = powers[k] * share
    for k in range(64): sums += powers[k]                            powers[k] = exp(x[i - 1, k] - most)
                                                                     sums += powers[k]

Two loops are joined where they have the same bounds, where what lies between can go before or after both, and
where each iteration touches elements of its own in what one of them writes and both use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tilewright.compiler.ir.affine import Linear, Ranges, bounds, key, linear
from tilewright.compiler.ir.loops import (
    Alloc,
    Block,
    Buffer,
    For,
    Intrinsic,
    LoopKind,
    LoopNest,
    Stmt,
    Store,
    allocate,
    block,
    constant_extent,
)
from tilewright.compiler.ir.visit import map_stmt, own_exprs, statements, substitute_stmt, walk
from tilewright.compiler.te.expr import Expr, IterVar, Load, Var

FUSE_LOOPS = "fuse_loops"


def fuse_loops(nest: LoopNest) -> LoopNest:
    """The nest with the loops joined inside those that ask for it."""
    body = _visit(nest.body, nest)
    if body is nest.body:
        return nest
    result = LoopNest(nest.inputs, nest.outputs, body)
    result.ranges = nest.ranges
    return result


def _visit(stmt: Stmt, nest: LoopNest) -> Stmt:
    if isinstance(stmt, For) and (FUSE_LOOPS, 1) in stmt.pragmas:
        buffers: list[Buffer] = []
        parts = _flatten(_visit(stmt.body, nest), buffers)
        return stmt.replace(body=allocate(buffers, block(_join_all(parts, nest))))
    return map_stmt(stmt, lambda expr: expr, lambda inner: _visit(inner, nest))


def _flatten(stmt: Stmt, buffers: list[Buffer]) -> list[Stmt]:
    """The statements in order; what they allocate is allocated around all of them."""
    match stmt:
        case Block():
            return [part for inner in stmt.body for part in _flatten(inner, buffers)]
        case Alloc():
            buffers.append(stmt.buffer)
            return _flatten(stmt.body, buffers)
        case _:
            return [stmt]


class _Part(NamedTuple):
    """A statement, the buffers that it reads, and those that it writes."""

    stmt: Stmt
    reads: frozenset[Buffer]
    writes: frozenset[Buffer]

    def shared(self, other: _Part) -> frozenset[Buffer]:
        """What both use and one of them writes; where there is such, their order matters."""
        return (self.writes & (other.reads | other.writes)) | (other.writes & self.reads)


def _join_all(stmts: Sequence[Stmt], nest: LoopNest) -> list[Stmt]:
    done: list[_Part] = []
    for stmt in stmts:
        part = _part(stmt)
        done = _join(done, part, nest) or [*done, part]
    return [part.stmt for part in done]


def _part(stmt: Stmt) -> _Part:
    reads: set[Buffer] = set()
    writes: set[Buffer] = set()
    for inner in statements(stmt):
        nodes = (node for e in own_exprs(inner) for node in walk(e))
        reads |= {node.source for node in nodes if isinstance(node, Load) and isinstance(node.source, Buffer)}
        if isinstance(inner, Store):
            writes.add(inner.buffer)
        if isinstance(inner, Intrinsic):
            writes |= {a.base.source for a in inner.arguments if isinstance(a.base.source, Buffer)}
    return _Part(stmt, frozenset(reads), frozenset(writes))


def _join(done: list[_Part], loop: _Part, nest: LoopNest) -> list[_Part] | None:
    """The parts with a further loop joined to the first one that it fits, if there is such.

    So it waits for no more than it must, and later loops that need it for no more than that.
    """
    if not _is_plain(loop.stmt):
        return None
    for place, other in enumerate(done):
        if not (_is_plain(other.stmt) and _fits(other, loop, nest)):
            continue
        before, after = _split(other, done[place + 1 :])
        if any(part.shared(loop) for part in after):
            continue
        return [*done[:place], *before, _joined(other, loop), *after]
    return None


def _joined(first: _Part, second: _Part) -> _Part:
    """One loop over both bodies; where their order does not matter the second goes ahead.

    In a pipeline that one reads what the next iteration needs and the first writes results: a read after a
    write to an address that ends in the same twelve bits would wait for it.
    """
    assert isinstance(first.stmt, For)
    assert isinstance(second.stmt, For)
    bodies = [first.stmt.body, substitute_stmt(second.stmt.body, {second.stmt.var: first.stmt.var})]
    loop = first.stmt.replace(body=block(bodies if first.shared(second) else bodies[::-1]))
    return _Part(loop, first.reads | second.reads, first.writes | second.writes)


def _is_plain(stmt: Stmt) -> bool:
    is_serial = isinstance(stmt, For) and stmt.kind in (LoopKind.SERIAL, LoopKind.UNROLL)
    return is_serial and isinstance(stmt, For) and constant_extent(stmt) != 1 and not stmt.outline


def _split(first: _Part, others: Sequence[_Part]) -> tuple[list[_Part], list[_Part]]:
    """Those that may go before the first one, and those that must stay behind it or behind one that must."""
    before: list[_Part] = []
    after: list[_Part] = []
    for part in others:
        must_stay = any(part.shared(ahead) for ahead in (first, *after))
        (after if must_stay else before).append(part)
    return before, after


def _fits(first: _Part, second: _Part, nest: LoopNest) -> bool:
    """Whether two loops can be one."""
    assert isinstance(first.stmt, For)
    assert isinstance(second.stmt, For)
    loops = (first.stmt, second.stmt)
    marks = [(key(loop.begin), key(loop.end), loop.kind, loop.factor) for loop in loops]
    return marks[0] == marks[1] and all(_is_own(buffer, loops, nest) for buffer in first.shared(second))


def _is_own(buffer: Buffer, loops: Sequence[For], nest: LoopNest) -> bool:
    """Whether an iteration touches the same elements in all the loops, and no other iteration does."""
    places: set[object] = set()
    for loop in loops:
        canonical = _canonical(loop, nest.ranges)
        ranges: dict[Var, tuple[int, int]] = dict(nest.ranges)
        ranges |= {var: (0, var.extent - 1) for var in canonical.values()}
        for indices in _accesses(substitute_stmt(loop.body, dict(canonical)), buffer):
            forms = [linear(index, ranges) for index in indices]
            if not any(_walks(form, canonical[loop.var], ranges) for form in forms):
                return False
            places.add(tuple(key(form.to_expr()) for form in forms))
    return len(places) == 1


def _walks(form: Linear, var: IterVar, ranges: Ranges) -> bool:
    """Whether an index is another one in every iteration, whatever the loops inside do."""
    inside = Linear({k: t for k, t in form.terms.items() if t[0] is not var and t[0] in INSIDE.values()}, 0)
    low, high = bounds(inside, ranges)
    return form.coefficient(var) > high - low


def _accesses(body: Stmt, buffer: Buffer) -> Iterator[tuple[Expr, ...]]:
    """The indices of every read and write of a buffer."""
    for stmt in statements(body):
        if isinstance(stmt, Store) and stmt.buffer is buffer:
            yield stmt.indices
        for node in (node for e in own_exprs(stmt) for node in walk(e)):
            if isinstance(node, Load) and node.source is buffer:
                yield node.indices


# Variables that are the same for loops of the same shape, by their depth and extent.
INSIDE: dict[tuple[int, int], IterVar] = {}


def _canonical(loop: For, ranges: Ranges, depth: int = 0) -> dict[Var, IterVar]:
    """What stands for the variables of a loop and of those inside in loops of its shape."""
    extent = constant_extent(loop) or ranges[loop.var][1] + 1
    found: dict[Var, IterVar] = {
        loop.var: INSIDE.setdefault((depth, extent), IterVar(f"inside{depth}", extent))
    }
    for inner in _outermost_loops(loop.body):
        found |= _canonical(inner, ranges, depth + 1)
    return found


def _outermost_loops(stmt: Stmt) -> Iterator[For]:
    if isinstance(stmt, For):
        yield stmt
    elif isinstance(stmt, Block):
        for part in stmt.body:
            yield from _outermost_loops(part)
    elif isinstance(stmt, Alloc):
        yield from _outermost_loops(stmt.body)
