"""What follows a call runs between the steps of the next one, where the intrinsic gives turns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.compiler.intrinsics import GEMV_IR, gemv
from tests.compiler.running import results
from tilewright.compiler import te
from tilewright.compiler.backends.llvm_jit import emit_assembly
from tilewright.compiler.build import compile_program, lower_for_target, write_llvm
from tilewright.compiler.errors import CompileError, ExpressionError
from tilewright.compiler.lower import lower_schedule
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor, TensorIntrin

Array = npt.NDArray[Any]
STEPS, LANES = 4, 8
RESETTING_IR = GEMV_IR.replace(
    "phi <8 x float> [ %c0, %entry ]", "phi <8 x float> [ zeroinitializer, %entry ]"
)
YIELDING_IR = RESETTING_IR.replace("i64 %ci) {", "i64 %ci, ptr %turn, ptr %frame) alwaysinline {").replace(
    "  %next = add", "  call void %turn(ptr %frame, i64 %k)\n  %next = add"
)


def yielding(turns: int = STEPS, llvm_ir: str = YIELDING_IR) -> TensorIntrin:
    """``c[i] = sum(a[k] * b[i, k])``, with a turn at each of its steps."""
    return te.decl_tensor_intrin(gemv().op, llvm_ir, name="gemv", resets=True, turns=turns)


def scaled_products(
    rows: int, scales: int, intrin: TensorIntrin, is_pipeline: bool = True
) -> tuple[Schedule, list[Tensor]]:
    """``y[i, t, j] = c[i, j] * scale[t]``, in a pipeline over the rows."""
    a, b = te.placeholder((rows, STEPS), name="a"), te.placeholder((LANES, STEPS), name="b")
    scale = te.placeholder((scales,), name="scale")
    k = te.reduce_axis((0, STEPS), "k")
    c = te.compute((rows, LANES), lambda i, j: te.sum(a[i, k] * b[j, k], axis=k), name="c")
    y = te.compute((rows, scales, LANES), lambda i, t, j: c[i, j] * scale[t], name="y")
    s = create_schedule(y)
    row = y.op.axis[0]
    s[c].compute_at(s[y], row)
    s[c].tensorize(c.op.axis[1], intrin)
    if is_pipeline:
        s[y].software_pipeline(row, [c])
    return s, [a, b, scale, y]


# Of the scales, each turn has one, none or one, two or three, the last of them none.
@pytest.mark.parametrize("scales", [4, 3, 8, 9, 1])
@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_results_stay_the_same(rows: int, scales: int) -> None:
    s, args = scaled_products(rows, scales, yielding())
    a, b, scale = (np.random.default_rng(rows).uniform(-1, 1, t.shape).astype("f4") for t in args[:-1])
    expected = (a @ b.T)[:, None, :] * scale[:, None]
    for name, found in results(Program.from_schedule(s, args), [a, b, scale], with_numba=True).items():
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_call_runs_beside_what_follows_the_one_before() -> None:
    s, args = scaled_products(5, 4, yielding())
    lines = str(lower_schedule(s, args)).splitlines()
    assert lines[-10:] == [
        "c = alloc((2, 1, 8), float32, call)",
        "gemv(a[0, 0], b[0, 0], c[0, 0, 0])",
        "for i in range(4):",
        "    gemv(a[i + 1, 0], b[0, 0], c[(i + 1)%2, 0, 0]), meanwhile:",
        "        for t in range(4):",
        "            for j in range(8):",
        "                y[i, t, j] = c[i%2, 0, j]*scale[t]",
        "for t in range(4):",
        "    for j in range(8):",
        "        y[4, t, j] = c[0, 0, j]*scale[t]",
    ]


@pytest.mark.parametrize("full", [False, True])
def test_turns_are_no_calls_in_the_end(full: bool) -> None:
    s, args = scaled_products(5, 9, yielding())
    target = Target.host()
    text, _ = write_llvm(Program.from_schedule(s, args), target, 1)
    assert "@turn" in text.text
    assert "turn" not in emit_assembly(text.text, target, full, text.linked)


def test_an_intrinsic_with_turns_needs_no_pipeline() -> None:
    s, args = scaled_products(5, 4, yielding(), is_pipeline=False)
    a, b, scale = (np.random.default_rng(1).uniform(-1, 1, t.shape).astype("f4") for t in args[:-1])
    expected = (a @ b.T)[:, None, :] * scale[:, None]
    for name, found in results(Program.from_schedule(s, args), [a, b, scale], with_numba=True).items():
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_pipeline_of_calls_without_turns_computes_one_ahead() -> None:
    plain = te.decl_tensor_intrin(gemv().op, RESETTING_IR, name="gemv", resets=True)
    s, args = scaled_products(5, 4, plain)
    program = Program.from_schedule(s, args)
    assert "meanwhile" not in str(lower_for_target(program, Target.host()))
    a, b, scale = (np.random.default_rng(1).uniform(-1, 1, t.shape).astype("f4") for t in args[:-1])
    expected = (a @ b.T)[:, None, :] * scale[:, None]
    for name, found in results(program, [a, b, scale], with_numba=True).items():
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_function_that_takes_no_turns_is_refused() -> None:
    s, args = scaled_products(5, 4, yielding(llvm_ir=RESETTING_IR))
    with pytest.raises(CompileError, match=r"gemv takes \(.*\), not \(.*ptr, ptr\)"):
        compile_program(Program.from_schedule(s, args), Target.host())


@pytest.mark.parametrize("turns", [-1, True, 2.5, "4"])
def test_a_number_of_turns_is_one(turns: Any) -> None:
    with pytest.raises(ExpressionError, match="gemv: turns="):
        yielding(turns)


def test_a_program_keeps_the_turns() -> None:
    s, args = scaled_products(3, 4, yielding())
    program = Program.from_schedule(s, args)
    assert str(lower_for_target(Program.from_json(program.to_json()), Target.host())) == str(
        lower_for_target(program, Target.host())
    )


def test_a_pipeline_of_turns_may_lie_in_another() -> None:
    rows, places = 3, 4
    a, b = te.placeholder((rows, STEPS), name="a"), te.placeholder((LANES, STEPS), name="b")
    e = te.placeholder((rows, places, STEPS), name="e")
    k, r = te.reduce_axis((0, STEPS), "k"), te.reduce_axis((0, STEPS), "r")
    d = te.compute((rows, LANES), lambda i, j: te.sum(a[i, k] * b[j, k], axis=k), name="d")
    c = te.compute((rows, places, LANES), lambda i, t, j: te.sum(e[i, t, r] * b[j, r], axis=r), name="c")
    y = te.compute((rows, places, LANES), lambda i, t, j: c[i, t, j] + d[i, j], name="y")
    s = create_schedule(y)
    for sums, axis in ((d, y.op.axis[0]), (c, y.op.axis[1])):
        s[sums].compute_at(s[y], axis)
        s[sums].tensorize(sums.op.axis[-1], yielding())
        s[y].software_pipeline(axis, [sums])
    args = [a, b, e, y]
    x, w, z = (np.random.default_rng(1).uniform(-1, 1, t.shape).astype("f4") for t in args[:-1])
    expected = z @ w.T + (x @ w.T)[:, None]
    for name, found in results(Program.from_schedule(s, args), [x, w, z], with_numba=True).items():
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=name)
