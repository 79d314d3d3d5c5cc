"""Index arithmetic: canonical forms keep the value, and bounds hold it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.compiler.ir.affine import bounds, linear, recombine, simplify_index
from tilewright.compiler.ir.visit import variables
from tilewright.compiler.lower.partition import evaluate
from tilewright.compiler.te.expr import Expr, Var, binary, const

VARS = [Var(name) for name in "abc"]
EXTENTS = {VARS[0]: (0, 6), VARS[1]: (0, 3), VARS[2]: (2, 9)}


def exprs() -> st.SearchStrategy[Expr]:
    leaves: st.SearchStrategy[Expr] = st.sampled_from(VARS) | st.integers(-9, 9).map(const)

    def extend(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        small = st.integers(1, 12).map(const)
        return (
            st.tuples(st.sampled_from(["+", "-", "min", "max"]), inner, inner).map(lambda t: binary(*t))
            | st.tuples(inner, small).map(lambda t: binary("*", *t))
            | st.tuples(st.sampled_from(["//", "%"]), inner, small).map(lambda t: binary(*t))
        )

    return st.recursive(leaves, extend, max_leaves=12)


def everywhere(expr: Expr) -> npt.NDArray[np.int64]:
    axes = [np.arange(low, high + 1) for low, high in EXTENTS.values()]
    grid = dict(zip(EXTENTS, (g.ravel() for g in np.meshgrid(*axes, indexing="ij")), strict=True))
    return np.broadcast_to(evaluate(expr, grid), grid[VARS[0]].shape)


@settings(max_examples=400, deadline=None)
@given(exprs())
def test_simplifying_keeps_the_value(expr: Expr) -> None:
    np.testing.assert_array_equal(everywhere(simplify_index(expr, EXTENTS)), everywhere(expr))


@settings(max_examples=400, deadline=None)
@given(exprs())
def test_bounds_hold_the_value(expr: Expr) -> None:
    low, high = bounds(expr, EXTENTS)
    values = everywhere(expr)
    assert low <= values.min()
    assert values.max() <= high


def test_tile_indices_simplify() -> None:
    a, b, _ = VARS
    assert str(simplify_index((a * 4 + b) // 4, EXTENTS)) == "a"
    assert str(simplify_index((a * 4 + b) % 4, EXTENTS)) == "b"
    assert str(simplify_index((a // 3) * 3 + a % 3, EXTENTS)) == "a"
    assert str(simplify_index(binary("min", a, const(10)), EXTENTS)) == "a"
    assert linear(a * 2 + b - a * 2, EXTENTS).coefficient(a) == 0


def test_quotient_and_remainder_join_across_dimensions() -> None:
    """Where an axis is stored as two, its address is again a multiple of it."""
    form = linear(VARS[0] // 4, EXTENTS).scale(32).add(linear(VARS[0] % 4, EXTENTS), 8)
    joined = recombine(form, EXTENTS)
    assert (joined.coefficient(VARS[0]), len(joined.terms), joined.const) == (8, 1, 0)
    uneven = linear(VARS[0] // 4, EXTENTS).scale(40).add(linear(VARS[0] % 4, EXTENTS), 8)
    assert recombine(uneven, EXTENTS).coefficient(VARS[0]) == 0


def test_a_variable_of_one_value_is_that_value_inside_conversions_too() -> None:
    var = Var("i")
    form = linear(var.astype("int32").astype("int64") + var, {var: (3, 3)})
    assert not variables(form.to_expr())
    assert form.const == 3
