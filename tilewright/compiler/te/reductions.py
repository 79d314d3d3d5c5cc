"""Reductions: sum, prod, max, min and the general fold."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from tilewright.compiler.errors import ExpressionError
from tilewright.compiler.te.expr import (
    FLOATS,
    Expr,
    ExprLike,
    IterVar,
    Reduce,
    Var,
    as_expr,
    binary,
    cast,
    const,
)
from tilewright.compiler.te.intrinsics import if_then_else

Axes = IterVar | Sequence[IterVar]
State = tuple[Expr, ...]


def _axes(name: str, axis: Axes) -> tuple[IterVar, ...]:
    axes = tuple(axis) if isinstance(axis, Iterable) else (axis,)
    if not axes:
        raise ExpressionError(f"te.{name}: give at least one reduce_axis")
    for a in axes:
        if not isinstance(a, IterVar) or a.kind != "reduce":
            raise ExpressionError(f"te.{name}: {a} is not a reduce_axis")
    if len(set(map(id, axes))) < len(axes):
        given = ", ".join(a.name for a in axes)
        raise ExpressionError(f"te.{name}: axis={given} names one of them twice; give each once")
    return axes


def lowest(dtype: str) -> float | int | bool:
    """The identity of ``max``: minus infinity, or the least integer."""
    return float("-inf") if dtype in FLOATS else False if dtype == "bool" else int(np.iinfo(dtype).min)


def highest(dtype: str) -> float | int | bool:
    """The identity of ``min``: infinity, or the greatest integer."""
    return float("inf") if dtype in FLOATS else True if dtype == "bool" else int(np.iinfo(dtype).max)


def _reduce(
    kind: str, value: ExprLike, axis: Axes | ExprLike, identity: float | int | bool, where: ExprLike | None
) -> Expr:
    expr = as_expr(value)
    if where is not None:
        expr = if_then_else(where, expr, const(identity, expr.dtype))
    if isinstance(axis, (int, float, np.generic, Expr)) and not isinstance(axis, IterVar):
        return binary(Reduce.IDENTITY[kind], expr, axis)  # as in TVM: te.max(x, 0.0)
    if expr.dtype == "bool" and kind in ("sum", "prod"):
        raise ExpressionError(
            f"te.{kind} of conditions: cast them to int32 to count, or take te.max or te.min"
        )
    return Reduce(kind, _axes(kind, axis), (const(identity, expr.dtype),), (expr,))


def sum(expr: ExprLike, axis: Axes | ExprLike, where: ExprLike | None = None) -> Expr:
    """The sum of ``expr`` over ``axis``, in the type of ``expr``; of two values where ``axis`` is one.

    Terms for which ``where`` does not hold are left out.
    """
    return _reduce("sum", expr, axis, 0, where)


def prod(expr: ExprLike, axis: Axes | ExprLike, where: ExprLike | None = None) -> Expr:
    """The product of ``expr`` over ``axis``; of two values where ``axis`` is one.

    Terms for which ``where`` does not hold are left out.
    """
    return _reduce("prod", expr, axis, 1, where)


def max(expr: ExprLike, axis: Axes | ExprLike, where: ExprLike | None = None) -> Expr:
    """The greatest ``expr`` over ``axis``; of two values where ``axis`` is one.

    Terms for which ``where`` does not hold are left out.
    """
    return _reduce("max", expr, axis, lowest(as_expr(expr).dtype), where)


def min(expr: ExprLike, axis: Axes | ExprLike, where: ExprLike | None = None) -> Expr:
    """The least ``expr`` over ``axis``; of two values where ``axis`` is one.

    Terms for which ``where`` does not hold are left out.
    """
    return _reduce("min", expr, axis, highest(as_expr(expr).dtype), where)


def fold(
    axis: Axes,
    init: Sequence[ExprLike],
    update: Callable[..., Sequence[ExprLike]],
    finish: Callable[..., ExprLike],
    merge: Callable[[State, State], Sequence[ExprLike]] | None = None,
    where: ExprLike | None = None,
) -> Expr:
    """A reduction with a state of several scalars, such as argmax, Welford's variance or online softmax.

    Args:
        axis: the axes to walk, in order.
        init: the state before the first step; its types are the state's types.
        update: the next state from the present one, ``update(s0, s1, ...)``; it reads tensors at ``axis``.
        finish: the result from the last state.
        merge: the state of two parts joined, which lets the fold run in parallel.
        where: steps for which it does not hold leave the state as it is.

    Raises:
        ExpressionError: a function does not take, or give, as many values as there are in ``init``.

    Example, the position of a row's greatest element::

        k = te.reduce_axis((0, n), "k")
        te.compute((m,), lambda i: te.fold(
            k, (-math.inf, 0),
            lambda best, at: (te.maximum(best, A[i, k]), te.if_then_else(A[i, k] > best, k, at)),
            lambda best, at: at))
    """
    axes = _axes("fold", axis)
    if not isinstance(init, Sequence) or isinstance(init, str) or not init:
        raise ExpressionError(f"te.fold: init={init!r}: give the values of the state, such as (0.0, 0.0)")
    start = tuple(as_expr(value) for value in init)
    state = tuple(Var(f"state{n}", value.dtype) for n, value in enumerate(start))
    step = _states("update", update, state, start)
    step = tuple(cast(like.dtype, value) for value, like in zip(step, start, strict=True))
    if where is not None:
        step = tuple(if_then_else(where, value, old) for value, old in zip(step, state, strict=True))
    merged = None
    if merge is not None:
        other = tuple(Var(f"other{n}", value.dtype) for n, value in enumerate(start))
        merged = (other, _states("merge", merge, (state, other), start))
    return Reduce("fold", axes, start, step, state, as_expr(_call("finish", finish, state)), merged)


def _states(
    name: str, function: Callable[..., Sequence[ExprLike]], given: Sequence[Any], start: Sequence[Expr]
) -> tuple[Expr, ...]:
    """What a function of a fold makes of states: another, with as many values as ``start`` has."""
    found = _call(name, function, given)
    if not isinstance(found, (tuple, list)) or len(found) != len(start):
        raise ExpressionError(
            f"te.fold: {name} gives {found!r}, where a state has {len(start)} values as a tuple"
        )
    return tuple(as_expr(value, like) for value, like in zip(found, start, strict=True))


def _call(name: str, function: Callable[..., Any], given: Sequence[Any]) -> Any:
    """What a function of a fold gives for the values of a state, or for two states."""
    try:
        inspect.signature(function).bind(*given)
    except TypeError as error:
        raise ExpressionError(f"te.fold: {name} is called with {len(given)} arguments: {error}") from None
    except ValueError:
        pass  # some builtins tell nothing of what they take
    return function(*given)


class Reducer(Protocol):
    """What :func:`comm_reducer` makes."""

    def __call__(self, expr: ExprLike, axis: Axes, where: ExprLike | None = None) -> Expr:
        """The reduction of ``expr`` over ``axis``, without those for which ``where`` does not hold."""


def comm_reducer(
    fcombine: Callable[[Expr, Expr], ExprLike], fidentity: Callable[[str], ExprLike], name: str = "reduce"
) -> Reducer:
    """A reduction of one's own: a function of an expression and the axes to reduce over.

    Args:
        fcombine: two values as one; associative and commutative.
        fidentity: what changes nothing, given the dtype.
        name: what error messages call it.

    Example::

        xor = te.comm_reducer(lambda x, y: (x + y) % 2, lambda dtype: te.const(0, dtype), name="xor")
        te.compute((m,), lambda i: xor(A[i, k], axis=k))
    """

    def combine(x: Expr, y: Expr) -> ExprLike:
        return _single(name, "fcombine", fcombine(x, y))

    def reduce(expr: ExprLike, axis: Axes, where: ExprLike | None = None) -> Expr:
        value = as_expr(_single(name, "the expression", expr))
        identity = as_expr(_single(name, "fidentity", fidentity(value.dtype)), value)
        return fold(
            _axes(name, axis),
            (cast(value.dtype, identity),),
            lambda state: (combine(state, value),),
            lambda state: state,
            lambda left, right: (combine(left[0], right[0]),),
            where,
        )

    reduce.__name__ = name
    return reduce


def _single(name: str, what: str, value: ExprLike) -> ExprLike:
    if isinstance(value, (tuple, list)):
        raise ExpressionError(f"{name}: {what} has several values; write such a reduction with te.fold")
    return value
