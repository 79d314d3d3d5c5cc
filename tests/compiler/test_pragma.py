"""Pragmas: which loops they unroll, and which there are."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.compiler.computes import argmax, convolution, matmul
from tests.compiler.running import results
from tilewright.compiler import te
from tilewright.compiler.build import lower_for_target, write_llvm
from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.ir.loops import For
from tilewright.compiler.ir.visit import statements
from tilewright.compiler.lower import lower_schedule
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor


def kinds(s: Schedule, c: Any, partition: bool = True) -> list[tuple[str, str]]:
    """The loops of the nest in order: variable and how it runs."""
    text = str(lower_schedule(s, c.args, partition))
    return re.findall(r"for (\S+) in ([\w ]+)", text)


def unrolled(s: Schedule, c: Any) -> list[str]:
    return [name for name, kind in kinds(s, c) if kind == "unrolled"]


@pytest.mark.parametrize(
    ("pragmas", "expected"),
    [
        ({}, []),
        ({"auto_unroll_max_step": 5}, []),
        ({"auto_unroll_max_step": 6}, ["k"]),
        ({"auto_unroll_max_step": 29}, ["k"]),
        # The initialisation is a step too: 5 * (1 + 6).
        ({"auto_unroll_max_step": 35}, ["j", "k"]),
        ({"auto_unroll_max_step": 1000, "auto_unroll_max_depth": 0}, ["k"]),
        ({"auto_unroll_max_extent": 5}, []),
        ({"auto_unroll_max_extent": 6}, ["j", "k"]),
    ],
)
def test_loops_are_unrolled_from_the_innermost_outwards(pragmas: dict[str, int], expected: list[str]) -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    for name, value in pragmas.items():
        s[c.output].pragma(c.output.op.axis[0], name, value)
    assert unrolled(s, c) == expected


def test_the_loop_itself_and_marked_loops_stay() -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    i, j = c.output.op.axis
    (k,) = c.output.op.reduce_axis
    s[c.output].unroll(k, 2)
    s[c.output].pragma(i, "auto_unroll_max_step", 1 << 10)
    assert kinds(s, c) == [("i", "range"), ("j", "range"), ("k", "unrolled")]
    assert "unrolled[2](6)" in str(lower_schedule(s, c.args))
    s[c.output].unroll(k)
    s[c.output].vectorize(j)
    assert kinds(s, c) == [("i", "range"), ("j", "vectorized"), ("k", "unrolled")]


def test_a_pragma_of_a_loop_inside_takes_the_place_of_an_outer_one() -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    i, j = c.output.op.axis
    s[c.output].pragma(i, "auto_unroll_max_step", 1 << 10)
    s[c.output].pragma(j, "auto_unroll_max_step", 2)
    assert unrolled(s, c) == []
    s[c.output].pragma(j, "auto_unroll_max_step", 6)
    assert unrolled(s, c) == ["j", "k"]


def test_a_loop_of_one_iteration_keeps_its_pragma() -> None:
    c = matmul(1, 5, 6)
    s = create_schedule(c.output)
    s[c.output].pragma(c.output.op.axis[0], "auto_unroll_max_step", 1 << 10)
    assert unrolled(s, c) == ["j", "k"]
    x, y = (np.random.default_rng(0).uniform(-1, 1, t.shape).astype(np.float32) for t in c.inputs)
    for name, result in results(Program.from_schedule(s, c.args), [x, y], with_numba=True).items():
        np.testing.assert_allclose(result, x @ y, rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_peeled_tail_keeps_its_pragma() -> None:
    c = matmul(3, 37, 6)
    s = create_schedule(c.output)
    outer, inner = s[c.output].split(c.output.op.axis[1], factor=18)
    s[c.output].reorder(outer, c.output.op.axis[0], inner)
    s[c.output].vectorize(inner)
    s[c.output].pragma(outer, "auto_unroll_max_step", 1 << 10)
    assert unrolled(s, c) == ["i", "k", "i", "k"]


@pytest.mark.parametrize("make", [lambda: argmax(5, 9), lambda: convolution(2, 5, 6, 3)])
def test_unrolled_loops_give_what_numpy_gives(make: Callable[[], Any]) -> None:
    c = make()
    s = create_schedule(c.output)
    for stage in c.stages:
        s[stage].pragma(stage.op.axis[0], "auto_unroll_max_step", 300)
    assert unrolled(s, c)
    arrays = [np.random.default_rng(2).uniform(-1, 1, t.shape).astype(np.float32) for t in c.inputs]
    for name, result in results(Program.from_schedule(s, c.args), arrays, with_numba=True).items():
        np.testing.assert_allclose(result, c.reference(*arrays), rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("value", "explicit"), [(None, True), (True, True), (1, True), (False, False)])
def test_unrolling_is_ours_or_llvms(value: bool | None, explicit: bool) -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    i = c.output.op.axis[0]
    s[c.output].pragma(i, "auto_unroll_max_step", 6)
    s[c.output].pragma(i, "unroll_explicit", value)
    assert ("k", "unrolled" if explicit else "unrolled by LLVM") in kinds(s, c)
    module, full = write_llvm(Program.from_schedule(s, c.args), Target.host(), 1)
    assert ("!llvm.loop !2" in module.text) is not explicit
    assert full or explicit
    x, y = (np.random.default_rng(0).uniform(-1, 1, t.shape).astype(np.float32) for t in c.inputs)
    for name, result in results(Program.from_schedule(s, c.args), [x, y], with_numba=True).items():
        np.testing.assert_allclose(result, x @ y, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    "hint",
    ["parallel_launch_point", "parallel_stride_pattern", "parallel_barrier_when_finish", "debug_skip_region"],
)
def test_hints_are_accepted_and_change_nothing(hint: str) -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    before = kinds(s, c)
    s[c.output].pragma(c.output.op.axis[0], hint)
    s[c.output].split(c.output.op.axis[0], factor=4)
    assert [kind for _, kind in kinds(s, c)] == [kind for _, kind in before]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("unroll_the_lot", 1, "no such pragma; there are auto_unroll_max_step, .*debug_skip_region"),
        ("import_llvm", "define", "use tensorize with an intrinsic from te.decl_tensor_intrin"),
        ("import_c", "int f()", "use tensorize"),
        ("auto_unroll_max_step", None, "integer of at least 0, not None"),
        ("auto_unroll_max_step", -1, "integer of at least 0, not -1"),
        ("auto_unroll_max_extent", True, "integer of at least 0, not True"),
        ("auto_unroll_max_depth", "8", "integer of at least 0, not '8'"),
        ("unroll_explicit", 2, "must be True or False, not 2"),
    ],
)
def test_what_is_no_pragma_is_refused(name: str, value: Any, message: str) -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    with pytest.raises(ScheduleError, match=rf"pragma\(i, {name}\): .*{message}"):
        s[c.output].pragma(c.output.op.axis[0], name, value)
    assert not s.steps


def test_a_loop_with_a_pragma_is_not_split_any_more() -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    s[c.output].pragma(c.output.op.axis[0], "auto_unroll_max_step", 4)
    with pytest.raises(ScheduleError, match=r"split\(i\): the loop is already marked with a pragma"):
        s[c.output].split(c.output.op.axis[0], factor=2)


def two_passes(rows: int, length: int) -> tuple[Schedule, list[Tensor], Tensor]:
    """Squares of rows and their sums, each in a loop of its own inside that over the rows."""
    x = te.placeholder((rows, length), name="x")
    k = te.reduce_axis((0, length), "k")
    squares = te.compute((rows, length), lambda i, j: x[i, j] * x[i, j], name="squares")
    total = te.compute((rows,), lambda i: te.sum(squares[i, k], axis=k), name="total")
    y = te.compute((rows, length), lambda i, j: squares[i, j] / total[i], name="y")
    s = create_schedule(y)
    for stage in (squares, total, y):
        s[stage].unroll(s[stage].leaf_iter_vars[-1], 1)
    for stage in (squares, total):
        s[stage].compute_at(s[y], y.op.axis[0])
    return s, [x, y], y


def inner_loops(s: Schedule, args: list[Tensor]) -> int:
    nest = lower_for_target(Program.from_schedule(s, args), Target.host())
    return sum(isinstance(loop, For) and loop.var.name != "i" for loop in statements(nest.body))


def test_loops_side_by_side_become_one_where_asked() -> None:
    s, args, y = two_passes(3, 20)
    assert inner_loops(s, args) == 3
    s[y].pragma(y.op.axis[0], "fuse_loops", False)
    assert inner_loops(s, args) == 3
    s[y].pragma(y.op.axis[0], "fuse_loops")
    assert inner_loops(s, args) == 2  # what divides by the total waits for it
    x = np.random.default_rng(0).uniform(1, 2, (3, 20)).astype(np.float32)
    for name, result in results(Program.from_schedule(s, args), [x], with_numba=True).items():
        np.testing.assert_allclose(result, x**2 / (x**2).sum(axis=1, keepdims=True), rtol=1e-5, err_msg=name)


def test_loops_inside_a_loop_that_was_fused_are_fused_as_they_ask() -> None:
    s, args, y = two_passes(4, 20)
    outer, inner = s[y].split(y.op.axis[0], 2)
    for stage in s.stages[1:3]:
        s[stage.tensor].compute_at(s[y], inner)
    s[y].pragma(outer, "fuse_loops")
    s[y].pragma(inner, "fuse_loops")
    nest = lower_for_target(Program.from_schedule(s, args), Target.host())
    assert sum(isinstance(loop, For) for loop in statements(nest.body)) == 4
