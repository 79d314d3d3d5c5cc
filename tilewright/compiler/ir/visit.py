"""Rebuilding and walking expressions and nests; a pass that changes nothing gets the same object back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tilewright.compiler.ir.loops import (
    Alloc,
    Assign,
    Block,
    For,
    If,
    Intrinsic,
    IntrinsicArgument,
    Prefetch,
    Stmt,
    Store,
    allocate,
    allocated,
    block,
)
from tilewright.compiler.te.expr import Binary, Call, Cast, Expr, Load, Reduce, Select, Unary, Var, children

ExprMap = Callable[[Expr], Expr]
StmtMap = Callable[[Stmt], Stmt]


def rebuild(expr: Expr, parts: tuple[Expr, ...]) -> Expr:
    """The same node with other operands."""
    match expr:
        case Binary():
            return Binary(expr.op, *parts)
        case Load():
            return Load(expr.source, parts)
        case Call():
            return Call(expr.name, parts, expr.dtype)
        case Select():
            return Select(*parts)
        case Unary():
            return Unary(expr.op, *parts)
        case Cast():
            return Cast(expr.dtype, *parts)
        case Reduce():
            return _rebuild_reduce(expr, parts)
        case _:
            return expr


def _rebuild_reduce(expr: Reduce, parts: tuple[Expr, ...]) -> Reduce:
    count = len(expr.init)
    init, update = parts[:count], parts[count : 2 * count]
    finish = parts[2 * count] if expr.finish is not None else None
    return Reduce(expr.kind, expr.axes, init, update, expr.state, finish, expr.merge)


def map_children(expr: Expr, f: ExprMap) -> Expr:
    """Apply ``f`` to the operands; the node itself where nothing changed."""
    old = children(expr)
    new = tuple(f(child) for child in old)
    if all(a is b for a, b in zip(old, new, strict=True)):
        return expr
    return rebuild(expr, new)


def substitute(expr: Expr, values: Mapping[Var, Expr]) -> Expr:
    """Replace variables by expressions."""
    if isinstance(expr, Var):
        return values.get(expr, expr)
    return map_children(expr, lambda child: substitute(child, values))


def transform(expr: Expr, f: Callable[[Expr], Expr | None]) -> Expr:
    """Rewrite bottom-up: where ``f`` gives an expression it replaces the node."""
    rebuilt = map_children(expr, lambda child: transform(child, f))
    replacement = f(rebuilt)
    return rebuilt if replacement is None else replacement


def walk(expr: Expr) -> Iterator[Expr]:
    """Every node, outer before inner."""
    waiting = [expr]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += children(node)[::-1]


def variables(expr: Expr) -> set[Var]:
    """The variables that occur in an expression."""
    return {node for node in walk(expr) if isinstance(node, Var)}


def map_stmt(stmt: Stmt, on_expr: ExprMap, on_stmt: StmtMap) -> Stmt:
    """Apply ``on_expr`` to the node's own expressions and ``on_stmt`` to its statements."""
    match stmt:
        case Store():
            indices, value = tuple(on_expr(i) for i in stmt.indices), on_expr(stmt.value)
            if value is stmt.value and all(a is b for a, b in zip(indices, stmt.indices, strict=True)):
                return stmt
            return Store(stmt.buffer, indices, value, stmt.update)
        case Assign():
            stores = tuple(map_stmt(s, on_expr, on_stmt) for s in stmt.stores)
            return Assign([s for s in stores if isinstance(s, Store)]) if stores != stmt.stores else stmt
        case Block():
            body = tuple(on_stmt(s) for s in stmt.body)
            return stmt if all(a is b for a, b in zip(body, stmt.body, strict=True)) else block(body)
        case For():
            return stmt.replace(begin=on_expr(stmt.begin), end=on_expr(stmt.end), body=on_stmt(stmt.body))
        case If():
            return _map_if(stmt, on_expr, on_stmt)
        case Prefetch():
            element = on_expr(stmt.element)
            return stmt if element is stmt.element else Prefetch(element, stmt.level)
        case Intrinsic():
            return _map_intrinsic(stmt, on_expr, on_stmt)
        case Alloc():
            buffers, inside = allocated(stmt)
            inner = on_stmt(inside)
            return stmt if inner is inside else allocate(buffers, inner)
        case _:
            raise TypeError(f"not a statement: {type(stmt).__name__}")


def _map_if(stmt: If, on_expr: ExprMap, on_stmt: StmtMap) -> Stmt:
    condition, then = on_expr(stmt.condition), on_stmt(stmt.then)
    otherwise = None if stmt.otherwise is None else on_stmt(stmt.otherwise)
    if condition is stmt.condition and then is stmt.then and otherwise is stmt.otherwise:
        return stmt
    return If(condition, then, otherwise)


def _map_intrinsic(stmt: Intrinsic, on_expr: ExprMap, on_stmt: StmtMap) -> Stmt:
    arguments = [_map_argument(argument, on_expr) for argument in stmt.arguments]
    parts = [on_stmt(part) for part in stmt.parts]
    old = (*stmt.arguments, *stmt.parts)
    if all(a is b for a, b in zip((*arguments, *parts), old, strict=True)):
        return stmt
    return Intrinsic(stmt.intrin, arguments, *parts)


def _map_argument(argument: IntrinsicArgument, on_expr: ExprMap) -> IntrinsicArgument:
    base = on_expr(argument.base)
    assert isinstance(base, Load)
    return argument if base is argument.base else IntrinsicArgument(base, argument.steps)


def substitute_stmt(stmt: Stmt, values: Mapping[Var, Expr]) -> Stmt:
    """Replace variables by expressions throughout a nest."""
    return map_stmt(stmt, lambda e: substitute(e, values), lambda s: substitute_stmt(s, values))


def statements(stmt: Stmt) -> Iterator[Stmt]:
    """Every statement, outer before inner."""
    waiting = [stmt]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += parts(node)[::-1]


def parts(stmt: Stmt) -> tuple[Stmt, ...]:
    """The statements directly inside."""
    match stmt:
        case Block():
            return stmt.body
        case For() | Alloc():
            return (stmt.body,)
        case Intrinsic():
            return stmt.parts
        case If():
            return (stmt.then,) if stmt.otherwise is None else (stmt.then, stmt.otherwise)
        case Assign():
            return stmt.stores
        case _:
            return ()


def own_exprs(stmt: Stmt) -> tuple[Expr, ...]:
    """The expressions of the node itself, not those of the statements inside it."""
    match stmt:
        case Store():
            return (*stmt.indices, stmt.value)
        case For():
            return (stmt.begin, stmt.end)
        case If():
            return (stmt.condition,)
        case Prefetch():
            return (stmt.element,)
        case Intrinsic():
            return tuple(argument.base for argument in stmt.arguments)
        case _:
            return ()
