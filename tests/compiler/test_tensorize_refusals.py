"""What ``tensorize`` refuses, and what it says."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.compiler.intrinsics import (
    DOT_IR,
    GEMV_IR,
    Element,
    K,
    M,
    N,
    dense,
    dot,
    gemv,
    over_a_row,
    scale,
    tiled,
)
from tilewright.compiler import te
from tilewright.compiler.build import compile_program
from tilewright.compiler.errors import CompileError, ExpressionError, ScheduleError
from tilewright.compiler.lower import lower_schedule
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor, TensorIntrin


@pytest.mark.parametrize(
    ("pattern", "size", "mine", "message"),
    [
        (lambda x, i: x[i] + x[i + 1], (9,), lambda x, j: x(j) + x(j + 2), "does not lie to X[i, 0] as the"),
        (lambda x, i: x[i // 2], (4,), lambda x, j: x(j), "index i//2 is not a sum of its axes"),
        (lambda x, i: x[i, i], (8, 8), lambda x, j: x(j), "no axis of the intrinsic tells the stride of"),
        (lambda x, i: x[i * 2], (16,), lambda x, j: x(j), "no axis of the intrinsic tells the stride of"),
        (lambda x, i: x[0], (8,), lambda x, j: x(j), "moves with j as the intrinsic's x does not"),
        (
            lambda x, i: x[i] * i.astype("float32"),
            (8,),
            lambda x, j: x(j) * (j + 1).astype("float32"),
            "it computes j + 1 where the intrinsic has i",
        ),
        (
            lambda x, i: x[i] * 2.0,
            (8,),
            lambda x, j: x(j) * 3.0,
            "it computes 3.0 where the intrinsic has 2.0",
        ),
        (lambda x, i: te.exp(x[i]), (8,), lambda x, j: te.sin(x(j)), "it computes sin(X[i, j]) where"),
        (lambda x, i: -x[i], (8,), lambda x, j: x(j), "it computes X[i, j] where the intrinsic has -x[i]"),
        (
            lambda x, i: te.if_then_else(x[i] > 0.0, x[i], 0.0),
            (8,),
            lambda x, j: te.if_then_else(x(j) > 1.0, x(j), 0.0),
            "it computes 1.0 where the intrinsic has 0.0",
        ),
    ],
)
def test_another_access_is_refused(
    pattern: Element, size: tuple[int, ...], mine: Element, message: str
) -> None:
    s, args = over_a_row(pattern, size, mine)
    with pytest.raises(ScheduleError, match=re.escape(message)):
        lower_schedule(s, args)


def refused(schedule: Callable[[Schedule, Tensor], object], args: list[Tensor]) -> str:
    s = create_schedule(args[-1])

    def attempt() -> None:
        schedule(s, args[-1])
        lower_schedule(s, args)

    with pytest.raises(ScheduleError) as caught:
        attempt()
    return str(caught.value)


def at_the_tile(s: Schedule, c: Tensor) -> None:
    *_, ji, _ = tiled(s, c)
    s[c].tensorize(ji, gemv())


def with_other_factors(s: Schedule, c: Tensor) -> None:
    *_, ji, _ = tiled(s, c, 12, 4)
    s[c].tensorize(ji, gemv())


def at_the_inner_loop(s: Schedule, c: Tensor) -> None:
    *_, ki = tiled(s, c)
    s[c].tensorize(ki, gemv())


def with_a_tail(s: Schedule, c: Tensor) -> None:
    *_, ji, _ = tiled(s, c, 8, 4)
    s[c].tensorize(ji, gemv())


def with_what_does_not_reduce(s: Schedule, c: Tensor) -> None:
    *_, ji, _ = tiled(s, c)
    s[c].tensorize(ji, scale())


def and_split_since(s: Schedule, c: Tensor) -> None:
    *_, ji, _ = tiled(s, c)
    s[c].tensorize(ji, gemv())
    s[c].split(ji, factor=4)


def twice(s: Schedule, c: Tensor) -> None:
    *_, ji, ki = tiled(s, c)
    s[c].tensorize(ji, gemv())
    s[c].tensorize(ki, gemv())


def with_a_copy_inside(s: Schedule, c: Tensor) -> None:
    *_, ji, _ = tiled(s, c)
    source = next(stage for stage in s.stages if stage.name == "A")
    copy = s.cache_read(source.tensor, "call", [c])
    s[copy].compute_at(s[c], ji)
    s[c].tensorize(ji, gemv())


def in_lanes(s: Schedule, c: Tensor) -> None:
    i, *_, ji, _ = tiled(s, c)
    s[c].vectorize(i)
    s[c].tensorize(ji, gemv())


def with_bytes(s: Schedule, c: Tensor) -> None:
    *_, ji, _ = tiled(s, c, 16, 4)
    s[c].tensorize(ji, dot())


def other_body(body: Callable[[te.Expr, te.Expr], te.Expr]) -> list[Tensor]:
    a, b = te.placeholder((M, K), name="A"), te.placeholder((N, K), name="B")
    r = te.reduce_axis((0, K), "k")
    return [a, b, te.compute((M, N), lambda i, j: te.sum(body(a[i, r], b[j, r]), axis=r), name="C")]


def other_indices(index: Callable[[te.Expr, te.Expr], te.Expr]) -> list[Tensor]:
    a, b = te.placeholder((M, K), name="A"), te.placeholder((4 * N * K,), name="B")
    r = te.reduce_axis((0, K), "k")
    return [a, b, te.compute((M, N), lambda i, j: te.sum(a[i, r] * b[index(j, r)], axis=r), name="C")]


def the_greatest() -> list[Tensor]:
    a, b = te.placeholder((M, K), name="A"), te.placeholder((N, K), name="B")
    r = te.reduce_axis((0, K), "k")
    return [a, b, te.compute((M, N), lambda i, j: te.max(a[i, r] * b[j, r], axis=r), name="C")]


def signed_bytes() -> list[Tensor]:
    a, b = te.placeholder((M, K), "int8", name="A"), te.placeholder((32, K), "int8", name="B")
    r = te.reduce_axis((0, K), "k")
    c = te.compute(
        (M, 32), lambda i, j: te.sum(a[i, r].astype("int32") * b[j, r].astype("int32"), axis=r), name="C"
    )
    return [a, b, c]


@pytest.mark.parametrize(
    ("schedule", "args", "message"),
    [
        (
            with_other_factors,
            dense(),
            "tensorize(j.inner, gemv) of C: its loops over the output from there inwards are j.inner (12), "
            "the intrinsic has i (8)",
        ),
        (at_the_inner_loop, dense(), "loops over the output from there inwards are none"),
        (with_a_tail, dense(M, N, 18), "k.inner has a tail; split by factors that divide"),
        (with_what_does_not_reduce, dense(), "the stage is a sum, the intrinsic is no reduction"),
        (at_the_tile, the_greatest(), "the stage is a max, the intrinsic is a sum"),
        (at_the_tile, dense(dtype="float64"), "the stage is float64, the intrinsic is float32"),
        (at_the_tile, other_body(lambda a, b: a + b), "where the intrinsic has a[k]*b[i, k]"),
        (at_the_tile, other_indices(lambda j, r: j % 3 + r), "is not read at even steps of j.inner"),
        (at_the_tile, other_body(lambda a, b: a * (b * 2.0)), "where the intrinsic has b[i, k]"),
        (and_split_since, dense(), "tensorize: j.inner is no loop of C any more; call it after what split"),
        (twice, dense(), "tensorize(k.inner): C is tensorized at j.inner already"),
        (with_a_copy_inside, dense(), "A.call is computed inside the loops; compute it further out"),
        (in_lanes, dense(), "the loop i around is vectorized"),
        (with_bytes, dense(M, 32, dtype="int32"), "where the intrinsic has int32(a[k])"),
        (with_bytes, signed_bytes(), "A is int8, the intrinsic's a is uint8"),
    ],
)
def test_loops_that_do_not_fit_are_refused(
    schedule: Callable[[Schedule, Tensor], object], args: list[Tensor], message: str
) -> None:
    assert message in refused(schedule, args)


@pytest.mark.parametrize(
    ("llvm_ir", "message"),
    [
        ("define void @gemv(", "LLVM IR of the intrinsic gemv is malformed"),
        ("define void @other() {\n  ret void\n}\n", "defines no function gemv"),
        ("declare void @gemv(ptr)\n", "defines no function gemv"),
        (
            "define void @gemv(ptr %a) {\n  ret void\n}\n",
            r"takes \(ptr\), not \(ptr, i64, ptr, i64, i64, ptr, i64\)",
        ),
        (
            GEMV_IR.replace("define void @gemv", "define i32 @gemv").replace("ret void", "ret i32 0"),
            "returns i32",
        ),
    ],
)
def test_a_malformed_intrinsic_is_named(llvm_ir: str, message: str) -> None:
    args = dense()
    s = create_schedule(args[-1])
    *_, ji, _ = tiled(s, args[-1])
    s[args[-1]].tensorize(ji, gemv(llvm_ir))
    with pytest.raises(CompileError, match=message):
        compile_program(Program.from_schedule(s, args), Target.host())


def test_an_intrinsic_that_resets_has_no_reduction_around() -> None:
    args = dense()
    s = create_schedule(args[-1])
    *_, ji, _ = tiled(s, args[-1])
    s[args[-1]].tensorize(ji, te.decl_tensor_intrin(gemv().op, GEMV_IR, name="gemv", resets=True))
    with pytest.raises(ScheduleError, match=r"does a whole reduction; move its loop k\.outer inside"):
        lower_schedule(s, args)


@pytest.mark.parametrize("functions", ["", "define void @mode.enter() {\n  ret void\n}\n"])
def test_a_state_without_its_functions_is_refused(functions: str) -> None:
    args = dense()
    s = create_schedule(args[-1])
    *_, ji, _ = tiled(s, args[-1])
    intrin = te.decl_tensor_intrin(gemv().op, functions + GEMV_IR, name="gemv", state="mode")
    s[args[-1]].tensorize(ji, intrin)
    with pytest.raises(CompileError, match=r"the intrinsic gemv defines no void @mode\."):
        compile_program(Program.from_schedule(s, args), Target.host())


def test_two_intrinsics_of_one_name_are_told_apart() -> None:
    x = te.placeholder((5, 32), name="X")
    y = te.compute((5, 32), lambda i, j: x[i, j] * 2.0, name="Y")
    z = te.compute((5, 32), lambda i, j: y[i, j] * 2.0, name="Z")
    s = create_schedule(z)
    other = te.decl_tensor_intrin(scale().op, scale().llvm_ir.replace("2.0", "3.0"), name="scale")
    for stage, intrin in ((y, scale()), (z, other)):
        s[stage].tensorize(s[stage].split(stage.op.axis[1], factor=8)[1], intrin)
    with pytest.raises(CompileError, match="two intrinsics are named scale"):
        compile_program(Program.from_schedule(s, [x, z]), Target.host())


def a_fold() -> Tensor:
    x, k = te.placeholder((4,), name="x"), te.reduce_axis((0, 4), "k")
    return te.compute((1,), lambda i: te.fold(k, (0.0,), lambda s: (s + x[k],), lambda s: s), name="y")


def two_of_one_name() -> Tensor:
    a, b = te.placeholder((4,), name="x"), te.placeholder((4,), name="x")
    return te.compute((4,), lambda i: a[i] + b[i], name="y")


def of_a_stage() -> Tensor:
    x = te.placeholder((4,), name="x")
    y = te.compute((4,), lambda i: x[i] + 1.0, name="y")
    return te.compute((4,), lambda i: y[i] + 1.0, name="z")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: te.decl_tensor_intrin(te.placeholder((4,)), "", "f"), "is a te.compute, or its .op"),
        (lambda: te.decl_tensor_intrin(a_fold(), "", "f"), "f: y is a te.fold"),
        (lambda: te.decl_tensor_intrin(of_a_stage(), "", "f"), "f: z reads y, which is no placeholder"),
        (lambda: te.decl_tensor_intrin(two_of_one_name(), "", "f"), "f: two placeholders are named x"),
        (lambda: te.decl_tensor_intrin(scale().op, "", "bound"), "must be one that a function of its"),
        (lambda: te.decl_tensor_intrin(scale().op, "", "a b"), "must be one that a function"),
        (lambda: te.decl_tensor_intrin(scale().op, "", "f", resets=True), "resets=True is for a reduction"),
        (lambda: te.decl_tensor_intrin(scale().op, "", "f", state="a b"), "a b: an intrinsic's name must be"),
        (lambda: te.decl_tensor_intrin(scale().op, None, "f"), "llvm_ir is NoneType"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_intrinsic_is_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        make()


@pytest.mark.parametrize(
    ("intrin", "error", "message"),
    [
        (TensorIntrin("gemv", "[]", GEMV_IR), ExpressionError, "gemv: the stored pattern is no computation"),
        (TensorIntrin("gemv", "{", GEMV_IR), ExpressionError, "gemv: the stored pattern is no computation"),
        (TensorIntrin("bound", gemv().pattern, GEMV_IR), ScheduleError, "no function can be named 'bound'"),
        (TensorIntrin("a()\n", gemv().pattern, GEMV_IR), ScheduleError, "no function can be named"),
    ],
)
def test_a_stored_intrinsic_that_is_none_is_refused(
    intrin: TensorIntrin, error: type[Exception], message: str
) -> None:
    args = dense()
    s = create_schedule(args[-1])
    *_, ji, _ = tiled(s, args[-1])

    def attempt() -> None:
        s[args[-1]].tensorize(ji, intrin)
        lower_schedule(s, args)

    with pytest.raises(error, match=message):
        attempt()


def test_the_step_takes_an_intrinsic() -> None:
    args = dense()
    s = create_schedule(args[-1])
    with pytest.raises(
        ScheduleError, match=r"tensorize\(j\): give an intrinsic made by te.decl_tensor_intrin"
    ):
        s[args[-1]].tensorize(args[-1].op.axis[1], DOT_IR)  # type: ignore[arg-type]
