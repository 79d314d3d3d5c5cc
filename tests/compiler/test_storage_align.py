"""Padded scratch memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.compiler.computes import Compute, matmul
from tests.compiler.running import results
from tilewright.compiler import te
from tilewright.compiler.build import write_llvm
from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.lower import lower_schedule
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor

ROWS, COLUMNS = 200, 60


def copied() -> tuple[Compute, Schedule, Tensor]:
    """A transposed sum whose operand is copied."""
    x = te.placeholder((ROWS, COLUMNS), name="X")
    out = te.compute((COLUMNS, ROWS), lambda i, j: x[j, i] * 2.0, name="out")
    c = Compute("transposed", [x], [out], out, lambda v: v.T * 2)
    s = create_schedule(out)
    return c, s, s.cache_read(x, "call", [out])


def check(s: Schedule, c: Compute) -> None:
    arrays = [np.random.default_rng(4).uniform(-1, 1, t.shape).astype(np.float32) for t in c.inputs]
    for name, result in results(Program.from_schedule(s, c.args), arrays, with_numba=True).items():
        np.testing.assert_allclose(result, c.reference(*arrays), rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("factor", "offset", "stride"), [(64, 1, 65), (16, 0, 64), (60, 0, 60), (7, 3, 66), (1, 0, 60)]
)
def test_rows_lie_apart_as_asked(factor: int, offset: int, stride: int) -> None:
    c, s, copy = copied()
    s[copy].storage_align(s[copy].op.axis[0], factor, offset)
    assert stride % factor == offset
    assert f"X.call = alloc((200, 60), float32, call, strides=({stride}, 1))" in str(
        lower_schedule(s, c.args)
    )
    module, _ = write_llvm(Program.from_schedule(s, c.args), Target.host(), 1)
    assert module.scratch_bytes == -(-(ROWS * stride * 4 + 64) // 64) * 64
    assert stride == 60 or f", {stride}" in module.text
    check(s, c)


def test_elements_of_the_last_dimension_may_lie_apart() -> None:
    c, s, copy = copied()
    s[copy].storage_align(s[copy].op.axis[1], 4, 3)
    assert "strides=(180, 3)" in str(lower_schedule(s, c.args))
    s[copy].vectorize(s[copy].op.axis[1])
    check(s, c)


def test_a_dimension_that_was_split_is_still_aligned() -> None:
    c, s, copy = copied()
    i, j = s[copy].op.axis
    s[copy].split(i, factor=7)
    s[copy].vectorize(s[copy].split(j, factor=9)[1])
    s[copy].storage_align(i, 32, 5)
    assert "strides=(69, 1)" in str(lower_schedule(s, c.args))
    check(s, c)


def test_a_register_tile_with_gaps_is_right() -> None:
    c = matmul(8, 24, 10)
    s = create_schedule(c.output)
    cache = s.cache_write(c.output, "register")
    s[cache].compute_at(s[c.output], c.output.op.axis[0])
    i, j = s[cache].op.axis
    s[cache].reorder(*s[cache].op.reduce_axis, i, j)
    s[cache].vectorize(j)
    s[cache].storage_align(i, 10, 3)
    assert "strides=(33, 1)" in str(lower_schedule(s, c.args))
    check(s, c)


def test_a_whole_dimension_of_a_packed_copy_is_aligned() -> None:
    c = matmul(6, 20, 9)
    s = create_schedule(c.output)
    packed = s.pack(c.inputs[1], c.output, {1: 8})
    s[packed].storage_align(s[packed].op.axis[0], 16, 2)
    # Stored as [n // 8][k][n % 8]: rows of k lie apart.
    assert "alloc((3, 9, 8), float32, call, strides=(162, 18, 1))" in str(lower_schedule(s, c.args))
    check(s, c)
    with pytest.raises(
        ScheduleError, match=r"storage_align\(B.pack, ax1\): the dimension is stored in tiles"
    ):
        s[packed].storage_align(s[packed].op.axis[1], 16, 2)


@pytest.mark.parametrize(
    ("primitive", "message"),
    [
        (
            lambda s, c, p: s[c.output].storage_align(c.output.op.axis[0], 4, 1),
            "out is an argument, .*cache_read",
        ),
        (
            lambda s, c, p: s[p].storage_align(s[p].op.axis[0], 4, 4),
            "0 <= offset < factor, not offset 4 of 4",
        ),
        (lambda s, c, p: s[p].storage_align(s[p].op.axis[0], 0, 0), "0 <= offset < factor"),
        (lambda s, c, p: s[p].storage_align(s[p].op.axis[0], 4, -1), "0 <= offset < factor"),
        (lambda s, c, p: s[p].storage_align(s[p].op.axis[0], 4.0, 1), "storage_align: 4.0 is not an integer"),
        (
            lambda s, c, p: s[p].storage_align(s[p].split(s[p].op.axis[0], 4)[1], 4, 1),
            r"storage_align\(X.call, ax0.inner\): take an axis of the tensor itself, one of ax0, ax1",
        ),
    ],
)
def test_what_cannot_be_aligned_is_named(primitive: Callable[..., Any], message: str) -> None:
    c, s, copy = copied()
    with pytest.raises(ScheduleError, match=message):
        primitive(s, c, copy)


def test_a_stage_that_is_an_argument_is_not_aligned() -> None:
    x = te.placeholder((4, 8), name="x")
    a = te.compute((4, 8), lambda i, j: x[i, j] + 1.0, name="a")
    b = te.compute((4, 8), lambda i, j: a[i, j] * 2.0, name="b")
    s = create_schedule(b)
    s[a].storage_align(a.op.axis[0], 16, 1)
    lower_schedule(s, [x, b])
    with pytest.raises(ScheduleError, match="storage_align: a is an argument, whose memory is the caller's"):
        lower_schedule(s, [x, b, a])
