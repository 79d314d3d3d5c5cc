"""Mathematical functions and selection on scalar expressions."""

from __future__ import annotations

from tilewright.compiler.errors import ExpressionError
from tilewright.compiler.te.expr import (
    FLOATS,
    Call,
    Const,
    Expr,
    ExprLike,
    Select,
    Unary,
    as_expr,
    binary,
    promote,
)


def _math(name: str, value: ExprLike) -> Expr:
    expr = as_expr(value)
    if expr.dtype not in FLOATS and not (name == "abs" and expr.dtype != "bool"):
        raise ExpressionError(f"te.{name} needs a float, not {expr.dtype}: cast first")
    return expr if expr.dtype == "uint8" else Call(name, (expr,), expr.dtype)


def exp(x: ExprLike) -> Expr:
    """E to the power of x."""
    return _math("exp", x)


def exp2(x: ExprLike) -> Expr:
    """2 to the power of x: cheaper than ``exp`` where log2(e) is part of a factor that x has anyway."""
    return _math("exp2", x)


def log(x: ExprLike) -> Expr:
    """The natural logarithm."""
    return _math("log", x)


def sqrt(x: ExprLike) -> Expr:
    """The square root."""
    return _math("sqrt", x)


def rsqrt(x: ExprLike) -> Expr:
    """One over the square root."""
    return _math("rsqrt", x)


def tanh(x: ExprLike) -> Expr:
    """The hyperbolic tangent."""
    return _math("tanh", x)


def sigmoid(x: ExprLike) -> Expr:
    """1 / (1 + exp(-x))."""
    return _math("sigmoid", x)


def erf(x: ExprLike) -> Expr:
    """The error function."""
    return _math("erf", x)


def sin(x: ExprLike) -> Expr:
    """The sine."""
    return _math("sin", x)


def cos(x: ExprLike) -> Expr:
    """The cosine."""
    return _math("cos", x)


def floor(x: ExprLike) -> Expr:
    """The greatest whole number not above x."""
    return _math("floor", x)


def ceil(x: ExprLike) -> Expr:
    """The least whole number not below x."""
    return _math("ceil", x)


def round(x: ExprLike) -> Expr:
    """The nearest whole number, halves to even, as NumPy rounds."""
    return _math("round", x)


def trunc(x: ExprLike) -> Expr:
    """The whole part."""
    return _math("trunc", x)


def abs(x: ExprLike) -> Expr:
    """The absolute value."""
    return _math("abs", x)


def power(x: ExprLike, y: ExprLike) -> Expr:
    """X to the power of y, for floats."""
    base, exponent = promote(*_pair(x, y), "power")
    if base.dtype not in FLOATS:
        raise ExpressionError(f"te.power needs floats, not {base.dtype}: cast first")
    return Call("pow", (base, exponent), base.dtype)


def _pair(x: ExprLike, y: ExprLike) -> tuple[Expr, Expr]:
    left = as_expr(x, y if isinstance(y, Expr) else None)
    return left, as_expr(y, left)


def maximum(x: ExprLike, y: ExprLike) -> Expr:
    """The greater of two values."""
    return binary("max", x, y)


def minimum(x: ExprLike, y: ExprLike) -> Expr:
    """The lesser of two values."""
    return binary("min", x, y)


def if_then_else(condition: ExprLike, then: ExprLike, otherwise: ExprLike) -> Expr:
    """``then`` where the condition holds, else ``otherwise``; the other side is never evaluated.

    So ``te.if_then_else(i >= 1, A[i - 1], 0.0)`` reads no element outside A.
    """
    test = as_expr(condition)
    if test.dtype != "bool":
        raise ExpressionError(f"if_then_else: {test} is {test.dtype}, not a condition; compare it")
    left, right = promote(*_pair(then, otherwise), "if_then_else")
    if isinstance(test, Const):
        return left if test.value else right
    return Select(test, left, right)


def all(*conditions: ExprLike) -> Expr:
    """True where every condition holds."""
    return _join("and", conditions)


def any(*conditions: ExprLike) -> Expr:
    """True where at least one condition holds."""
    return _join("or", conditions)


def logical_not(condition: ExprLike) -> Expr:
    """True where the condition does not hold."""
    test = as_expr(condition)
    if test.dtype != "bool":
        raise ExpressionError(f"logical_not: {test} is {test.dtype}, not a condition; compare it")
    return Unary("not", test)


def _join(op: str, conditions: tuple[ExprLike, ...]) -> Expr:
    if not conditions:
        raise ExpressionError("te.all and te.any need at least one condition")
    result = as_expr(conditions[0])
    for condition in conditions[1:]:
        result = binary(op, result, condition)
    return result


def floordiv(a: ExprLike, b: ExprLike) -> Expr:
    """Integer division, rounding down."""
    return binary("//", a, b)


def floormod(a: ExprLike, b: ExprLike) -> Expr:
    """The remainder of :func:`floordiv`, of the divisor's sign."""
    return binary("%", a, b)
