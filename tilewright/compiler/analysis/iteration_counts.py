"""How often loops run and conditions hold, over the iterations of the loops around them.

Tails make the end of a loop depend on the loops around, as in ``range(min(6, 1024 - 96*io - 6*ii))``. The
mean is taken over every iteration of those loops where they are few, else over points spread evenly.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from math import prod, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler.ir.affine import Ranges, key
from tilewright.compiler.ir.loops import For
from tilewright.compiler.ir.visit import variables
from tilewright.compiler.te.expr import Binary, Const, Expr, Unary, Var

POINTS_LIMIT = 4096
# Of more different values the mean is taken.
CASES_LIMIT = 8
# Numbers of iterations, and the share of the times that each is met.
Cases = tuple[tuple[float, float], ...]
Points = dict[Var, npt.NDArray[np.int64]]
Values = npt.NDArray[Any]

_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "//": np.floor_divide,
    "%": np.remainder,
    "min": np.minimum,
    "max": np.maximum,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
}


class UnknownValueError(Exception):
    """An expression depends on more than the loops around it, as on what is read from memory."""


class IterationCounts:
    """Counts over the iterations of loops; what was asked once is remembered.

    Args:
        ranges: the inclusive range of every loop variable.
    """

    def __init__(self, ranges: Ranges) -> None:
        self._ranges = ranges
        self._known: dict[Hashable, Cases] = {}

    def trips(self, loop: For, around: Sequence[For]) -> Cases:
        """The numbers of iterations that the loop has when it is come to."""
        if isinstance(loop.begin, Const) and isinstance(loop.end, Const):
            return ((float(max(0, int(loop.end.value) - int(loop.begin.value))), 1.0),)
        low, high = self._ranges.get(loop.var, (0, 0))
        name = (key(loop.begin), key(loop.end))
        return self._cases(name, (loop.end, loop.begin), around, float(high - low + 1))

    def share(self, condition: Expr, around: Sequence[For]) -> float:
        """The share of the iterations around in which a condition holds; 1 where it depends on data."""
        cases = self._cases(key(condition), (condition,), around, 1.0)
        return sum(value * weight for value, weight in cases)

    def _cases(self, name: Hashable, exprs: Sequence[Expr], around: Sequence[For], otherwise: float) -> Cases:
        if name not in self._known:
            try:
                self._known[name] = self._evaluate(exprs, around)
            except UnknownValueError:
                self._known[name] = ((otherwise, 1.0),)
        return self._known[name]

    def _evaluate(self, exprs: Sequence[Expr], around: Sequence[For]) -> Cases:
        """The values of an expression, or of what a second one leaves of it, where the loops around run."""
        loops = _loops_of(exprs, around)
        points = _spread([(loop.var, *self._ranges.get(loop.var, (0, 0))) for loop in loops])
        found = [evaluate(expr, points) for expr in exprs]
        result = found[0] if len(found) == 1 else np.maximum(found[0] - found[1], 0)
        is_run = _where_run(loops, points)
        if is_run is not None:
            result, is_run = np.broadcast_arrays(result, is_run)
            result = result[is_run]
        if not result.size:
            return ((0.0, 1.0),)
        values, counts = np.unique(result, return_counts=True)
        if len(values) > CASES_LIMIT:
            return ((float(result.mean()), 1.0),)
        return tuple(zip(values.astype(float).tolist(), (counts / result.size).tolist(), strict=True))


def _loops_of(exprs: Iterable[Expr], around: Sequence[For]) -> list[For]:
    """The loops that expressions depend on, and those that these depend on, the innermost first."""
    used: set[Var] = set().union(*(variables(expr) for expr in exprs))
    loops: list[For] = []
    for loop in reversed(around):
        if loop.var in used:
            loops.append(loop)
            used |= variables(loop.begin) | variables(loop.end)
    return loops


def _where_run(loops: Sequence[For], points: Points) -> npt.NDArray[np.bool_] | None:
    """Which points are iterations; None where all are, since the loops have constant ends."""
    result: npt.NDArray[np.bool_] | None = None
    for loop in loops:
        if isinstance(loop.begin, Const) and isinstance(loop.end, Const):
            continue
        at = points[loop.var]
        inside = (at >= evaluate(loop.begin, points)) & (at < evaluate(loop.end, points))
        result = inside if result is None else result & inside
    return result


def _spread(ranges: Sequence[tuple[Var, int, int]]) -> Points:
    """Every combination of the variables' values, or points of a lattice that fills their box evenly.

    Combinations are an open grid: each variable has a dimension of its own.
    """
    points: Points = {}
    if prod(high - low + 1 for _, low, high in ranges) <= POINTS_LIMIT:
        for place, (var, low, high) in enumerate(ranges):
            shape = [1] * len(ranges)
            shape[place] = -1
            points[var] = np.arange(low, high + 1).reshape(shape)
        return points
    # Kronecker's lattice: multiples of the square roots of primes, whose fractions are spread evenly.
    steps = np.arange(POINTS_LIMIT)
    for (var, low, high), number in zip(ranges, _PRIMES, strict=False):
        points[var] = low + (steps * sqrt(number) % 1.0 * (high - low + 1)).astype(np.int64)
    return points


_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)


def evaluate(expr: Expr, points: Points) -> Values:
    """An index or a condition at every point.

    Raises:
        UnknownValueError: the expression reads memory, or a variable that the points lack.
    """
    match expr:
        case Const():
            return np.asarray(expr.value)
        case Var() if expr in points:
            return points[expr]
        case Unary(op="neg"):
            return -evaluate(expr.value, points)
        case Unary(op="not"):
            return ~evaluate(expr.value, points)
        case Binary() if expr.op in _OPERATIONS:
            return np.asarray(_OPERATIONS[expr.op](evaluate(expr.a, points), evaluate(expr.b, points)))
        case _:
            raise UnknownValueError(type(expr).__name__)
