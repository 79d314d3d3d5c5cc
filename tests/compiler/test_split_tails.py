"""What becomes of the last, partial block of a split: moved back, guarded, or computed whole."""

from __future__ import annotations

import numpy as np
import pytest

from tests.compiler.computes import matmul
from tests.compiler.running import results
from tilewright.compiler import te
from tilewright.compiler.build import lower_program
from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.ir.loops import LoopNest
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.te import Tensor


def doubled(extent: int) -> tuple[Schedule, Tensor, Tensor]:
    a = te.placeholder((extent,), name="a")
    b = te.compute((extent,), lambda i: a[i] * 2, name="b")
    return create_schedule(b), a, b


@pytest.mark.parametrize("tail", ["", "shift_inwards", "guard"])
@pytest.mark.parametrize(("extent", "factor"), [(17, 4), (16, 4), (3, 8), (31, 16), (1, 1)])
@pytest.mark.parametrize("is_vector", [False, True])
def test_every_element_is_computed(tail: str, extent: int, factor: int, is_vector: bool) -> None:
    s, a, b = doubled(extent)
    _, inner = s[b].split(s[b].op.axis[0], factor, tail=tail)
    if is_vector:
        s[b].vectorize(inner)
    else:
        s[b].unroll(inner)
    x = np.arange(1, extent + 1, dtype=np.float32)
    for found in results(Program.from_schedule(s, [a, b]), [x], with_numba=True).values():
        np.testing.assert_array_equal(found, 2 * x)


def test_a_block_moved_back_leaves_no_tail() -> None:
    s, a, b = doubled(17)
    _, inner = s[b].split(s[b].op.axis[0], 8, tail="shift_inwards")
    s[b].vectorize(inner)
    text = str(nest_of(s, [a, b]))
    assert text.count("vectorized(8)") == 1
    assert "min(i.outer*8, 9)" in text


def test_a_guard_is_tested_at_the_store() -> None:
    s, a, b = doubled(17)
    _, inner = s[b].split(s[b].op.axis[0], 8, tail="guard")
    s[b].unroll(inner)
    text = str(nest_of(s, [a, b]))
    assert text.count("unrolled(8)") == 1
    assert "if i.outer*8 + i.inner < 17" in text


def nest_of(s: Schedule, args: list[Tensor]) -> LoopNest:
    return lower_program(Program.from_schedule(s, args))


def padded_product(m: int, n: int, k: int, width: int, pad: bool = True) -> tuple[Schedule, list[Tensor]]:
    """Whole panels of columns are computed; the store leaves out what is past the end."""
    compute = matmul(m, n, k)
    a, b = compute.inputs
    s = create_schedule(compute.output)
    tile = s.cache_write(compute.output, "register")
    stage = s[compute.output]
    i, j = stage.op.axis
    panel, j = stage.split(j, width, tail="guard")
    rows, i = stage.split(i, 3, tail="shift_inwards")
    stage.reorder(panel, rows, i, j)
    stage.unroll(i)
    stage.vectorize(j)
    s[tile].compute_at(stage, rows)
    i, j = s[tile].op.axis
    s[tile].reorder(s[tile].op.reduce_axis[0], i, j)
    s[tile].unroll(i)
    s[tile].vectorize(j)
    s[tile].round_up(j)
    s.pack(b, tile, {1: width}, pad=pad)
    return s, [a, b, compute.output]


@pytest.mark.parametrize(
    ("m", "n", "k", "width"), [(5, 19, 4, 8), (7, 33, 3, 16), (3, 16, 2, 16), (4, 70, 5, 32)]
)
def test_whole_panels_of_a_padded_operand(m: int, n: int, k: int, width: int) -> None:
    s, args = padded_product(m, n, k, width)
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(-1, 1, t.shape).astype(np.float32) for t in args[:2])
    for found in results(Program.from_schedule(s, args), [a, b], with_numba=True).values():
        np.testing.assert_allclose(found, a @ b, rtol=1e-5, atol=1e-5)


def test_whole_panels_are_one_tile_of_code() -> None:
    s, args = padded_product(7, 33, 3, 16)
    text = str(nest_of(s, args))
    assert text.count("C.register = alloc") == 1


def test_reading_past_the_end_is_refused() -> None:
    s, args = padded_product(5, 19, 4, 8, pad=False)
    with pytest.raises(ScheduleError, match=r"round_up\(j\.c\): C\.register would read B\.pack past its end"):
        nest_of(s, args)


def test_a_reduction_is_not_moved_back() -> None:
    compute = matmul(5, 5, 5)
    s = create_schedule(compute.output)
    stage = s[compute.output]
    with pytest.raises(ScheduleError, match="add to some elements twice; call cache_write first"):
        stage.split(stage.op.axis[0], 4, tail="shift_inwards")


def test_an_unknown_tail() -> None:
    s, _, b = doubled(5)
    with pytest.raises(ScheduleError, match="tail 'round' is none of shift_inwards, guard"):
        s[b].split(s[b].op.axis[0], 4, tail="round")


def test_round_up_takes_an_axis_of_the_tensor() -> None:
    s, _, b = doubled(5)
    outer, _ = s[b].split(s[b].op.axis[0], 4)
    with pytest.raises(ScheduleError, match="take an axis of b itself, one of i"):
        s[b].round_up(outer)


def test_an_axis_is_rounded_up_to_whole_tiles_of_its_own() -> None:
    """Though the reader asks for five of each eight."""
    a = te.placeholder((3, 8), name="a")
    b = te.compute((3, 8), lambda p, j: a[p, j] * 2, name="b")
    c = te.compute((15,), lambda j: b[j // 5, j % 5] + 1, name="c")
    s = create_schedule(c)
    panel, _ = s[c].split(c.op.axis[0], 5)
    s[b].compute_at(s[c], panel)
    s[b].round_up(b.op.axis[1])
    s[b].split(b.op.axis[1], 4)
    text = str(nest_of(s, [a, c]))
    assert "b = alloc((1, 8)" in text
    assert "for j.outer in range(2)" in text
    assert "for j.inner in range(4)" in text
    x = np.arange(24, dtype=np.float32).reshape(3, 8)
    for found in results(Program.from_schedule(s, [a, c]), [x], with_numba=True).values():
        np.testing.assert_array_equal(found, 2 * x[:, :5].ravel() + 1)
