"""`tvm.tir`: expressions under the names that schedules and computations use."""

from typing import Any, NoReturn

from tilewright.compiler.errors import ExpressionError
from tilewright.compiler.te import *  # noqa: F403
from tilewright.compiler.te import floordiv, floormod, trunc
from tilewright.compiler.te.expr import INDEX, Expr, as_expr

indexdiv, indexmod = floordiv, floormod


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


def var(name: str = "n", dtype: str = "int32") -> NoReturn:
    """Refuse a symbolic extent."""
    raise ExpressionError(f"var({name!r}): shapes are static; give the integer instead of a {dtype} variable")


size_var = var
