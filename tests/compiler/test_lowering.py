"""Loop nests as they are printed, and what cannot be lowered."""

from __future__ import annotations

import json
import re
import textwrap
from typing import Any

import numpy as np
import pytest

from tests.compiler.computes import Compute, argmax, convolution, matmul, softmax
from tilewright.compiler import te
from tilewright.compiler.build import compile_program, write_llvm
from tilewright.compiler.errors import ExpressionError, ScheduleError
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.lower import lower_schedule
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target


def loops(schedule: Schedule, compute: object, partition: bool = False) -> str:
    """The nest without its arguments."""
    text = str(lower_schedule(schedule, compute.args, partition))  # type: ignore[attr-defined]
    return "\n".join(line for line in text.splitlines() if " = argument(" not in line)


def expect(text: str) -> str:
    return textwrap.dedent(text).strip()


def test_what_tvm_scripts_ask_of_operations() -> None:
    a = te.placeholder((8, 16), name="A")
    k = te.reduce_axis((0, 16), "k")
    b = te.compute((8,), lambda i: te.sum(a[i][k], axis=k, where=a[i][k] > 0.0), name="B", tag="positive")
    assert b.op.axis[0].dom.extent == 8
    assert (b.op.tag, b.op.input_tensors, b.op.output(0).name) == ("positive", (a,), "B")
    schedule = create_schedule(b.op).normalize()
    x = np.random.default_rng(0).uniform(-1, 1, (8, 16)).astype("float32")
    kernel = load_kernel(compile_program(Program.from_schedule(schedule, [a, b]), Target.host()))
    np.testing.assert_allclose(kernel(x), np.where(x > 0, x, 0).sum(axis=1), rtol=1e-5)
    with pytest.raises(ExpressionError, match=r"B\.output\(1\)"):
        b.op.output(1)
    with pytest.raises(ExpressionError, match="2 dimensions, 3 indices"):
        a[0][1, 2]


def test_tensors_without_names_of_their_own_are_told_apart() -> None:
    a = te.placeholder((8,))
    b = te.placeholder((8,))
    total = te.compute((8,), lambda i: te.compute((8,), lambda j: a[j] + b[j])[i] * 2.0)
    schedule = create_schedule(total)
    assert len({stage.name for stage in schedule.stages}) == 4
    assert schedule[total].name == total.name != "compute"


def test_an_unscheduled_matmul_is_three_loops() -> None:
    c = matmul(4, 5, 6)
    assert loops(create_schedule(c.output), c) == expect("""
        for i in range(4):
            for j in range(5):
                C[i, j] = 0.0
                for k in range(6):
                    C[i, j] = C[i, j] + A[i, k]*B[k, j]
    """)


def test_a_split_that_does_not_divide_shortens_the_inner_loop() -> None:
    x = te.placeholder((7,), name="x")
    out = te.compute((7,), lambda i: x[i] + 1.0, name="T")
    c = Compute("add", [x], [out], out, lambda v: v + 1)
    s = create_schedule(out)
    s[out].split(out.op.axis[0], factor=4)
    assert loops(s, c) == expect("""
        for i.outer in range(2):
            for i.inner in range(min(4, i.outer*-4 + 7)):
                T[i.outer*4 + i.inner] = x[i.outer*4 + i.inner] + 1.0
    """)


def test_the_initialisation_stands_ahead_of_the_outermost_reduction_loop() -> None:
    c = matmul(4, 8, 6)
    s = create_schedule(c.output)
    i, j = c.output.op.axis
    (k,) = c.output.op.reduce_axis
    s[c.output].reorder(i, k, j)
    assert loops(s, c) == expect("""
        for i in range(4):
            for j in range(8):
                C[i, j] = 0.0
            for k in range(6):
                for j in range(8):
                    C[i, j] = C[i, j] + A[i, k]*B[k, j]
    """)


def test_decompose_reduction_moves_the_initialisation_out() -> None:
    c = matmul(4, 8, 6)
    s = create_schedule(c.output)
    s[c.output].decompose_reduction(c.output.op.axis[0])
    assert loops(s, c).startswith(
        expect("""
        for i in range(4):
            for j in range(8):
                C[i, j] = 0.0
        for i in range(4):
    """)
    )


def test_cache_inplace_zeroes_first_and_reads_back_after() -> None:
    c = matmul(4, 8, 6)
    s = create_schedule(c.output)
    stage = s[c.output]
    i, j = c.output.op.axis
    outer, _ = stage.split(c.output.op.reduce_axis[0], factor=3)
    stage.reorder(outer, i, j)
    cache = s.cache_inplace(c.output, "register", axis=outer)
    s[cache].compute_at(stage, i)
    text = loops(s, c).replace("A[i, k.outer*3 + k.inner]*B[k.outer*3 + k.inner, j.c]", "X")
    assert text == expect("""
        for k.outer in range(2):
            for i in range(4):
                C.register = alloc((1, 8), float32, register)
                for j.c in range(8):
                    if k.outer == 0:
                        C.register[0, j.c] = 0.0
                    else:
                        C.register[0, j.c] = C[i, j.c]
                    for k.inner in range(3):
                        C.register[0, j.c] = C.register[0, j.c] + X
                for j in range(8):
                    C[i, j] = C.register[0, j]
    """)


def test_pack_stores_tiles_in_the_order_of_reading() -> None:
    c = matmul(4, 8, 6)
    s = create_schedule(c.output)
    s.pack(c.inputs[1], c.output, {1: 3})
    text = loops(s, c)
    assert "B.pack = alloc((3, 6, 3), float32, call)" in text
    assert "B.pack[ax1//3, ax0, ax1%3] = B[ax0, ax1]" in text
    assert "A[i, k]*B.pack[j//3, k, j%3]" in text


def test_compute_at_computes_just_what_the_loop_reads() -> None:
    c = convolution(2, 6, 6, 3)
    s = create_schedule(c.output)
    padded, conv, out = c.stages
    s[padded].compute_inline()
    s[conv].compute_at(s[out], out.op.axis[1])
    text = loops(s, c)
    assert "conv = alloc((1, 1, 6), float32, call)" in text
    assert "padded" not in text


def test_a_fold_keeps_a_scalar_state_where_its_axes_are_outside() -> None:
    c = argmax(5, 9)
    text = loops(create_schedule(c.output), c)
    assert "argmax.state0 = alloc((1,), float32, stack)" in text
    assert "argmax[i] = argmax.state1[0]" in text


def test_a_fold_keeps_a_state_for_each_axis_inside_its_reduction() -> None:
    c = argmax(5, 9)
    s = create_schedule(c.output)
    s[c.output].reorder(c.output.op.reduce_axis[0], c.output.op.axis[0])
    assert "argmax.state0 = alloc((5,), float32, stack)" in loops(s, c)


def test_partition_gives_vector_loops_constant_extents() -> None:
    c = matmul(7, 37, 5)
    s = create_schedule(c.output)
    _, inner = s[c.output].split(c.output.op.axis[1], factor=16)
    s[c.output].vectorize(inner)
    extents = re.findall(r"vectorized\((.*?)\)", loops(s, c, partition=True))
    assert extents
    assert all(extent.isdigit() for extent in extents), extents
    assert sorted(set(extents)) == ["16", "5"]


def test_no_test_stands_inside_an_innermost_loop_of_uneven_splits() -> None:
    c = matmul(29, 31, 37)
    s = create_schedule(c.output)
    for axis in (*c.output.op.axis, *c.output.op.reduce_axis):
        outer, _ = s[c.output].split(axis, factor=8)
        s[c.output].split(outer, factor=3)
    assert "if " not in loops(s, c)
    assert "if " not in loops(s, c, partition=True)


@pytest.mark.parametrize(
    ("primitive", "message"),
    [
        (lambda s, c: s[c].split(c.op.axis[0], factor=0), "factor must be an integer of at least 1"),
        (lambda s, c: s[c].split(c.op.axis[0]), "either factor or nparts"),
        (lambda s, c: s[c].vectorize(c.op.reduce_axis[0]), "reduction axis"),
        (lambda s, c: s[c].parallel(c.op.reduce_axis[0]), "reduction axis"),
        (lambda s, c: s[c].fuse(c.op.axis[0], c.op.reduce_axis[0]), "next loop inside"),
        (lambda s, c: s[c].fuse(c.op.axis[1], c.op.reduce_axis[0]), "one is a reduction axis"),
        (lambda s, c: s[c].reorder(c.op.axis[0], c.op.axis[0]), "named twice"),
        (lambda s, c: s[c].compute_inline(), "is a reduction"),
        (lambda s, c: s[c].unroll(c.op.axis[0], -1), "0 \\(all\\) or more"),
        (lambda s, c: s.cache_read(c.op.inputs[0], "nowhere", c), "unknown scope 'nowhere'"),
        (lambda s, c: s.cache_read(c, "stack", c), "C does not read C"),
        (lambda s, c: s.cache_inplace(c, "stack", c.op.axis[0]), "needs a reduction loop"),
        (lambda s, c: s.cache_inplace(c, "stack", c.op.reduce_axis[0]), "no reduction loop is left"),
        (lambda s, c: s[c.op.inputs[0]].compute_inline(), "placeholder"),
        (lambda s, c: s[c].split(te.reduce_axis((0, 3))), "does not belong to stage C"),
        (lambda s, c: s[te.placeholder((1,), name="Z")], "Z is not part of this schedule"),
        (lambda s, c: s.pack(c.op.inputs[0], c, {5: 2}), "no dimension"),
    ],
)
def test_a_refused_primitive_names_the_object_and_changes_nothing(primitive: object, message: str) -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    before = loops(s, c)
    with pytest.raises(ScheduleError, match=message):
        primitive(s, c.output)  # type: ignore[operator]
    assert not s.steps
    assert loops(s, c) == before


def test_a_loop_that_was_split_is_no_loop_any_more() -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    i = c.output.op.axis[0]
    s[c.output].split(i, factor=2)
    with pytest.raises(
        ScheduleError, match=r"i is not a loop of C any more .*; its loops are i.outer, i.inner, j, k"
    ):
        s[c.output].split(i, factor=2)


def test_compute_at_with_a_reader_outside_the_loop_is_refused() -> None:
    x = te.placeholder((8,), name="x")
    a = te.compute((8,), lambda i: x[i] + 1.0, name="a")
    b = te.compute((8,), lambda i: a[i] * 2.0, name="b")
    c = te.compute((8,), lambda i: a[i] + b[i], name="c")
    s = create_schedule(c)
    s[a].compute_at(s[c], c.op.axis[0])
    with pytest.raises(ScheduleError, match="b also reads a, outside the loop i of c"):
        lower_schedule(s, [x, c])


def test_a_stage_that_is_read_at_an_index_from_a_tensor_is_computed_whole() -> None:
    index, x = te.placeholder((5,), "int32", name="index"), te.placeholder((9, 7), name="x")
    inner = te.compute((9, 7), lambda i, j: x[i, j] + 1.0, name="inner")
    out = te.compute((5, 7), lambda i, j: inner[index[i], j] * 2.0, name="out")
    s = create_schedule(out)
    s[inner].compute_at(s[out], out.op.axis[0])
    kernel = load_kernel(compile_program(Program.from_schedule(s, [index, x, out]), Target.host()))
    rows = np.array([8, 0, 3, 3, 1], np.int32)
    values = np.arange(63, dtype=np.float32).reshape(9, 7)
    np.testing.assert_array_equal(kernel(rows, values), (values[rows] + 1) * 2)


def test_missing_arguments_are_named() -> None:
    c = matmul(4, 5, 6)
    with pytest.raises(ScheduleError, match="lack B"):
        lower_schedule(create_schedule(c.output), [c.inputs[0], c.output])


def test_an_argument_is_given_once_and_belongs_to_the_program() -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    with pytest.raises(ScheduleError, match="name C twice"):
        lower_schedule(s, [*c.inputs, c.output, c.output])
    other = te.placeholder((4,), name="other")
    with pytest.raises(ScheduleError, match="other is no part of what the schedule computes"):
        Program.from_schedule(s, [*c.inputs, other, c.output])


def test_an_intermediate_stage_is_an_argument_only_where_it_is_stored_whole() -> None:
    x = te.placeholder((8,), name="x")
    a = te.compute((8,), lambda i: x[i] + 1.0, name="a")
    b = te.compute((8,), lambda i: a[i] * 2.0, name="b")
    s = create_schedule(b)
    kernel = load_kernel(compile_program(Program.from_schedule(s, [x, b, a]), Target.host()))
    values = np.arange(8, dtype=np.float32)
    for result, expected in zip(kernel(values), ((values + 1) * 2, values + 1), strict=True):
        np.testing.assert_array_equal(result, expected)
    s[a].compute_inline()
    with pytest.raises(ScheduleError, match="the argument a is not stored whole"):
        lower_schedule(s, [x, b, a])


def test_replaying_the_steps_gives_the_same_nest() -> None:
    c = softmax(9, 17)
    s = create_schedule(c.output)
    log_sum, out = c.stages
    _, inner = s[out].split(out.op.axis[1], factor=4)
    s[out].vectorize(inner)
    s[log_sum].compute_at(s[out], out.op.axis[0])
    again = create_schedule(c.output)
    again.replay(s.steps)
    assert again.steps == s.steps
    assert loops(again, c) == loops(s, c)


def a_symbolic_extent() -> object:
    extent: Any = te.reduce_axis((0, 2))
    return te.placeholder((extent,), name="x")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: te.placeholder((0,), name="x"), "x: extent 0 must be a positive integer"),
        (a_symbolic_extent, "symbolic"),
        (lambda: te.placeholder((2,), "float13", name="x"), "unknown dtype 'float13'"),
        (lambda: te.placeholder((2,), name='x"); evil('), "use letters"),
        (lambda: te.placeholder((2,), name="x")[0, 0], "x has 1 dimensions, 2 indices given"),
        (lambda: te.compute((2,), lambda i, j: i), "takes 2 indices, the shape has 1"),
        (lambda: te.sum(te.placeholder((2,), name="x")[0], axis=[]), "at least one reduce_axis"),
        (lambda: bool(te.placeholder((2,), name="x")[0] > 0), "no truth value"),
        (lambda: te.placeholder((2,), "int8", name="x")[0] + 300, "300 is no int8: cast the other operands"),
        (lambda: te.const(float("inf"), "int32"), "inf is no int32"),
        (lambda: te.logical_not(te.placeholder((2,), "int32", name="x")[0]), "not a condition"),
        (lambda: -te.placeholder((2,), "bool", name="x")[0], "a condition has no sign"),
        (lambda: te.placeholder((2,), "bool", name="x")[0] - True, "cast them to a number"),
        (
            lambda: te.sum(te.placeholder((2,), "bool", name="x")[0], axis=te.reduce_axis((0, 2))),
            "cast them to int32 to count",
        ),
        (lambda: te.exp(te.placeholder((2,), "int32", name="x")[0]), "needs a float, not int32"),
    ],
)
def test_malformed_expressions_are_named(make: object, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        make()  # type: ignore[operator]


def test_a_reduction_must_be_the_whole_body() -> None:
    x = te.placeholder((4, 4), name="x")
    k = te.reduce_axis((0, 4))
    with pytest.raises(ExpressionError, match="must be the whole body"):
        te.compute((4,), lambda i: te.sum(x[i, k], axis=k) + 1.0, name="y")


def test_a_tensor_of_the_same_name_is_not_of_the_schedule() -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    other = matmul(4, 5, 6).output
    with pytest.raises(ScheduleError, match="C is not part of this schedule"):
        s[other]


def test_stages_may_reduce_over_one_axis() -> None:
    x = te.placeholder((5, 7), name="x")
    k = te.reduce_axis((0, 7), "k")
    total = te.compute((5,), lambda i: te.sum(x[i, k], axis=k), name="total")
    top = te.compute((5,), lambda i: te.max(x[i, k] * total[i], axis=k), name="top")
    s = create_schedule(top)
    s[total].compute_at(s[top], s[top].op.reduce_axis[0])
    program = Program.from_schedule(s, [x, top])
    values = np.random.default_rng(0).uniform(-1, 1, (5, 7)).astype(np.float32)
    expected = (values * values.sum(axis=1, keepdims=True)).max(axis=1)
    kernel = load_kernel(compile_program(Program.from_json(program.to_json()), Target.host()))
    np.testing.assert_allclose(kernel(values), expected, rtol=1e-5, atol=1e-5)


def test_a_numpy_integer_is_a_factor() -> None:
    c = matmul(8, 5, 6)
    s, plain = create_schedule(c.output), create_schedule(c.output)
    s[c.output].split(c.output.op.axis[0], factor=int(np.int64(4)))
    plain[c.output].split(c.output.op.axis[0], factor=np.int64(4))  # type: ignore[arg-type]
    assert plain.steps == s.steps
    assert Program.from_schedule(plain, c.args) == Program.from_schedule(s, c.args)


def test_numpy_integers_become_plain_ones_in_every_step() -> None:
    x = te.placeholder((8, 8), name="x")
    k = te.reduce_axis((0, 8), name="k")
    y = te.compute((8,), lambda i: te.sum(x[i, k], axis=k), name="y")
    s = create_schedule(y)
    s.pack(x, y, {np.int64(1): np.int64(4)})  # type: ignore[dict-item]
    s[y].unroll(y.op.axis[0], np.int64(2))  # type: ignore[arg-type]
    s.rfactor(y, k, np.int64(0))  # type: ignore[arg-type]
    program = Program.from_schedule(s, [x, s.outputs[0]])
    assert program.schedule()[0].steps == s.steps


@pytest.mark.parametrize("tile", [{1: 4.0}, {"1": 4}, {1: True}])
def test_a_tile_of_no_integers_is_refused(tile: Any) -> None:
    x = te.placeholder((8, 8), name="x")
    y = te.compute((8, 8), lambda i, j: x[i, j] + 1, name="y")
    with pytest.raises(ScheduleError, match=r"pack: .* is not an integer"):
        create_schedule(y).pack(x, y, tile)


@pytest.mark.parametrize(
    "step",
    [
        {"kind": "boom", "stage": "C"},
        {"kind": "split", "stage": "C", "axis": "i", "factor": "4"},
        {"kind": "annotate", "stage": "C", "axis": "i", "how": "zzz"},
        {"kind": "split", "stage": "Z", "axis": "i", "factor": 4},
    ],
)
def test_a_stored_step_that_is_none_is_refused(step: dict[str, object]) -> None:
    c = matmul(4, 5, 6)
    text = Program.from_schedule(create_schedule(c.output), c.args).to_json()
    garbled = text.replace('"steps":[]', f'"steps":[{json.dumps(step)}]')
    assert garbled != text
    with pytest.raises(ScheduleError):
        Program.from_json(garbled).schedule()


@pytest.mark.parametrize("reader", ["reduced", "foreign", "beside"])
def test_an_axis_that_no_loop_of_a_stage_counts_is_refused(reader: str) -> None:
    x = te.placeholder((8, 8), name="x")
    k, other = te.reduce_axis((0, 8), name="k"), te.reduce_axis((0, 8), name="other")
    y = te.compute((8, 8), lambda i, j: x[i, j] * 2, name="y")
    bodies = {
        "reduced": (lambda i: x[i, k], "k"),
        "foreign": (lambda i: y[i, y.op.axis[1]], "j"),
        "beside": (lambda i: te.sum(x[i, k] * x[i, other], axis=k), "other"),
    }
    body, name = bodies[reader]
    with pytest.raises(
        ExpressionError, match=rf"^z: {name} is neither an axis .* te\.sum\(\.\.\., axis={name}\)"
    ):
        create_schedule(te.compute((8,), body, name="z"))


def test_a_choice_by_an_unrolled_loop_is_made_while_writing() -> None:
    """Three combinations of two reads, each written out by itself: no test, no branch, no read twice."""
    a = te.placeholder((2, 64), name="A")

    def element(i: te.IterVar, j: te.IterVar) -> te.Expr:
        last = te.if_then_else(i < 2, a[0, j] - a[1, j], a[1, j])
        return te.if_then_else(i == 0, a[0, j] + a[1, j], last)

    c = te.compute((3, 64), element, name="C")
    s = create_schedule(c)
    outer, lanes = s[c].split(c.op.axis[1], 16)
    s[c].reorder(outer, c.op.axis[0], lanes)
    s[c].unroll(c.op.axis[0])
    s[c].vectorize(lanes)
    program = Program.from_schedule(s, [a, c])
    text = write_llvm(program, Target.host(), 1)[0].text
    assert "icmp eq" not in text
    assert "select" not in text
    x = np.random.default_rng(0).uniform(-1, 1, (2, 64)).astype("float32")
    kernel = load_kernel(compile_program(program, Target.host()))
    np.testing.assert_allclose(kernel(x), [x[0] + x[1], x[0] - x[1], x[1]], rtol=1e-6)


def test_an_axis_is_reduced_once() -> None:
    x, r = te.placeholder((4, 4), name="x"), te.reduce_axis((0, 4), "r")
    with pytest.raises(ExpressionError, match=r"te\.sum: axis=r, r names one of them twice"):
        te.sum(x[0, r], axis=[r, r])


@pytest.mark.parametrize(
    ("offset", "scale", "message"),
    [
        (1, 1, "x is read at 1 to 16 along dimension 0, which has 16; guard it with te.if_then_else"),
        (-1, 1, "x is read at -1 to 14"),
        (15, -2, "x is read at -15 to 15"),
    ],
)
def test_a_read_outside_of_a_tensor_is_named(offset: int, scale: int, message: str) -> None:
    x = te.placeholder((16,), name="x")
    y = te.compute((16,), lambda i: x[i * scale + offset], name="y")
    with pytest.raises(ExpressionError, match=f"y: {message}"):
        create_schedule(y)


def test_a_read_that_a_condition_guards_may_lie_anywhere() -> None:
    x = te.placeholder((16,), name="x")
    y = te.compute((16,), lambda i: te.if_then_else(i < 15, x[i + 1], 0.0), name="y")
    kernel = load_kernel(compile_program(Program.from_schedule(create_schedule(y), [x, y]), Target.host()))
    data = np.arange(16, dtype=np.float32)
    np.testing.assert_array_equal(kernel(data), np.append(data[1:], np.float32(0)))
