"""Loop nests and expressions as readable text."""

from __future__ import annotations

from tilewright.compiler.ir.loops import (
    Alloc,
    Assign,
    Block,
    Buffer,
    For,
    If,
    Intrinsic,
    LoopKind,
    LoopNest,
    Prefetch,
    Stmt,
    Store,
    allocated,
)
from tilewright.compiler.te.expr import (
    Binary,
    Call,
    Cast,
    Const,
    Expr,
    Load,
    Reduce,
    Select,
    Unary,
    Var,
)

PRECEDENCE = {"or": 1, "and": 2, **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), 3)}
PRECEDENCE |= {"|": 4, "^": 5, "&": 6, "+": 7, "-": 7, "*": 8, "/": 8, "//": 8, "%": 8}
UNARY = 9
LOOP = {LoopKind.SERIAL: "range", LoopKind.PARALLEL: "parallel", LoopKind.VECTORIZE: "vectorized"}
LOOP |= {LoopKind.UNROLL_HINT: "unrolled by LLVM"}


def format_expr(expr: Expr, outer: int = 0) -> str:
    """One line, with parentheses only where they are needed."""
    match expr:
        case Const():
            return _format_const(expr)
        case Var():
            return expr.name
        case Load():
            return f"{expr.source.name}[{', '.join(map(format_expr, expr.indices))}]"
        case Call():
            return f"{expr.name}({', '.join(map(format_expr, expr.args))})"
        case Cast():
            return f"{expr.dtype}({format_expr(expr.value)})"
        case Unary():
            return f"{'-' if expr.op == 'neg' else 'not '}{format_expr(expr.value, UNARY)}"
        case Select():
            parts = (expr.condition, expr.then, expr.otherwise)
            return f"select({', '.join(map(format_expr, parts))})"
        case Reduce():
            names = ", ".join(axis.name for axis in expr.axes)
            return f"{expr.kind}({', '.join(map(format_expr, expr.update))}, axis=[{names}])"
        case Binary():
            return _format_binary(expr, outer)
        case _:
            return object.__repr__(expr)


def _format_const(expr: Const) -> str:
    if expr.dtype in ("int64", "bool", "float32"):
        return repr(expr.value)
    return f"{expr.dtype}({expr.value!r})"


def _format_binary(expr: Binary, outer: int) -> str:
    if expr.op in ("min", "max"):
        return f"{expr.op}({format_expr(expr.a)}, {format_expr(expr.b)})"
    level = PRECEDENCE[expr.op]
    text = f"{format_expr(expr.a, level)} {expr.op} {format_expr(expr.b, level + 1)}"
    if expr.op in ("*", "//", "%"):
        text = f"{format_expr(expr.a, level)}{expr.op}{format_expr(expr.b, level + 1)}"
    return f"({text})" if level < outer else text


def format_stmt(stmt: Stmt, indent: int = 0) -> str:
    """A nest in the style of Python."""
    return "\n".join(_lines(stmt, indent))


def _lines(stmt: Stmt, indent: int) -> list[str]:
    pad = "    " * indent
    match stmt:
        case Store():
            indices = ", ".join(map(format_expr, stmt.indices))
            return [f"{pad}{stmt.buffer.name}[{indices}] = {format_expr(stmt.value)}"]
        case Assign():
            targets = ", ".join(
                f"{s.buffer.name}[{', '.join(map(format_expr, s.indices))}]" for s in stmt.stores
            )
            return [f"{pad}{targets} = {', '.join(format_expr(s.value) for s in stmt.stores)}"]
        case Block():
            return [line for part in stmt.body for line in _lines(part, indent)]
        case For():
            return [f"{pad}for {stmt.var.name} in {_format_range(stmt)}:", *_lines(stmt.body, indent + 1)]
        case If():
            lines = [f"{pad}if {format_expr(stmt.condition)}:", *_lines(stmt.then, indent + 1)]
            if stmt.otherwise is not None:
                lines += [f"{pad}else:", *_lines(stmt.otherwise, indent + 1)]
            return lines
        case Intrinsic():
            return _call_lines(stmt, indent)
        case Prefetch():
            level = f", level={stmt.level}" if stmt.level > 1 else ""
            return [f"{pad}prefetch({format_expr(stmt.element)}{level})"]
        case Alloc():
            buffers, body = allocated(stmt)
            return [*(f"{pad}{_format_alloc(buffer)}" for buffer in buffers), *_lines(body, indent)]
        case _:
            raise TypeError(f"not a statement: {type(stmt).__name__}")


def _call_lines(stmt: Intrinsic, indent: int) -> list[str]:
    bases = ", ".join(format_expr(argument.base) for argument in stmt.arguments)
    call = f"{'    ' * indent}{stmt.intrin.name}({bases})"
    if stmt.meanwhile is None:
        return [call]
    return [f"{call}, meanwhile:", *_lines(stmt.meanwhile, indent + 1)]


def _format_alloc(b: Buffer) -> str:
    strides = f", strides={b.strides}" if b.aligns else ""
    return f"{b.name} = alloc({b.shape}, {b.dtype}, {b.scope}{strides})"


def _format_range(loop: For) -> str:
    name = LOOP.get(loop.kind, f"unrolled[{loop.factor}]" if loop.factor else "unrolled")
    begin = "" if isinstance(loop.begin, Const) and loop.begin.value == 0 else f"{format_expr(loop.begin)}, "
    mark = "  # outlined" if loop.outline else ""
    return f"{name}({begin}{format_expr(loop.end)}){mark}"


def format_nest(nest: LoopNest) -> str:
    """The whole program: its arguments, then its loops."""
    lines = [
        f"{b.name} = argument({b.shape}, {b.dtype}{', nontemporal' if b.nontemporal else ''})"
        for b in (*nest.inputs, *nest.outputs)
    ]
    return "\n".join([*lines, *_lines(nest.body, 0)])
