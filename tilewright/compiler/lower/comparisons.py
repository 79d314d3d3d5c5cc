"""Comparisons of indices: those that a nest depends on, and as linear forms."""

from __future__ import annotations

from tilewright.compiler.ir.affine import NO_RANGES, Linear, Ranges, linear
from tilewright.compiler.ir.loops import If, Stmt
from tilewright.compiler.ir.visit import own_exprs, statements, variables, walk
from tilewright.compiler.te.expr import INDEX, Binary, Expr, Select, Var


def tests_on(var: Var, body: Stmt) -> list[Expr]:
    """The comparisons with a variable that choices in a body depend on."""
    conditions = [
        node.condition
        for stmt in statements(body)
        for expr in own_exprs(stmt)
        for node in walk(expr)
        if isinstance(node, Select)
    ]
    conditions += [stmt.condition for stmt in statements(body) if isinstance(stmt, If)]
    tests = [part for condition in conditions for part in conjuncts(condition)]
    return [test for test in tests if var in variables(test)]


def conjuncts(condition: Expr) -> list[Expr]:
    """The conditions that hold together where this one does."""
    if isinstance(condition, Binary) and condition.op == "and":
        return conjuncts(condition.a) + conjuncts(condition.b)
    return [condition]


def slack_form(test: Expr, ranges: Ranges = NO_RANGES) -> Linear | None:
    """A comparison of indices as a form that is at least zero where it holds."""
    if not isinstance(test, Binary) or test.a.dtype != INDEX:
        return None
    a, b = linear(test.a, ranges), linear(test.b, ranges)
    match test.op:
        case ">=":
            return a.add(b, -1)
        case ">":
            return _less_one(a.add(b, -1))
        case "<=":
            return b.add(a, -1)
        case "<":
            return _less_one(b.add(a, -1))
        case _:
            return None


def _less_one(form: Linear) -> Linear:
    return Linear(form.terms, form.const - 1)
