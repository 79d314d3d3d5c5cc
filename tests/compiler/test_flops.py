"""Operations are counted as AutoTVM and Ansor count them."""

import pytest

from tilewright.compiler import te
from tilewright.compiler.analysis.flops import FlopCountError, count_flops

N = 32


def product() -> te.Tensor:
    a, b = te.placeholder((N, N), name="A"), te.placeholder((N, N), name="B")
    k = te.reduce_axis((0, N), "k")
    return te.compute((N, N), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C")


def test_a_stage_that_states_its_count_has_that() -> None:
    c = product()
    stated = te.compute((N, N), lambda i, j: c[i, j] * c[j, i], name="D", attrs={"FLOP": 1234})
    assert count_flops([stated]) == 2 * N**3 + 1234


def test_a_choice_costs_its_dearer_side() -> None:
    c = product()
    relu = te.compute((N, N), lambda i, j: te.max(c[i, j], 0.0), name="D")
    assert count_flops([relu]) == 2 * N**3 + N * N


def test_moving_data_is_no_arithmetic() -> None:
    a = te.placeholder((N,), name="A")
    with pytest.raises(FlopCountError, match=r"B does no arithmetic: say how much with cfg\.add_flop"):
        count_flops([te.compute((N,), lambda i: a[i], name="B")])
