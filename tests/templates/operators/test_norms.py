"""Norms of rows whose squares cancel, and how often a row is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tilewright as tw
from tilewright.compiler.build import lower_for_target
from tilewright.compiler.ir.loops import For, constant_extent
from tilewright.compiler.ir.visit import statements
from tilewright.compiler.target import Target
from tilewright.templates.operators.moments import SHARE, STEP
from tilewright.templates.operators.rows import MOST_TERMS
from tilewright.templates.task import Task

Floats = npt.NDArray[np.float32]
ROWS = 16
EPSILON = 1e-5


def far_from_zero(x: Floats, first: int) -> None:
    x += 1e4


def one_far_away(x: Floats, first: int) -> None:
    x[:, 0] = 1e4


def first_ones_far_away(x: Floats, first: int) -> None:
    """What is subtracted is as far from the mean as it can be."""
    x[:, :first] = -1e3


@pytest.mark.parametrize("length", [20, 48, 768, 4096, 50000])
@pytest.mark.parametrize("spoil", [far_from_zero, one_far_away, first_ones_far_away])
def test_squares_that_cancel(spoil: Callable[[Floats, int], None], length: int) -> None:
    first = min(length, -(-length // (SHARE * STEP)) * STEP)
    x = np.random.default_rng(length).standard_normal((ROWS, length), np.float32)
    spoil(x, first)
    gamma, beta = np.ones(length, np.float32), np.zeros(length, np.float32)
    found = tw.build("layer_norm", shape=x.shape, epsilon=EPSILON)(x, gamma, beta)
    exact = x.astype(np.float64)
    deviation = np.sqrt(exact.var(axis=1) + EPSILON)
    expected = (exact - exact.mean(axis=1, keepdims=True)) / deviation[:, None]
    # What the numbers themselves are rounded to, beside what cancels.
    given = np.abs(x).max() / deviation.min()
    bound = np.finfo(np.float32).eps * (4 * (1 + length / first) * np.abs(expected).max() + given)
    assert np.abs(found - expected).max() < bound


@pytest.mark.parametrize("cpu", ["haswell", "skylake-avx512"])
@pytest.mark.parametrize("op", ["layer_norm", "rms_norm"])
def test_partial_sums_of_long_rows_have_few_terms(op: str, cpu: str) -> None:
    """Else their rounding adds up, the more so the fewer lanes there are."""
    target = Target.named(cpu)
    config = Task.create(op, target, shape=(ROWS, 50000)).default_config.to_json()
    vectors = config["vectors"]
    assert isinstance(vectors, int)
    assert 50000 / (vectors * target.lanes(4)) <= MOST_TERMS


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3e10, 3.3e18, 3.3e20])
def test_rows_of_one_value_are_beta(value: float) -> None:
    """No rounding makes a variance of less than nothing, of which there is no root."""
    x = np.full((ROWS, 768), value, np.float32)
    gamma, beta = np.ones(768, np.float32), np.arange(768, dtype=np.float32)
    found = tw.build("layer_norm", shape=x.shape)(x, gamma, beta)
    np.testing.assert_array_equal(found, np.broadcast_to(beta, x.shape))


@pytest.mark.parametrize(("pipeline", "passes"), [(0, 2), (1, 1)])
def test_a_row_is_read_once_for_both_moments(pipeline: int, passes: int) -> None:
    """And where rows overlap, that is while the row before is written."""
    target = Target.host()
    steps = 45  # no other loop has so many
    task = Task.create("layer_norm", target, shape=(64, steps * target.lanes(4)))
    config = task.space.from_values({"rows": 2, "vectors": 1, "unroll": 1, "pipeline": pipeline})
    nest = lower_for_target(task.instantiate(config), target)
    loops = [stmt for stmt in statements(nest.body) if isinstance(stmt, For)]
    assert sum(constant_extent(loop) == steps for loop in loops) == passes


@pytest.mark.parametrize(("op", "params"), [("layer_norm", {}), ("group_norm", {"groups": 2})])
def test_operations_are_those_of_the_definition(op: str, params: dict[str, int]) -> None:
    """Not those of the way that it is computed."""
    assert Task.create(op, Target.host(), shape=(4, 6, 10), **params).flops == 8 * 4 * 6 * 10


@pytest.mark.parametrize("epsilon", [float("nan"), float("inf"), -1.0])
@pytest.mark.parametrize("op", ["layer_norm", "rms_norm", "group_norm", "batch_norm"])
def test_epsilon_is_a_number_from_zero(op: str, epsilon: float) -> None:
    groups: dict[str, Any] = {"groups": 2} if op == "group_norm" else {}
    with pytest.raises(tw.TilewrightError, match=f"{op}: epsilon=.* must be a finite number from 0"):
        tw.build(op, shape=(2, 4, 8), epsilon=epsilon, threads=1, **groups)
