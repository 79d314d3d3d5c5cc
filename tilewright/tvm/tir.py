"""`tvm.tir`: expressions under the names that schedules and computations use."""

import math
import operator
from typing import Any, NoReturn

import ml_dtypes

from tilewright.compiler.errors import ExpressionError
from tilewright.compiler.te import *  # noqa: F403
from tilewright.compiler.te import cast, const, cos, floordiv, floormod, if_then_else, log, sin, trunc
from tilewright.compiler.te.expr import FLOATS, INDEX, INTEGER_LIMITS, Expr, as_expr
from tilewright.tvm.absent import refuse_absent

__getattr__ = refuse_absent(__name__)
# Python numbers are welcome where the classes of these names take expressions only.
Cast, Select = cast, if_then_else  # type: ignore[misc, assignment]
indexdiv, indexmod = floordiv, floormod
add, subtract, multiply = operator.add, operator.sub, operator.mul


def div(a: Any, b: Any) -> Expr:
    """`a / b`; of integers, rounded towards zero."""
    return truncdiv(a, b) if as_expr(a).dtype == INDEX else as_expr(as_expr(a) / b)


def truncdiv(a: Any, b: Any) -> Expr:
    """The quotient of integers, rounded towards zero."""
    quotient = trunc(as_expr(a).astype("float64") / as_expr(b).astype("float64"))
    return quotient.astype(as_expr(a).dtype)


def truncmod(a: Any, b: Any) -> Expr:
    """What `truncdiv` leaves."""
    return as_expr(a) - truncdiv(a, b) * as_expr(b, as_expr(a))


def tan(x: Any) -> Expr:
    """The tangent."""
    return sin(x) / cos(x)


def log2(x: Any) -> Expr:
    """The logarithm to base 2."""
    return log(x) * math.log2(math.e)


def isnan(x: Any) -> Expr:
    """Whether it is not a number."""
    return as_expr(x) != as_expr(x)


def min_value(dtype: str) -> Expr:
    """The least finite value of a type."""
    return const(_limits(dtype)[0], dtype)


def max_value(dtype: str) -> Expr:
    """The greatest finite value of a type."""
    return const(_limits(dtype)[1], dtype)


def infinity(dtype: str) -> Expr:
    """Infinity of a type of floats."""
    return const(math.inf, dtype)


def var(name: str = "n", dtype: str = "int32") -> NoReturn:
    """Refuse a symbolic extent."""
    raise ExpressionError(f"var({name!r}): shapes are static; give the integer instead of a {dtype} variable")


size_var = var


def _limits(dtype: str) -> tuple[float, float]:
    if dtype not in FLOATS:
        return INTEGER_LIMITS[dtype]
    found = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    return float(found.min), float(found.max)
