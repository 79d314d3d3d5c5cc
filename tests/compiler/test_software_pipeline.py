"""Pipelined loops compute what the loops as written do, and their inner loops become one."""

from __future__ import annotations

import numpy as np
import pytest

from tests.compiler.running import results
from tilewright.compiler import te
from tilewright.compiler.build import lower_for_target
from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.ir.loops import For, Store
from tilewright.compiler.ir.visit import statements
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor

LENGTH = 48


def normalised(rows: int) -> tuple[Schedule, Tensor, list[Tensor], IterVar]:
    """Rows less their maxima, over the sums of their squares; each stage inside the loop over rows."""
    x = te.placeholder((rows, LENGTH), name="x")
    k, r = te.reduce_axis((0, LENGTH), "k"), te.reduce_axis((0, LENGTH), "r")
    greatest = te.compute((rows,), lambda i: te.max(x[i, k], axis=k), name="greatest")
    most = te.compute((rows,), lambda i: greatest[i] * 1, name="most")
    less = te.compute((rows, LENGTH), lambda i, j: x[i, j] - most[i], name="less")
    total = te.compute((rows,), lambda i: te.sum(less[i, r] * less[i, r], axis=r), name="total")
    share = te.compute((rows,), lambda i: 1 / total[i], name="share")
    y = te.compute((rows, LENGTH), lambda i, j: less[i, j] * share[i], name="y")
    s = create_schedule(y)
    i = s[y].op.axis[0]
    stages = [greatest, most, less, total, share]
    for tensor in stages:
        s[tensor].compute_at(s[y], i)
    return s, x, [*stages, y], i


def expected(
    x: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    less = x.astype(np.float64) - x.max(axis=1, keepdims=True)
    result: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = less / (less * less).sum(
        axis=1, keepdims=True
    )
    return result


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_results_stay_the_same(rows: int) -> None:
    s, x, (*stages, y), i = normalised(rows)
    s[y].software_pipeline(i, stages[:2], stages[2:])
    values = np.random.default_rng(rows).random((rows, LENGTH), dtype=np.float32)
    for name, found in results(Program.from_schedule(s, [x, y]), [values], with_numba=True).items():
        np.testing.assert_allclose(found, expected(values), rtol=1e-4, atol=1e-6, err_msg=name)


def inner_loops(*sizes: int) -> list[For]:
    """The loops inside the pipelined one, with so many stages in each group."""
    s, x, (*stages, y), i = normalised(6)
    for tensor in (stages[0], stages[2], stages[3], y):
        s[tensor].unroll(s[tensor].leaf_iter_vars[-1], 1)
    left = iter(stages)
    s[y].software_pipeline(i, *([next(left) for _ in range(size)] for size in sizes))
    nest = lower_for_target(Program.from_schedule(s, [x, y]), Target.host())
    (outer,) = [loop for loop in statements(nest.body) if isinstance(loop, For) and loop.var.name == "i"]
    return [loop for loop in statements(outer.body) if isinstance(loop, For)]


def test_loops_of_all_groups_become_one() -> None:
    assert len(inner_loops(2, 3)) == 1


def test_what_no_other_waits_for_is_read_ahead_of_writes() -> None:
    """Powers must be read before they are written again; the next row's maximum needs neither."""
    (loop,) = inner_loops(2, 3)
    written = [stmt.buffer.name.split(".")[0] for stmt in statements(loop.body) if isinstance(stmt, Store)]
    assert written == ["greatest", "y", "less", "total"]


def test_loops_that_need_what_another_has_finished_stay_apart() -> None:
    """The maximum of a row is in the group of what subtracts it."""
    assert len(inner_loops(5)) == 2


def test_a_stage_of_no_group_is_refused() -> None:
    s, x, (*stages, y), i = normalised(4)
    s[y].software_pipeline(i, stages[:2], stages[2:4])
    program = Program.from_schedule(s, [x, y])
    with pytest.raises(ScheduleError, match=r"software_pipeline\(i\): share is computed inside, in no group"):
        lower_for_target(program, Target.host())


def test_what_is_two_groups_old_is_refused() -> None:
    s, x, (*stages, y), i = normalised(4)
    s[y].software_pipeline(i, stages[:2], stages[2:4], stages[4:])
    program = Program.from_schedule(s, [x, y])
    with pytest.raises(
        ScheduleError, match="y reads less, which must be in its own group or in the one before"
    ):
        lower_for_target(program, Target.host())


def test_a_loop_with_a_tail_is_refused() -> None:
    s, x, (*stages, y), _ = normalised(7)
    _, inner = s[y].split(s[y].op.axis[0], 4)
    for tensor in stages:
        s[tensor].compute_at(s[y], inner)
    s[y].software_pipeline(inner, stages[:2], stages[2:])
    program = Program.from_schedule(s, [x, y])
    with pytest.raises(ScheduleError, match="the loop has a tail"):
        lower_for_target(program, Target.host())
