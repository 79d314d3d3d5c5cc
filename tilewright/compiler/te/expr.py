"""Scalar expressions: the nodes that tensor computations and loop nests are made of.

Nodes are immutable by rule and compared by identity; a pass that changes nothing returns the same object.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from tilewright.compiler.errors import ExpressionError
from tilewright.compiler.te.storage import BITS

if TYPE_CHECKING:
    from tilewright.compiler.ir.loops import Buffer
    from tilewright.compiler.te.tensor import Tensor

INDEX = "int64"
DTYPES = ("bool", "int8", "uint8", "int32", "int64", "float16", "bfloat16", "float32", "float64")
FLOATS = ("float16", "bfloat16", "float32", "float64")
BYTES = {
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int32": 4,
    "int64": 8,
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
    BITS: 2,
}
INTEGER_LIMITS = {
    "int8": (-(1 << 7), (1 << 7) - 1),
    "uint8": (0, (1 << 8) - 1),
    "int32": (-(1 << 31), (1 << 31) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
}
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
LOGICAL = ("and", "or")
BITWISE = ("&", "|", "^")
# What operators do to Python's integers.
ON_NUMBERS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
    "min": min,
    "max": max,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
}

Scalar = bool | int | float


class Expr:
    """A scalar value of type ``dtype``; arithmetic on it builds larger expressions."""

    __slots__ = ("dtype",)
    dtype: str

    def __add__(self, other: ExprLike) -> Expr:
        return binary("+", self, other)

    def __radd__(self, other: ExprLike) -> Expr:
        return binary("+", other, self)

    def __sub__(self, other: ExprLike) -> Expr:
        return binary("-", self, other)

    def __rsub__(self, other: ExprLike) -> Expr:
        return binary("-", other, self)

    def __mul__(self, other: ExprLike) -> Expr:
        return binary("*", self, other)

    def __rmul__(self, other: ExprLike) -> Expr:
        return binary("*", other, self)

    def __truediv__(self, other: ExprLike) -> Expr:
        return binary("/", self, other)

    def __rtruediv__(self, other: ExprLike) -> Expr:
        return binary("/", other, self)

    def __floordiv__(self, other: ExprLike) -> Expr:
        return binary("//", self, other)

    def __rfloordiv__(self, other: ExprLike) -> Expr:
        return binary("//", other, self)

    def __mod__(self, other: ExprLike) -> Expr:
        return binary("%", self, other)

    def __rmod__(self, other: ExprLike) -> Expr:
        return binary("%", other, self)

    def __and__(self, other: ExprLike) -> Expr:
        return binary("&", self, other)

    def __rand__(self, other: ExprLike) -> Expr:
        return binary("&", other, self)

    def __or__(self, other: ExprLike) -> Expr:
        return binary("|", self, other)

    def __ror__(self, other: ExprLike) -> Expr:
        return binary("|", other, self)

    def __xor__(self, other: ExprLike) -> Expr:
        return binary("^", self, other)

    def __rxor__(self, other: ExprLike) -> Expr:
        return binary("^", other, self)

    def __neg__(self) -> Expr:
        if self.dtype == "bool":
            raise ExpressionError(f"-({self}): a condition has no sign: use te.logical_not or cast")
        return Unary("neg", self)

    def __lt__(self, other: ExprLike) -> Expr:
        return binary("<", self, other)

    def __le__(self, other: ExprLike) -> Expr:
        return binary("<=", self, other)

    def __gt__(self, other: ExprLike) -> Expr:
        return binary(">", self, other)

    def __ge__(self, other: ExprLike) -> Expr:
        return binary(">=", self, other)

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return binary("==", self, other)  # type: ignore[arg-type]

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return binary("!=", self, other)  # type: ignore[arg-type]

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise ExpressionError(
            f"{self} has no truth value while a program is being described: "
            "use te.if_then_else, te.all or te.any instead of if, and, or"
        )

    def astype(self, dtype: str) -> Expr:
        """Convert to ``dtype``, as :func:`cast` does."""
        return cast(dtype, self)

    def __repr__(self) -> str:
        from tilewright.compiler.ir.printer import format_expr

        return format_expr(self)


ExprLike = Expr | bool | int | float


class Const(Expr):
    """A literal."""

    __slots__ = ("value",)

    def __init__(self, value: Scalar, dtype: str) -> None:
        self.value = value
        self.dtype = dtype


class Var(Expr):
    """A named scalar: a loop variable or the state of a fold."""

    __slots__ = ("name",)

    def __init__(self, name: str, dtype: str = INDEX) -> None:
        self.name = name
        self.dtype = dtype


class Range(NamedTuple):
    """The values of an axis: ``extent`` of them, from ``min``."""

    min: int
    extent: int


class IterVar(Var):
    """An axis of a computation or of a stage: a variable in ``[0, extent)``.

    ``kind`` is ``"data"`` for an axis of the output and ``"reduce"`` for one that is reduced over.
    """

    __slots__ = ("extent", "kind")

    def __init__(self, name: str, extent: int, kind: str = "data") -> None:
        super().__init__(name, INDEX)
        self.extent = extent
        self.kind = kind

    @property
    def var(self) -> IterVar:
        """The variable itself (TVM keeps the two apart)."""
        return self

    @property
    def dom(self) -> Range:
        """Its range."""
        return Range(0, self.extent)


class Unary(Expr):
    """``neg`` or ``not``."""

    __slots__ = ("op", "value")

    def __init__(self, op: str, value: Expr) -> None:
        self.op = op
        self.value = value
        self.dtype = value.dtype


class Binary(Expr):
    """Arithmetic, ``min``, ``max``, operations on bits, comparisons and logical connectives."""

    __slots__ = ("a", "b", "op")

    def __init__(self, op: str, a: Expr, b: Expr) -> None:
        self.op = op
        self.a = a
        self.b = b
        self.dtype = "bool" if op in COMPARISONS or op in LOGICAL else a.dtype

    def __bool__(self) -> bool:
        """Identity, for the two equalities of expressions: Python asks for it in ``axis in axes``."""
        if self.op not in ("==", "!=") or isinstance(self.a, Const) or isinstance(self.b, Const):
            return super().__bool__()
        return (self.a is self.b) == (self.op == "==")


class Select(Expr):
    """``then`` where ``condition`` holds, else ``otherwise``; the other side is never evaluated."""

    __slots__ = ("condition", "otherwise", "then")

    def __init__(self, condition: Expr, then: Expr, otherwise: Expr) -> None:
        self.condition = condition
        self.then = then
        self.otherwise = otherwise
        self.dtype = then.dtype


class Cast(Expr):
    """Conversion to ``dtype``; to an integer it truncates, as C and NumPy do."""

    __slots__ = ("value",)

    def __init__(self, dtype: str, value: Expr) -> None:
        self.dtype = dtype
        self.value = value


class Call(Expr):
    """A mathematical function of its arguments."""

    __slots__ = ("args", "name")

    def __init__(self, name: str, args: Sequence[Expr], dtype: str) -> None:
        self.name = name
        self.args = tuple(args)
        self.dtype = dtype


class Load(Expr):
    """The element of a tensor (in a te program) or of a buffer (in a loop nest) at ``indices``."""

    __slots__ = ("indices", "source")

    def __init__(self, source: Tensor | Buffer, indices: Sequence[Expr]) -> None:
        self.source = source
        self.indices = tuple(indices)
        self.dtype = source.dtype


class Reduce(Expr):
    """A reduction over ``axes`` whose state is one scalar or several; only the whole body of a computation.

    ``state`` are the variables that stand for the state in ``update`` and ``finish``. ``kind`` is ``sum``,
    ``max``, ``min``, ``prod`` (then ``update`` holds the reduced value only) or ``fold``.
    """

    __slots__ = ("axes", "finish", "init", "kind", "merge", "state", "update")
    IDENTITY: ClassVar[dict[str, str]] = {"sum": "+", "prod": "*", "max": "max", "min": "min"}

    def __init__(
        self,
        kind: str,
        axes: Sequence[IterVar],
        init: Sequence[Expr],
        update: Sequence[Expr],
        state: Sequence[Var] = (),
        finish: Expr | None = None,
        merge: tuple[tuple[Var, ...], tuple[Expr, ...]] | None = None,
    ) -> None:
        self.kind = kind
        self.axes = tuple(axes)
        self.init = tuple(init)
        self.update = tuple(update)
        self.state = tuple(state)
        self.finish = finish
        self.merge = merge
        self.dtype = update[0].dtype if finish is None else finish.dtype


def const(value: Scalar, dtype: str | None = None) -> Const:
    """A literal; without ``dtype`` a bool, an int64 or a float32 by the value's own type."""
    if isinstance(value, Const):
        return value
    dtype = dtype_name(dtype)
    if dtype is None:
        dtype = "bool" if isinstance(value, bool) else INDEX if isinstance(value, int) else "float32"
    if dtype == "bool":
        return Const(bool(value), dtype)
    if dtype in FLOATS:
        return Const(float(value), dtype)
    low, high = INTEGER_LIMITS[dtype]
    if not low <= value <= high:
        raise ExpressionError(f"{value} is no {dtype}: cast the other operands to a wider type")
    return Const(int(value), dtype)


def as_expr(value: ExprLike, like: Expr | None = None) -> Expr:
    """An expression for ``value``; a Python number takes the type of ``like``."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, (bool, int, float)):
        raise ExpressionError(f"{value!r} ({type(value).__name__}) cannot be part of a tensor expression")
    if like is None or isinstance(value, bool):
        return const(value)
    if isinstance(value, float) and like.dtype not in FLOATS:
        return const(value, "float32")
    return const(value, "int64" if like.dtype == "bool" else like.dtype)


def promote(a: Expr, b: Expr, op: str) -> tuple[Expr, Expr]:
    """Bring both operands to one type: a float wins over an integer, the wider wins over the narrower."""
    if a.dtype == b.dtype:
        return a, b
    if "bfloat16" in (a.dtype, b.dtype) and a.dtype in FLOATS and b.dtype in FLOATS:
        wide = "float32" if "float16" in (a.dtype, b.dtype) else max(a.dtype, b.dtype, key=_bits)
    elif a.dtype in FLOATS or b.dtype in FLOATS:
        floats = [x.dtype for x in (a, b) if x.dtype in FLOATS]
        wide = max(floats, key=_bits)
    else:
        wide = str(np.result_type(a.dtype, b.dtype))
    if wide not in DTYPES:
        raise ExpressionError(f"{a.dtype} {op} {b.dtype} has no common type: cast one side")
    return cast(wide, a), cast(wide, b)


def _bits(dtype: str) -> int:
    return 16 if dtype == "bfloat16" else np.dtype(dtype).itemsize * 8


def binary(op: str, a: ExprLike, b: ExprLike) -> Expr:
    """Build ``a op b``, folding literals and the neutral elements of index arithmetic."""
    left = as_expr(a, b if isinstance(b, Expr) else None)
    right = as_expr(b, left)
    left, right = promote(left, right, op)
    if op in LOGICAL and left.dtype != "bool":
        raise ExpressionError(f"{op} needs conditions, not {left.dtype}")
    if left.dtype == "bool" and op not in BITWISE:
        op = _on_conditions(op, left)
    if op in BITWISE and (left.dtype in FLOATS or left.dtype == "bool"):
        raise ExpressionError(f"{op} works on the bits of integers, not of {left.dtype}")
    if op == "/" and left.dtype not in FLOATS:
        raise ExpressionError(f"{left} / {right}: integers have no true division; use // or cast to a float")
    if left.dtype == INDEX:
        folded = _fold_index(op, left, right)
        if folded is not None:
            return folded
    return Binary(op, left, right)


def _on_conditions(op: str, left: Expr) -> str:
    """The operator that NumPy takes for arithmetic on conditions: "or" for a sum, "and" for a product."""
    if op in ("-", "/", "//", "%"):
        raise ExpressionError(f"{left} {op} ...: conditions have no such arithmetic: cast them to a number")
    return {"+": "or", "*": "and"}.get(op, op)


def _fold_index(op: str, a: Expr, b: Expr) -> Expr | None:
    if isinstance(a, Const) and isinstance(b, Const):
        return _fold_constants(op, int(a.value), int(b.value))
    if isinstance(b, Const):
        if (op in ("+", "-") and b.value == 0) or (op in ("*", "//") and b.value == 1):
            return a
        if op == "*" and b.value == 0:
            return b
    if isinstance(a, Const):
        if (op == "+" and a.value == 0) or (op == "*" and a.value == 1):
            return b
        if op == "*" and a.value == 0:
            return a
    return None


def _fold_constants(op: str, a: int, b: int) -> Expr:
    if op in ("//", "%") and b == 0:
        raise ExpressionError(f"{a} {op} 0: division by zero in an index")
    value = ON_NUMBERS[op](a, b)
    return Const(value, "bool" if op in COMPARISONS else INDEX)


def dtype_name(dtype: Any) -> Any:
    """The name of a dtype of NumPy; anything else as it is."""
    is_kind = isinstance(dtype, type) and issubclass(dtype, np.generic)
    return np.dtype(dtype).name if is_kind or isinstance(dtype, np.dtype) else dtype


def cast(dtype: str, value: ExprLike) -> Expr:
    """Convert ``value`` to ``dtype``."""
    dtype = dtype_name(dtype)
    if dtype not in DTYPES:
        raise ExpressionError(f"unknown dtype {dtype!r}: choose one of {', '.join(DTYPES)}")
    expr = as_expr(value)
    if expr.dtype == dtype:
        return expr
    if isinstance(expr, Const) and (dtype in FLOATS or expr.dtype not in FLOATS) and dtype != "bool":
        return const(expr.value, dtype)
    return Cast(dtype, expr)


def children(expr: Expr) -> tuple[Expr, ...]:
    """The direct operands of a node, in a fixed order."""
    match expr:
        case Binary():
            return (expr.a, expr.b)
        case Load():
            return expr.indices
        case Call():
            return expr.args
        case Select():
            return (expr.condition, expr.then, expr.otherwise)
        case Unary() | Cast():
            return (expr.value,)
        case Reduce():
            tail = (expr.finish,) if expr.finish is not None else ()
            return (*expr.init, *expr.update, *tail)
        case _:
            return ()


def rebuild_as(expr: Expr, dtype: str) -> Expr:
    """The node with its type derived anew (operators) or set to ``dtype`` (functions)."""
    if isinstance(expr, Call):
        return Call(expr.name, expr.args, dtype)
    if isinstance(expr, Binary):
        a, b = promote(expr.a, expr.b, expr.op)
        return Binary(expr.op, a, b)
    if isinstance(expr, Select):
        return Select(expr.condition, *promote(expr.then, expr.otherwise, "if_then_else"))
    return expr
