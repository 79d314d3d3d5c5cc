"""Loops replaced by intrinsics."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.compiler.intrinsics import GEMV_IR, K, M, N, Scheduled, dense, dot, gemv, over_a_row, scale, tiled
from tests.compiler.running import results
from tilewright.compiler import te
from tilewright.compiler.backends.interpreter import interpret
from tilewright.compiler.build import compile_program, lower_program, write_llvm
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.lower import lower_schedule
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor, TensorIntrin

Array = npt.NDArray[Any]


def check(s: Schedule, args: list[Tensor], expected: Callable[..., Array], **options: Any) -> None:
    arrays = [np.random.default_rng(5).uniform(-1, 1, t.shape).astype(t.dtype) for t in args[:-1]]
    program = Program.from_schedule(s, args)
    for name, result in results(program, arrays, with_numba=True, **options).items():
        np.testing.assert_allclose(result, expected(*arrays), rtol=1e-5, atol=1e-5, err_msg=name)
    assert "call void @" in write_llvm(program, Target.host(), 1)[0].text


def product(x: Array, y: Array) -> Array:
    return np.asarray(x @ y.T)


def test_a_tile_becomes_one_call() -> None:
    args = dense()
    s = create_schedule(args[-1])
    *_, ji, _ = tiled(s, args[-1])
    s[args[-1]].tensorize(ji, gemv())
    assert str(lower_schedule(s, args)).splitlines()[3:] == [
        "for i in range(6):",
        "    for j.outer in range(3):",
        "        for j.inner in range(8):",
        "            C[i, j.outer*8 + j.inner] = 0.0",
        "        for k.outer in range(5):",
        "            gemv(A[i, k.outer*4], B[j.outer*8, k.outer*4], C[i, j.outer*8])",
    ]
    check(s, args, product)
    text = write_llvm(Program.from_schedule(s, args), Target.host(), 1)[0].text
    # Strides of a's k, of b's i and k, and of c's i.
    assert any(
        line.count("i64 1,") == 2 and "i64 20, ptr" not in line
        for line in text.splitlines()
        if "@gemv(" in line
    )


def test_the_initialisation_stays_ahead_of_loops_that_are_all_tensorized() -> None:
    args = dense(M, 8, 4)
    s = create_schedule(args[-1])
    s[args[-1]].tensorize(args[-1].op.axis[1], gemv())
    text = str(lower_schedule(s, args))
    assert text.index("C[i, j] = 0.0") < text.index("gemv(")
    check(s, args, product)


def test_decompose_reduction_moves_the_initialisation_out() -> None:
    args = dense()
    s = create_schedule(args[-1])
    i, *_, ji, _ = tiled(s, args[-1])
    s[args[-1]].tensorize(ji, gemv())
    s[args[-1]].decompose_reduction(i)
    assert str(lower_schedule(s, args)).splitlines()[3:6] == [
        "for i in range(6):",
        "    for j.outer in range(3):",
        "        for j.inner in range(8):",
    ]
    check(s, args, product)


def test_the_order_of_the_loops_inside_does_not_matter() -> None:
    args = dense()
    s = create_schedule(args[-1])
    i, jo, ko, ji, ki = tiled(s, args[-1])
    s[args[-1]].reorder(i, jo, ko, ki, ji)
    s[args[-1]].tensorize(ki, gemv())
    check(s, args, product)


def transposed() -> list[Tensor]:
    a, b = te.placeholder((K, M), name="A"), te.placeholder((K, N), name="B")
    r = te.reduce_axis((0, K), "k")
    c = te.compute((M, N), lambda i, j: te.sum(a[r, i] * b[r, j], axis=r), name="C")
    return [a, b, c]


def test_the_intrinsic_is_given_the_strides_that_there_are() -> None:
    args = transposed()
    s = create_schedule(args[-1])
    *_, ji, _ = tiled(s, args[-1])
    s[args[-1]].tensorize(ji, gemv())
    check(s, args, lambda x, y: np.asarray(x.T @ y))


def test_a_packed_copy_and_spaced_memory_are_read_where_they_lie() -> None:
    args = dense()
    s = create_schedule(args[-1])
    *_, ko, ji, _ = tiled(s, args[-1])
    packed = s.pack(args[1], args[-1], {0: 8})
    s[packed].storage_align(s[packed].op.axis[1], 16, 11)
    copy = s.cache_read(args[0], "register", [args[-1]])
    s[copy].compute_at(s[args[-1]], ko)
    s[args[-1]].tensorize(ji, gemv())
    check(s, args, product)


def test_a_cache_and_partial_results_are_tensorized() -> None:
    args = dense()
    s = create_schedule(args[-1])
    _, _, ko, *_ = tiled(s, args[-1])
    part = s.rfactor(args[-1], ko, 0)
    f, i, j = s[part].op.axis
    (k,) = s[part].op.reduce_axis
    jo, ji = s[part].split(j, factor=8)
    s[part].reorder(f, i, jo, ji, k)
    s[part].parallel(f)
    s[part].tensorize(ji, gemv())
    check(s, args, product)


def test_threads_call_the_intrinsic() -> None:
    args = dense()
    s = create_schedule(args[-1])
    i, *_, ji, _ = tiled(s, args[-1])
    s[args[-1]].parallel(i)
    s[args[-1]].tensorize(ji, gemv())
    check(s, args, product, threads=2)


def test_loops_around_may_have_tails() -> None:
    args = dense()
    s = create_schedule(args[-1])
    i, jo, ko, ji, ki = tiled(s, args[-1])
    fused = s[args[-1]].fuse(i, jo)
    outer, inner = s[args[-1]].split(fused, factor=5)
    s[args[-1]].reorder(inner, outer, ko, ji, ki)
    s[args[-1]].tensorize(ji, gemv())
    check(s, args, product)


def test_one_tensor_may_be_every_input() -> None:
    a = te.placeholder((M, K), name="A")
    r = te.reduce_axis((0, K), "k")
    c = te.compute((M, N), lambda i, j: te.sum(a[i, r] * a[i, r], axis=r), name="C")
    s = create_schedule(c)
    *_, ji, _ = tiled(s, c)
    s[c].tensorize(ji, gemv())
    check(s, [a, c], lambda x: np.repeat((x * x).sum(axis=1, keepdims=True), N, axis=1))


def test_shifted_reads_of_one_tensor_are_one_argument() -> None:
    s, args = over_a_row(lambda x, i: x[i] + x[i + 1], (9,), lambda x, j: x(j + 3) + x(j + 4))
    check(s, args, lambda x: x[:, 3:11] + x[:, 4:12])


def test_a_pattern_may_begin_past_its_first_element() -> None:
    s, args = over_a_row(lambda x, i: x[i + 2] + x[i + 3], (11,), lambda x, j: x(j + 7) + x(j + 8))
    assert "pair(X[i, 5], Y[i, 0])" in str(lower_schedule(s, args))


def test_a_pattern_may_read_every_other_element() -> None:
    s, args = over_a_row(lambda x, i: x[i * 2], (16,), lambda x, j: x(j * 4))
    module, _ = write_llvm(Program.from_schedule(s, args), Target.host(), 1)
    # The pattern's neighbours are two elements apart.
    assert re.search(r"call void @pair\(ptr %\w+, i64 2, ptr %\w+, i64 1\)", module.text)


def test_an_index_may_be_a_value() -> None:
    s, args = over_a_row(
        lambda x, i: x[i] * i.astype("float32"), (8,), lambda x, j: x(j) * j.astype("float32")
    )
    assert "pair(" in str(lower_schedule(s, args))


def doubled() -> Scheduled:
    x = te.placeholder((5, 32), name="X")
    y = te.compute((5, 32), lambda i, j: x[i, j] * 2.0, name="Y")
    s = create_schedule(y)
    s[y].tensorize(s[y].split(y.op.axis[1], factor=8)[1], scale())
    return s, [x, y]


def test_what_is_no_reduction_is_overwritten() -> None:
    s, args = doubled()
    check(s, args, lambda x: x * 2)


def test_an_intrinsic_used_twice_is_linked_once() -> None:
    x = te.placeholder((5, 32), name="X")
    y = te.compute((5, 32), lambda i, j: x[i, j] * 2.0, name="Y")
    z = te.compute((5, 32), lambda i, j: y[i, j] * 2.0, name="Z")
    s = create_schedule(z)
    for stage in (y, z):
        s[stage].tensorize(s[stage].split(stage.op.axis[1], factor=8)[1], scale())
    check(s, [x, z], lambda v: v * 4)


RESETTING_IR = GEMV_IR.replace(
    "phi <8 x float> [ %c0, %entry ]", "phi <8 x float> [ zeroinitializer, %entry ]"
)


def resetting(state: str = "", llvm_ir: str = RESETTING_IR) -> TensorIntrin:
    """``c[i] = sum(a[k] * b[i, k])``, whatever was in ``c``."""
    return te.decl_tensor_intrin(gemv().op, llvm_ir, name="gemv", resets=True, state=state)


def test_an_intrinsic_that_resets_takes_the_place_of_the_initialisation() -> None:
    args = dense(M, N, 4)
    s = create_schedule(args[-1])
    i, j = args[-1].op.axis
    s[args[-1]].tensorize(s[args[-1]].split(j, factor=8)[1], resetting())
    assert str(lower_schedule(s, args)).splitlines()[3:] == [
        f"for {i.name} in range(6):",
        "    for j.outer in range(3):",
        "        gemv(A[i, 0], B[j.outer*8, 0], C[i, j.outer*8])",
    ]
    check(s, args, product)


def test_a_state_is_entered_once_around_the_calls_of_each_thread() -> None:
    # A call outside the state adds nothing; a thread that enters twice, or does not leave, counts wrongly.
    ir = RESETTING_IR.replace("%x = load float, ptr %pa", "%raw = load float, ptr %pa").replace(
        "%x1 = insertelement",
        "%depth = load i32, ptr @depth, align 4\n  %share = sitofp i32 %depth to float\n"
        "  %x = fmul float %raw, %share\n  %x1 = insertelement",
    )
    count = """
@depth = internal global i32 0
define void @mode.enter() {
  %n = load i32, ptr @depth, align 4
  %m = add i32 %n, 1
  store i32 %m, ptr @depth, align 4
  ret void
}
define void @mode.leave() {
  %n = load i32, ptr @depth, align 4
  %m = sub i32 %n, 1
  store i32 %m, ptr @depth, align 4
  ret void
}
"""
    for threads, kind in ((1, "serial"), (1, "outline"), (2, "parallel")):
        args = dense(M, N, 4)
        s = create_schedule(args[-1])
        stage, (i, j) = s[args[-1]], args[-1].op.axis
        stage.tensorize(stage.split(j, factor=8)[1], resetting("mode", count + ir))
        if kind != "serial":
            getattr(stage, kind)(i)
        text = write_llvm(Program.from_schedule(s, args), Target.host(), threads)[0].text
        assert text.count("call void @mode.enter()") == text.count("call void @mode.leave()") == 1
        if threads == 1:
            check(s, args, product, threads=1)


def test_intrinsics_of_one_state_share_what_enters_it() -> None:
    functions = "".join(f"define void @mode.{name}() {{\n  ret void\n}}\n" for name in ("enter", "leave"))
    x = te.placeholder((5, 32), name="X")
    y = te.compute((5, 32), lambda i, j: x[i, j] * 2.0, name="Y")
    z = te.compute((5, 32), lambda i, j: y[i, j] * 2.0, name="Z")
    s = create_schedule(z)
    for stage, name in ((y, "scale"), (z, "again")):
        ir = functions + scale().llvm_ir.replace("@scale(", f"@{name}(")
        intrin = te.decl_tensor_intrin(scale().op, ir, name=name, state="mode")
        s[stage].tensorize(s[stage].split(stage.op.axis[1], factor=8)[1], intrin)
    text = write_llvm(Program.from_schedule(s, [x, z]), Target.host(), 1)[0].text
    assert text.count("call void @mode.enter()") == text.count("call void @mode.leave()") == 1
    check(s, [x, z], lambda v: v * 4)


def test_a_wrong_intrinsic_is_told_from_its_meaning() -> None:
    args = dense()
    s = create_schedule(args[-1])
    *_, ji, _ = tiled(s, args[-1])
    s[args[-1]].tensorize(ji, gemv(GEMV_IR.replace("slt i64 %next, 4", "slt i64 %next, 3")))
    program = Program.from_schedule(s, args)
    arrays = [np.random.default_rng(5).uniform(-1, 1, t.shape).astype(np.float32) for t in args[:-1]]
    np.testing.assert_allclose(
        interpret(lower_program(program), arrays)[0], product(*arrays), rtol=1e-5, atol=1e-5
    )
    kernel = load_kernel(compile_program(program, Target.host()))
    assert np.abs(kernel(*arrays) - product(*arrays)).max() > 0.1


@pytest.mark.skipif("avx512vnni" not in Target.host().features, reason="needs avx512_vnni")
def test_bytes_are_multiplied_four_at_a_time() -> None:
    m, n, k = 5, 32, 24
    a = te.placeholder((m, k), "uint8", name="A")
    b = te.placeholder((n // 16, k // 4, 16, 4), "int8", name="B")
    r = te.reduce_axis((0, k), "k")
    c = te.compute(
        (m, n),
        lambda i, j: te.sum(
            a[i, r].astype("int32") * b[j // 16, r // 4, j % 16, r % 4].astype("int32"), axis=r
        ),
        name="C",
    )
    s = create_schedule(c)
    *_, ji, _ = tiled(s, c, 16, 4)
    s[c].tensorize(ji, dot())
    program = Program.from_json(Program.from_schedule(s, [a, b, c]).to_json())
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, a.shape, dtype=np.uint8)
    y = rng.integers(-128, 128, b.shape, dtype=np.int8)
    expected = x.astype(np.int32) @ y.astype(np.int32).transpose(1, 3, 0, 2).reshape(k, n)
    kernel = load_kernel(compile_program(program, Target.host()))
    np.testing.assert_array_equal(kernel(x, y), expected)
    np.testing.assert_array_equal(interpret(lower_program(program), [x, y])[0], expected)
    assert "vpdpbusd" in kernel.source("asm")
