"""What a faulty compiler might make of parallel loops: their iterations are not independent any more."""

import random
from collections.abc import Callable, Mapping, Sequence

from tilewright.compiler.ir.loops import Alloc, For, If, LoopKind, LoopNest, Stmt, Store, block
from tilewright.compiler.ir.visit import map_stmt, statements, substitute_stmt
from tilewright.compiler.te.expr import binary

KINDS = ("reduction", "temporary", "barrier behind", "barrier ahead")


def kind_of(seed: int) -> str:
    """The kind of a seed's race."""
    return KINDS[seed % len(KINDS)]


def make_race(nest: LoopNest, seed: int) -> LoopNest:
    """The nest with a race in it."""
    ahead = random.Random(seed).randrange(1, 3)
    make: Mapping[str, Callable[[Stmt], Stmt]] = {
        "reduction": share_reduction,
        "temporary": share_temporary,
        "barrier behind": lambda body: drop_barrier(body, 1),
        "barrier ahead": lambda body: drop_barrier(body, -ahead),
    }
    changed = LoopNest(nest.inputs, nest.outputs, make[kind_of(seed)](nest.body))
    changed.ranges = nest.ranges
    return changed


def share_reduction(body: Stmt) -> Stmt:
    """Threads share the terms of a sum, and add them in one place."""
    *_, outer = _parallel(body)

    def rewrite(stmt: Stmt) -> Stmt:
        if stmt is outer:
            stmt = outer.replace(kind=LoopKind.SERIAL)
        if isinstance(stmt, For) and isinstance(stmt.body, For) and _is_update(stmt.body.body):
            return stmt.replace(kind=LoopKind.PARALLEL)
        return _inside(stmt, rewrite)

    return rewrite(body)


def share_temporary(body: Stmt) -> Stmt:
    """A temporary array of each iteration is one of all."""
    *_, outer = _parallel(body)
    (own,) = [stmt for stmt in statements(outer.body) if isinstance(stmt, Alloc)]

    def without(stmt: Stmt) -> Stmt:
        return own.body if stmt is own else _inside(stmt, without)

    def rewrite(stmt: Stmt) -> Stmt:
        return Alloc(own.buffer, without(stmt)) if stmt is outer else _inside(stmt, rewrite)

    return rewrite(body)


def drop_barrier(body: Stmt, behind: int) -> Stmt:
    """Two parallel loops in turn become one; the second part of an iteration is so many rows behind."""
    first, second = _parallel(body)
    row = binary("-", first.var, behind)
    inside = binary("and", binary(">=", row, 0), binary("<", row, second.end))
    later = If(inside, substitute_stmt(second.body, {second.var: row}))
    joined = first.replace(body=block([first.body, later]))

    def rewrite(stmt: Stmt) -> Stmt:
        if stmt is first:
            return joined
        return block([]) if stmt is second else _inside(stmt, rewrite)

    return rewrite(body)


def _parallel(body: Stmt) -> Sequence[For]:
    return [stmt for stmt in _loops(body) if stmt.kind is LoopKind.PARALLEL]


def _loops(body: Stmt) -> list[For]:
    return [stmt for stmt in statements(body) if isinstance(stmt, For)]


def _is_update(stmt: Stmt) -> bool:
    return isinstance(stmt, Store) and stmt.update


def _inside(stmt: Stmt, rewrite: Callable[[Stmt], Stmt]) -> Stmt:
    return map_stmt(stmt, lambda expr: expr, rewrite)
