"""Peel the iterations in which conditions may fail, so that between them nothing is tested.

::

    for i in range(14):                                   ->  i = 0: ...
        for t in range(3):                                    for i in range(1, 13):
            y[i] += select(i + t >= 1 and i + t < 15,             for t in range(3): y[i] += x[i + t - 1]
                           x[i + t - 1], 0)                   i = 13: ...

Done for loops that the schedule marks with ``loop_partition``, from the outermost inwards. Every condition
that holds, or fails, for all that the loops inside run over is resolved.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import groupby

from tilewright.compiler.ir.affine import Ranges, bounds, simplify_index
from tilewright.compiler.ir.loops import For, If, LoopKind, LoopNest, Stmt, Store, block
from tilewright.compiler.ir.visit import map_children, map_stmt, statements, substitute_stmt, variables
from tilewright.compiler.lower.comparisons import conjuncts, slack_form, tests_on
from tilewright.compiler.lower.peel_bounds import peel_by_bounds
from tilewright.compiler.te.expr import INDEX, Binary, Const, Expr, Select, Var

# A loop of more is left as it is: each of its iterations is looked at.
MOST_ITERATIONS = 1024
# A loop of so few is peeled whole where none is free of conditions.
FEW_ITERATIONS = 3


def peel_conditions(nest: LoopNest) -> LoopNest:
    """The nest with its marked loops cut where conditions on what is read begin and cease to hold."""
    if not any(isinstance(s, For) and s.partition for s in statements(nest.body)):
        return nest
    result = LoopNest(nest.inputs, nest.outputs, _Pass(dict(nest.ranges)).visit(nest.body))
    result.ranges = nest.ranges
    return result


def hoist_conditions(stmt: Stmt) -> Stmt:
    """Test ahead of a loop what is the same in all of its iterations."""
    stmt = map_stmt(stmt, lambda expr: expr, hoist_conditions)
    if not (isinstance(stmt, For) and isinstance(stmt.body, If) and stmt.body.otherwise is None):
        return stmt
    if stmt.kind is LoopKind.VECTORIZE and isinstance(stmt.body.then, Store) and not stmt.body.then.update:
        # What several stores share, such as a tile turned around, is to be computed ahead of their tests.
        return stmt
    parts = conjuncts(stmt.body.condition)
    outside = [part for part in parts if stmt.var not in variables(part)]
    if not outside:
        return stmt
    inside = [part for part in parts if stmt.var in variables(part)]
    body = If(_join(inside), stmt.body.then) if inside else stmt.body.then
    return If(_join(outside), stmt.replace(body=body))


def _join(parts: list[Expr]) -> Expr:
    return reduce(lambda a, b: Binary("and", a, b), parts)


@dataclass(slots=True)
class _Pass:
    ranges: dict[Var, tuple[int, int]]

    def visit(self, stmt: Stmt) -> Stmt:
        if isinstance(stmt, For):
            return self._loop(stmt)
        return map_stmt(stmt, lambda expr: expr, self.visit)

    def _loop(self, loop: For) -> Stmt:
        if not (isinstance(loop.begin, Const) and isinstance(loop.end, Const)):
            loops = peel_by_bounds(loop, self.ranges) if loop.partition else [loop]
            return block([part.replace(body=self.visit(part.body)) for part in loops])
        begin, end = int(loop.begin.value), int(loop.end.value)
        if not loop.partition:
            # A loop whose tail was cut off runs over less than its variable may be elsewhere.
            inner = _Pass({**self.ranges, loop.var: (begin, max(begin, end - 1))})
            return loop.replace(body=inner.visit(loop.body))
        first, last = self._inside(loop, begin, end)
        is_rolled = loop.kind is LoopKind.SERIAL or (loop.kind is LoopKind.UNROLL and loop.factor == 1)
        is_short = end - begin <= FEW_ITERATIONS
        if not is_rolled or (first, last) == (begin, end) or (first >= last and not is_short):
            return loop.replace(body=self._between(loop, begin, end))
        parts = [(begin, first), (first, last), (last, end)]
        if first >= last:
            parts = [(place, place + 1) for place in range(begin, end)]
        return block([self._part(loop, *part) for part in parts if part[0] < part[1]])

    def _part(self, loop: For, begin: int, end: int) -> Stmt:
        if end - begin == 1 and not loop.pragmas:
            body = substitute_stmt(loop.body, {loop.var: Const(begin, INDEX)})
            return self.visit(resolve(body, self.ranges))
        limits = Const(begin, INDEX), Const(end, INDEX)
        return loop.replace(begin=limits[0], end=limits[1], body=self._between(loop, begin, end))

    def _between(self, loop: For, begin: int, end: int) -> Stmt:
        """The body of a loop that runs over a part of its range."""
        inner = _Pass({**self.ranges, loop.var: (begin, end - 1)})
        return inner.visit(resolve(loop.body, inner.ranges))

    def _inside(self, loop: For, begin: int, end: int) -> tuple[int, int]:
        """The longest run of iterations in which every condition on the loop's variable holds."""
        if end - begin > MOST_ITERATIONS:
            return begin, end
        tests = tests_on(loop.var, loop.body)

        def holds(place: int) -> bool:
            at = {**self.ranges, loop.var: (place, place)}
            forms = [slack_form(test, at) for test in tests]
            return all(form is None or bounds(form, at)[0] >= 0 for form in forms)

        found = (begin, begin)
        for is_met, group in groupby(range(begin, end), holds):
            places = list(group)
            if is_met and len(places) > found[1] - found[0]:
                found = (places[0], places[-1] + 1)
        return found


def resolve(stmt: Stmt, ranges: Ranges) -> Stmt:
    """A nest without the conditions that are known to hold or to fail."""

    def expression(expr: Expr) -> Expr:
        if isinstance(expr, Select):
            condition = _resolve(expr.condition, ranges)
            if isinstance(condition, Const):
                return expression(expr.then if condition.value else expr.otherwise)
            return Select(condition, expression(expr.then), expression(expr.otherwise))
        return simplify_index(expr, ranges) if expr.dtype == INDEX else map_children(expr, expression)

    def statement(node: Stmt) -> Stmt:
        if isinstance(node, If):
            condition = _resolve(node.condition, ranges)
            if isinstance(condition, Const):
                chosen = node.then if condition.value else node.otherwise
                return block([]) if chosen is None else statement(chosen)
            node = If(condition, node.then, node.otherwise)
            return map_stmt(node, lambda expr: expr, statement)
        return map_stmt(node, expression, statement)

    return statement(stmt)


def _resolve(condition: Expr, ranges: Ranges) -> Expr:
    """A condition without the parts that are known; a constant where all are."""
    kept: Expr | None = None
    for part in conjuncts(condition):
        form = slack_form(part, ranges)
        low, high = (0, 0) if form is None else bounds(form, ranges)
        if form is not None and high < 0:
            return Const(False, "bool")
        if form is None or low < 0:
            part = map_children(part, lambda side: _simplified(side, ranges))
            kept = part if kept is None else Binary("and", kept, part)
    return Const(True, "bool") if kept is None else kept


def _simplified(expr: Expr, ranges: Ranges) -> Expr:
    return simplify_index(expr, ranges) if expr.dtype == INDEX else expr
