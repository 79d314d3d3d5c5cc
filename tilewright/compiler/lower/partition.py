"""Peel the tails of loops, so that the vectorized and unrolled loops inside have constant extents.

::

    for o in range(17):                            ->  for o in range(16):
        for i in vectorized(min(32, 513 - 32*o)):          for i in vectorized(32): body
            body                                       if 16 < 17:  # o = 16
                                                           for i in vectorized(1): body

What the peeled extents are is found by trying every iteration of the loops around, which are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from tilewright.compiler.ir.affine import key, linear, simplify_index
from tilewright.compiler.ir.loops import For, If, LoopKind, Stmt, block
from tilewright.compiler.ir.visit import map_children, map_stmt, statements, substitute_stmt, variables
from tilewright.compiler.te.expr import INDEX, Binary, Const, Expr, Var, binary, const

GRID_LIMIT = 1 << 17
CASES_LIMIT = 4
Ranges = dict[Var, tuple[int, int]]
Grid = npt.NDArray[np.int64]


def partition_loops(stmt: Stmt, ranges: Ranges) -> Stmt:
    """Give every vectorized and unrolled loop a constant extent where a few cases suffice."""
    return _Partition(dict(ranges), ()).visit(stmt)


@dataclass(slots=True)
class _Partition:
    ranges: Ranges
    around: tuple[For, ...]

    def visit(self, stmt: Stmt) -> Stmt:
        if isinstance(stmt, For):
            return self._loop(stmt)
        return map_stmt(stmt, lambda e: e, self.visit)

    def _loop(self, loop: For) -> Stmt:
        inner = _Partition(self.ranges, (*self.around, loop))
        ends = _peelable(loop)
        cut = _cut(loop, ends, self.ranges) if ends else None
        if cut is None:
            return loop.replace(body=inner.visit(self._by_cases(loop)))
        main = _constant_ends(loop.body, ends, loop.var)
        if loop.kind is LoopKind.PARALLEL:
            tail = inner.visit(self._cases(loop.body, ends, inner.around, loop.var >= cut))
            return loop.replace(body=If(loop.var < cut, inner.visit(main), tail))
        stop = simplify_index(binary("min", loop.end, cut), self.ranges)
        marks = (loop.kind, loop.factor, loop.outline, False, loop.pragmas)
        first = For(loop.var, loop.begin, stop, main, *marks)
        whole = _Partition(self.ranges, (*self.around, first)).visit(main)
        return block([first.replace(body=whole), *self._tail(loop, stop, ends)])

    def _tail(self, loop: For, stop: Expr, ends: Sequence[Expr]) -> list[Stmt]:
        """What is left from ``stop`` on: nothing, or a loop, often of one iteration."""
        grid = self._grid([stop, loop.end])
        if grid is not None and (evaluate(loop.end, grid) <= evaluate(stop, grid)).all():
            return []
        if _is_single(stop, loop.end) and not loop.pragmas:
            at: dict[Var, Expr] = {loop.var: stop}
            return [self.visit(_simplify(substitute_stmt(loop.body, at), self.ranges))]
        marks = (loop.kind, loop.factor, loop.outline, False, loop.pragmas)
        tail = For(loop.var, stop, loop.end, loop.body, *marks)
        inside = _Partition(self.ranges, (*self.around, tail))
        return [tail.replace(body=inside.visit(inside._cases(loop.body, ends, inside.around, None)))]

    def _by_cases(self, loop: For) -> Stmt:
        """The body with ends that no peeling makes constant, such as those over a fused loop, told apart."""
        needy = [e for e in _needy(loop.body, False) if loop.var in variables(e) and _depth(e, loop.body)]
        ends = list({key(e): e for e in needy}.values())
        return self._cases(loop.body, ends, (*self.around, loop), None) if ends else loop.body

    def _cases(self, body: Stmt, ends: Sequence[Expr], around: tuple[For, ...], guard: Expr | None) -> Stmt:
        """Copies of a body for the few values that an end takes, chosen by a test ahead of it."""
        for end in ends:
            if isinstance(end, Const):
                continue
            values = _Partition(self.ranges, around)._values(end, guard)
            if values is None or not 0 < len(values) <= CASES_LIMIT:
                continue
            cases: Stmt | None = None
            for value in reversed(values):
                if value:
                    copy = _constant_ends(body, [end], None, value)
                    last = cases is None and values[-1] > 0
                    cases = copy if last else If(binary("==", end, const(value)), copy, cases)
            body = cases or body
        return body

    def _values(self, end: Expr, guard: Expr | None) -> list[int] | None:
        grid = self._grid([end] if guard is None else [end, guard])
        if grid is None:
            return None
        values = evaluate(end, grid)
        if guard is not None:
            values = values[evaluate(guard, grid).astype(bool)] if values.ndim else values
        return sorted({max(0, int(v)) for v in np.unique(values)}, reverse=True)

    def _grid(self, exprs: Sequence[Expr]) -> dict[Var, Grid] | None:
        """Every reachable combination of the loops around that the expressions depend on."""
        used: set[Var] = set().union(*(variables(e) for e in exprs))
        loops: list[For] = []
        for loop in reversed(self.around):
            if loop.var in used:
                loops.insert(0, loop)
                used |= variables(loop.begin) | variables(loop.end)
        if used - {loop.var for loop in loops}:
            return None
        grid: dict[Var, Grid] = {}
        for loop in loops:
            low, high = self.ranges[loop.var]
            size = len(next(iter(grid.values()))) if grid else 1
            if size * (high - low + 1) > GRID_LIMIT:
                return None
            grid = {v: np.repeat(g, high - low + 1) for v, g in grid.items()}
            grid[loop.var] = np.tile(np.arange(low, high + 1), size)
            keep = (grid[loop.var] >= evaluate(loop.begin, grid)) & (
                grid[loop.var] < evaluate(loop.end, grid)
            )
            grid = {v: g[keep] for v, g in grid.items()}
        return grid


def _is_single(begin: Expr, end: Expr) -> bool:
    return isinstance(begin, Const) and isinstance(end, Const) and end.value == int(begin.value) + 1


def _is_needy(stmt: Stmt, every: bool) -> bool:
    if not isinstance(stmt, For) or isinstance(stmt.end, Const):
        return False
    unrolled = stmt.kind is LoopKind.UNROLL and stmt.factor == 0
    return every or unrolled or stmt.kind is LoopKind.VECTORIZE


def _needy(body: Stmt, every: bool) -> list[Expr]:
    """The variable ends of loops that need constant ones."""
    return [s.end for s in statements(body) if isinstance(s, For) and _is_needy(s, every)]


def _depth(end: Expr, body: Stmt) -> bool:
    """Whether no loop inside the body sets a variable of the end."""
    bound = {s.var for s in statements(body) if isinstance(s, For)}
    return not variables(end) & bound


def _peelable(loop: For) -> list[Expr]:
    """The ends inside a loop that depend on it and on no loop further in."""
    ends = _needy(loop.body, loop.partition)
    unique = {key(e): e for e in ends if loop.var in variables(e) and _depth(e, loop.body)}
    return list(unique.values())


def _branches(end: Expr) -> list[Expr]:
    if isinstance(end, Binary) and end.op == "min":
        return _branches(end.a) + _branches(end.b)
    return [end]


def _cut(loop: For, ends: Sequence[Expr], ranges: Ranges) -> Expr | None:
    """The first iteration at which an end is less than its greatest value."""
    cut: Expr | None = None
    for end in ends:
        branches = _branches(end)
        full = [b for b in branches if isinstance(b, Const)]
        if not full:
            return None
        extent = min(int(b.value) for b in full)
        for branch in branches:
            if isinstance(branch, Const) or loop.var not in variables(branch):
                continue
            form = linear(branch, ranges)
            slope, rest = -form.coefficient(loop.var), form.without(loop.var).to_expr()
            if slope <= 0 or loop.var in variables(rest):
                return None
            here = (rest - (extent - slope)) // slope
            cut = here if cut is None else binary("min", cut, here)
    return None if cut is None else simplify_index(binary("max", cut, loop.begin), ranges)


def _constant_ends(body: Stmt, ends: Sequence[Expr], var: Var | None, value: int = 0) -> Stmt:
    """Replace ends by ``value``; where ``var`` is given, by what is left when its branches do not cut."""
    keys = {key(end) for end in ends}

    def visit(stmt: Stmt) -> Stmt:
        if isinstance(stmt, For) and not isinstance(stmt.end, Const) and key(stmt.end) in keys:
            end: Expr = const(value)
            if var is not None:
                kept = [b for b in _branches(stmt.end) if var not in variables(b)]
                end = reduce(lambda a, b: binary("min", a, b), kept)
            stmt = stmt.replace(end=end)
        return map_stmt(stmt, lambda e: e, visit)

    return visit(body)


def _simplify(stmt: Stmt, ranges: Ranges) -> Stmt:
    """Index expressions in canonical form again, after a variable became a constant."""

    def index(expr: Expr) -> Expr:
        if expr.dtype == INDEX:
            return simplify_index(expr, ranges)
        return map_children(expr, index)

    return map_stmt(stmt, index, lambda s: _simplify(s, ranges))


def evaluate(expr: Expr, grid: dict[Var, Grid]) -> Grid:
    """An index or a condition at every point of a grid."""
    if isinstance(expr, Const):
        return np.asarray(expr.value)
    if isinstance(expr, Var):
        return grid[expr]
    if not isinstance(expr, Binary):
        raise TypeError(f"not an index: {expr}")
    a, b = evaluate(expr.a, grid), evaluate(expr.b, grid)
    return np.asarray(OPERATIONS[expr.op](a, b))


OPERATIONS = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "//": np.floor_divide,
    "%": np.remainder,
    "min": np.minimum,
    "max": np.maximum,
    "<": np.less,
    ">=": np.greater_equal,
    "==": np.equal,
    "and": np.logical_and,
}
