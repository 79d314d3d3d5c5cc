"""Peel the iterations in which tests may fail off a loop whose bounds depend on the loops around it.

::

    for k in range(min(n, 4*i + 4)):         ->  for k in range(min(n, 4*i + 1)):
        for r in unrolled(4):                        for r in unrolled(4): T[r] += f(r, k)
            if k - r < 4*i + 1: T[r] += f(r, k)  for k in range(min(n, 4*i + 1), min(n, 4*i + 4)):
                                                     for r in unrolled(4):
                                                         if k - r < 4*i + 1: T[r] += f(r, k)
"""

from __future__ import annotations

from collections.abc import Collection, Hashable

from tilewright.compiler.ir.affine import Linear, Ranges, bounds, ceildiv, key, simplify_index
from tilewright.compiler.ir.loops import For, If, LoopKind, Stmt
from tilewright.compiler.ir.visit import map_children, map_stmt, statements, variables
from tilewright.compiler.lower.comparisons import conjuncts, slack_form, tests_on
from tilewright.compiler.te.expr import Const, Expr, Select, Var, binary, const
from tilewright.compiler.te.intrinsics import all as all_of


def peel_by_bounds(loop: For, ranges: Ranges) -> list[For]:
    """The loop in two or three: in the middle one no test of the loop's variable is left."""
    is_rolled = loop.kind is LoopKind.SERIAL or (loop.kind is LoopKind.UNROLL and loop.factor == 1)
    starts, stops, met = _middle(loop, ranges)
    if not is_rolled or not met:
        return [loop]
    first, last = loop.begin, loop.end
    for start in starts:
        first = binary("max", first, start)
    for stop in stops:
        last = binary("min", last, stop)
    first = simplify_index(binary("min", first, loop.end), ranges) if starts else loop.begin
    last = simplify_index(binary("max", last, first), ranges) if stops else loop.end
    middle = loop.replace(begin=first, end=last, body=_without(loop.body, met))
    before = [loop.replace(end=first)] if starts else []
    after = [loop.replace(begin=last)] if stops else []
    return [*before, middle, *after]


def _middle(loop: For, ranges: Ranges) -> tuple[list[Expr], list[Expr], set[Hashable]]:
    """Where tests begin to hold and cease to hold, whatever the loops inside are at, and those tests."""
    inner = {stmt.var for stmt in statements(loop.body) if isinstance(stmt, For)}
    starts: dict[Hashable, Expr] = {}
    stops: dict[Hashable, Expr] = {}
    met: set[Hashable] = set()
    for test in tests_on(loop.var, loop.body):
        form = slack_form(test, ranges)
        scale = 0 if form is None else form.coefficient(loop.var)
        if form is None or not scale:
            continue
        slack = _least(form.without(loop.var), inner, ranges)
        if slack is None or loop.var in variables(slack):
            continue
        met.add(key(test))
        place = ceildiv(const(0) - slack, scale) if scale > 0 else slack // -scale + 1
        place = simplify_index(place, ranges)
        (starts if scale > 0 else stops)[key(place)] = place
    return list(starts.values()), list(stops.values()), met


def _least(form: Linear, inner: Collection[Var], ranges: Ranges) -> Expr | None:
    """The least value of a form while the loops inside run; None where it has none."""
    loose = {k: t for k, t in form.terms.items() if not variables(t[0]).isdisjoint(inner)}
    held = {k: t for k, t in form.terms.items() if k not in loose}
    low, high = bounds(Linear(loose, 0), ranges)
    if high - low > 1 << 50:
        return None
    return Linear(held, form.const + low).to_expr()


def _without(stmt: Stmt, met: Collection[Hashable]) -> Stmt:
    """A nest without the tests that are known to hold."""

    def kept(condition: Expr) -> Expr:
        parts = [part for part in conjuncts(condition) if key(part) not in met]
        return all_of(*parts) if parts else Const(True, "bool")

    def expression(expr: Expr) -> Expr:
        if not isinstance(expr, Select):
            return map_children(expr, expression)
        condition, then = kept(expr.condition), expression(expr.then)
        is_known = isinstance(condition, Const)
        return then if is_known else Select(condition, then, expression(expr.otherwise))

    def statement(node: Stmt) -> Stmt:
        if not isinstance(node, If):
            return map_stmt(node, expression, statement)
        condition, then = kept(node.condition), statement(node.then)
        if isinstance(condition, Const):
            return then
        return If(condition, then, None if node.otherwise is None else statement(node.otherwise))

    return statement(stmt)
