"""Reductions in two stages, and reducers of one's own."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.compiler.computes import argmax, matmul
from tests.compiler.running import results
from tilewright.compiler import te
from tilewright.compiler.build import compile_program, write_llvm
from tilewright.compiler.errors import ExpressionError, ScheduleError
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.lower import lower_schedule
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor

Array = npt.NDArray[Any]
Schedules = Callable[[Schedule, Tensor], object]


def inner_part(s: Schedule, b: Tensor, factor_axis: int = 0) -> Tensor:
    _, ki = s[b].split(b.op.reduce_axis[0], factor=16)
    return s.rfactor(b, ki, factor_axis)


def outer_part(s: Schedule, b: Tensor) -> Tensor:
    ko, _ = s[b].split(b.op.reduce_axis[0], factor=16)
    return s.rfactor(b, ko)


def inner_at_its_reader(s: Schedule, b: Tensor) -> None:
    part = inner_part(s, b)
    s[part].compute_at(s[b], s[b].op.reduce_axis[0])


def inner_in_lanes(s: Schedule, b: Tensor) -> None:
    part = inner_part(s, b)
    s[part].vectorize(s[part].op.axis[0])


def inner_in_threads(s: Schedule, b: Tensor) -> None:
    part = inner_part(s, b)
    s[part].parallel(s[part].op.axis[0])


def inner_last_and_in_lanes(s: Schedule, b: Tensor) -> None:
    part = inner_part(s, b, -1)
    i, lane = s[part].op.axis
    s[part].reorder(i, *s[part].op.reduce_axis, lane)
    s[part].vectorize(lane)


def inner_for_each_row(s: Schedule, b: Tensor) -> None:
    part = inner_part(s, b)
    s[part].compute_at(s[b], s[b].op.axis[0])
    s[part].vectorize(s[part].op.axis[0])


def outer_in_threads(s: Schedule, b: Tensor) -> None:
    part = outer_part(s, b)
    s[part].parallel(s[part].op.axis[0])


def outer_at_its_reader(s: Schedule, b: Tensor) -> None:
    part = outer_part(s, b)
    s[part].compute_at(s[b], s[b].op.reduce_axis[0])


def whole(s: Schedule, b: Tensor) -> None:
    part = s.rfactor(b, b.op.reduce_axis[0])
    s[part].vectorize(s[part].op.axis[0])


def twice(s: Schedule, b: Tensor) -> None:
    part = outer_part(s, b)
    again = s.rfactor(part, s[part].op.reduce_axis[0])
    s[again].compute_at(s[part], s[part].op.axis[0])


def of_a_split_and_fused_loop(s: Schedule, b: Tensor) -> None:
    ko, ki = s[b].split(b.op.reduce_axis[0], factor=9)
    fused = s[b].fuse(ko, ki)
    outer, _ = s[b].split(fused, factor=7)
    part = s.rfactor(b, outer)
    s[part].compute_at(s[b], s[b].op.axis[0])


def of_the_only_loop_of_a_split_and_fused_one(s: Schedule, b: Tensor) -> None:
    fused = s[b].fuse(*s[b].split(b.op.reduce_axis[0], factor=9))
    s.rfactor(b, fused)


def inner_in_a_cache(s: Schedule, b: Tensor) -> None:
    part = inner_part(s, b)
    cache = s.cache_write(part, "register")
    s[cache].compute_at(s[part], s[part].op.axis[1])


def inner_goes_on_in_a_cache(s: Schedule, b: Tensor) -> None:
    ko, ki = s[b].split(b.op.reduce_axis[0], factor=16)
    s[b].split(ko, factor=3)
    part = s.rfactor(b, ki, -1)
    i, lane = s[part].op.axis
    outer, inner = s[part].op.reduce_axis
    s[part].reorder(outer, i, lane, inner)
    cache = s.cache_inplace(part, "register", outer)
    s[cache].compute_at(s[part], i)
    s[cache].vectorize(s[cache].op.axis[1])


SCHEDULES: list[Schedules] = [
    inner_part, inner_at_its_reader, inner_in_lanes, inner_in_threads, inner_last_and_in_lanes,
    inner_for_each_row, inner_in_a_cache, inner_goes_on_in_a_cache, outer_part,
    outer_in_threads, outer_at_its_reader, whole, twice, of_a_split_and_fused_loop,
    of_the_only_loop_of_a_split_and_fused_one,
]  # fmt: skip
REDUCTIONS: dict[str, tuple[Callable[..., te.Expr], Callable[[Array], Array]]] = {
    "sum": (te.sum, lambda x: np.asarray(x.astype(np.float64).sum(axis=1))),
    "prod": (te.prod, lambda x: np.asarray(x.astype(np.float64).prod(axis=1))),
    "max": (te.max, lambda x: np.asarray(x.max(axis=1))),
    "min": (te.min, lambda x: np.asarray(x.min(axis=1))),
}


@pytest.mark.parametrize("extent", [64, 70, 5])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", REDUCTIONS)
def test_a_factored_reduction_gives_what_numpy_gives(kind: str, schedule: Schedules, extent: int) -> None:
    reduction, reference = REDUCTIONS[kind]
    a = te.placeholder((7, extent), name="A")
    k = te.reduce_axis((0, extent), "k")
    b = te.compute((7,), lambda i: reduction(a[i, k], axis=k), name="B")
    s = create_schedule(b)
    schedule(s, b)
    values = np.random.default_rng(3).uniform(-1.5, 1.5, a.shape).astype(np.float32)
    with_numba = kind == "sum" and extent == 70
    for name, result in results(Program.from_schedule(s, [a, b]), [values], with_numba).items():
        np.testing.assert_allclose(result, reference(values), rtol=1e-5, atol=1e-5, err_msg=name)


def test_the_loops_of_a_factored_reduction() -> None:
    c = matmul(4, 8, 70)
    s = create_schedule(c.output)
    _, j = c.output.op.axis
    s[c.output].vectorize(s[c.output].split(j, factor=4)[1])
    ko, ki = s[c.output].split(c.output.op.reduce_axis[0], factor=16)
    s[c.output].unroll(ko, 2)
    part = s.rfactor(c.output, ki, factor_axis=1)
    stage = s[c.output]
    assert part.name == "C.rf"
    assert part.shape == (4, 16, 8)
    assert [a.name for a in stage.leaf] == ["i", "j.outer", "j.inner", "k.inner.v"]
    assert [a.name for a in s[part].leaf] == ["i.rf", "k.inner", "j.rf", "k.outer"]
    assert s[part].mark(s[part].leaf[-1]).factor == 2
    assert stage.op.reduce_axis[0].extent == 16


def vector_sum(factor_axis: int) -> Program:
    a = te.placeholder((1 << 12,), name="A")
    k = te.reduce_axis((0, 1 << 12), "k")
    b = te.compute((1,), lambda i: te.sum(a[k], axis=k), name="B")
    s = create_schedule(b)
    part = inner_part(s, b, factor_axis)
    lane = s[part].op.axis[factor_axis]
    s[part].reorder(*[x for x in s[part].leaf if x is not lane], lane)
    s[part].vectorize(lane)
    return Program.from_schedule(s, [a, b])


@pytest.mark.skipif(not Target.host().triple.startswith("x86_64"), reason="reads x86 assembly")
@pytest.mark.parametrize("factor_axis", [0, -1])
def test_partial_sums_in_lanes_are_vector_code(factor_axis: int) -> None:
    program = vector_sum(factor_axis)
    module, _ = write_llvm(program, Target.host(), 1)
    assert re.search(r"= fadd .*<\d+ x float>", module.text)
    kernel = load_kernel(compile_program(program, Target.host()))
    assert re.search(r"v?addps\t.*%[xyz]mm", kernel.source("asm"))
    values = np.random.default_rng(0).uniform(-1, 1, 1 << 12).astype(np.float32)
    np.testing.assert_allclose(kernel(values), [values.astype(np.float64).sum()], rtol=1e-4, atol=1e-4)


def test_a_tail_masks_lanes_around_the_reduction() -> None:
    a = te.placeholder((3, 70), name="A")
    k = te.reduce_axis((0, 70), "k")
    b = te.compute((3,), lambda i: te.sum(a[i, k], axis=k), name="B")
    s = create_schedule(b)
    inner_in_lanes(s, b)
    kernel = load_kernel(compile_program(Program.from_schedule(s, [a, b]), Target.host()))
    assert "masked" in str(kernel.source("llvm"))


def test_lanes_around_a_whole_reduction_hold_their_sums() -> None:
    a = te.placeholder((3, 64), name="A")
    k = te.reduce_axis((0, 64), "k")
    b = te.compute((3,), lambda i: te.sum(a[i, k], axis=k), name="B")
    s = create_schedule(b)
    inner_in_lanes(s, b)
    assert "B.rf.state0[0] = B.rf.state0[0] + A[i.rf, k.outer*16 + k.inner]" in str(lower_schedule(s, [a, b]))
    assembly = load_kernel(compile_program(Program.from_schedule(s, [a, b]), Target.host())).source("asm")
    assert "gather" not in assembly


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "float64"])
def test_lanes_hold_results_of_any_type(dtype: str) -> None:
    a = te.placeholder((21, 9), dtype, name="A")
    k = te.reduce_axis((0, 9), "k")
    b = te.compute((21,), lambda i: te.max(a[i, k], axis=k), name="B")
    s = create_schedule(b)
    s[b].vectorize(b.op.axis[0])
    values = np.random.default_rng(7).integers(0, 2 if dtype == "bool" else 100, a.shape).astype(dtype)
    for name, result in results(Program.from_schedule(s, [a, b]), [values]).items():
        np.testing.assert_array_equal(result, values.max(axis=1), err_msg=name)


@pytest.mark.parametrize(
    ("primitive", "message"),
    [
        (lambda s, c: s.rfactor(c, c.op.axis[0]), r"rfactor\(C, i\): needs a reduction loop"),
        (lambda s, c: s.rfactor(c, c.op.reduce_axis[0], 3), "the new stage has 3 dimensions"),
        (lambda s, c: s.rfactor(c, c.op.reduce_axis[0], -4), "the new stage has 3 dimensions"),
        (lambda s, c: s.rfactor(c.op.inputs[0], c.op.reduce_axis[0]), "does not belong to stage A"),
    ],
)
def test_what_cannot_be_factored_is_named(primitive: Callable[..., object], message: str) -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    with pytest.raises(ScheduleError, match=message):
        primitive(s, c.output)
    assert not s.steps


def test_a_fold_is_not_factored() -> None:
    c = argmax(4, 9)
    s = create_schedule(c.output)
    with pytest.raises(ScheduleError, match=r"rfactor\(argmax\): a te.fold's state is not stored; write the"):
        s.rfactor(c.output, c.output.op.reduce_axis[0])


def test_the_cache_of_an_accumulation_is_not_factored() -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    ko, _ = s[c.output].split(c.output.op.reduce_axis[0], factor=3)
    s[c.output].reorder(ko, *c.output.op.axis)
    cache = s.cache_inplace(c.output, "register", ko)
    with pytest.raises(ScheduleError, match="call rfactor on that stage, in place of cache_inplace"):
        s.rfactor(cache, s[cache].op.reduce_axis[0])


def test_a_cache_with_nothing_to_go_on_with_is_computed_where_its_reader_is() -> None:
    c = matmul(4, 5, 6)
    out = te.compute((4, 5), lambda i, j: c.output[i, j] + 1.0, name="out")
    s = create_schedule(out)
    stage = s[c.output]
    whole_loop, rest = stage.split(c.output.op.reduce_axis[0], factor=6)
    stage.reorder(whole_loop, *c.output.op.axis, rest)
    cache = s.cache_inplace(c.output, "call", whole_loop)
    copy = s.cache_read(cache, "call", [c.output])
    s[cache].compute_at(s[copy], s[copy].op.axis[0])
    stage.compute_at(s[out], out.op.axis[0])
    x, y = (np.random.default_rng(0).uniform(-1, 1, t.shape).astype(np.float32) for t in c.inputs)
    for name, result in results(Program.from_schedule(s, [*c.inputs, out]), [x, y]).items():
        np.testing.assert_allclose(result, x @ y + 1, rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_stage_inside_a_loop_that_moves_is_named() -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    copy = s.cache_read(c.inputs[0], "call", [c.output])
    (k,) = c.output.op.reduce_axis
    s[copy].compute_at(s[c.output], k)
    s.rfactor(c.output, k)
    with pytest.raises(ScheduleError, match=r"A.call is computed at C's loop k, which is gone since"):
        lower_schedule(s, c.args)


# -- reducers of one's own ------------------------------------------------------------------------------


def residue(dtype: str) -> tuple[Tensor, Tensor]:
    multiply = te.comm_reducer(lambda x, y: (x * y) % 31, lambda t: te.const(1, t), name="residue")
    a = te.placeholder((5, 40), dtype, name="A")
    k = te.reduce_axis((0, 40), "k")
    return a, te.compute((5,), lambda i: multiply(a[i, k], axis=k), name="B")


FOR_ANY_REDUCER = [schedule for schedule in SCHEDULES if schedule is not inner_goes_on_in_a_cache]


@pytest.mark.parametrize("schedule", [lambda s, b: None, *FOR_ANY_REDUCER])
def test_a_reducer_of_ones_own_reduces(schedule: Schedules) -> None:
    a, b = residue("int32")
    s = create_schedule(b)
    schedule(s, b)
    values = np.random.default_rng(1).integers(1, 31, a.shape, dtype=np.int32)
    expected = [math.prod(int(v) for v in row) % 31 for row in values]
    for name, result in results(Program.from_schedule(s, [a, b]), [values], with_numba=True).items():
        np.testing.assert_array_equal(result, expected, err_msg=name)


SEVERAL: list[tuple[Any, Any, Callable[[te.Expr], Any]]] = [
    (lambda a, b: a + b, lambda t: te.const(0, t), lambda x: (x, x)),
    (lambda a, b: (a, b), lambda t: te.const(0, t), lambda x: x),
    (lambda a, b: a + b, lambda t: (te.const(0, t),), lambda x: x),
]


@pytest.mark.parametrize(("combine", "identity", "value"), SEVERAL)
def test_a_reducer_of_several_values_names_fold(
    combine: Any, identity: Any, value: Callable[[te.Expr], Any]
) -> None:
    k = te.reduce_axis((0, 4), "k")
    x = te.placeholder((4,), name="x")
    with pytest.raises(ExpressionError, match=r"^mine: .* has several values; write .* te\.fold"):
        te.comm_reducer(combine, identity, name="mine")(value(x[k]), k)
