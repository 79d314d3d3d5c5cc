"""What a reduction accumulates is held in registers, and the result stays the same."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tests.compiler.computes import Compute, matmul
from tilewright.compiler import te
from tilewright.compiler.backends.interpreter import interpret
from tilewright.compiler.build import LINE_LIMIT_MOST, compile_program, lower_program
from tilewright.compiler.ir.loops import LoopNest
from tilewright.compiler.kernel import Kernel, load_kernel
from tilewright.compiler.lower.accumulators import hold_accumulators
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target


def rows_of_vectors(compute: Compute, width: int, steps: int) -> Program:
    """Rows outside, then a step of the reduction written out, then a vector: as plain templates do."""
    s = create_schedule(compute.output)
    stage = s[compute.output]
    i, j = stage.op.axis
    (k,) = stage.op.reduce_axis
    jo, ji = stage.split(j, width)
    ko, ki = stage.split(k, steps)
    stage.reorder(jo, ko, i, ki, ji)
    stage.unroll(ki)
    stage.vectorize(ji)
    return Program.from_schedule(s, compute.args)


def held(program: Program) -> LoopNest:
    return hold_accumulators(lower_program(program), Target.host())


def check(program: Program, compute: Compute) -> Kernel:
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(-1, 1, t.shape).astype(t.dtype) for t in compute.inputs]
    expected = compute.reference(*arrays)
    kernel = load_kernel(compile_program(program, Target.host(), line_limit=LINE_LIMIT_MOST))
    np.testing.assert_allclose(kernel(*arrays), expected, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(interpret(held(program), arrays)[0], expected, rtol=2e-5, atol=2e-5)
    return kernel


def test_rows_are_jammed_and_their_sums_held() -> None:
    lanes = Target.host().lanes(4)
    compute = matmul(32, 2 * lanes, 16)
    program = rows_of_vectors(compute, 2 * lanes, 4)
    text = str(held(program))
    rows = min(16, (Target.host().vector_registers - 2) // 2 - 1)
    rows = max(n for n in range(1, rows + 1) if 32 % n == 0)
    assert f"C.held1 = alloc(({rows}, {2 * lanes}), float32, register)" in text
    assert f"for i.i in unrolled({rows}):" in text
    # One read of C ahead of the steps, one write after them, and the zeros at the start.
    assert len(re.findall(r"^ +C\[", text, re.MULTILINE)) == 2
    assert text.index("C.held1[i.i, j.inner] = C[") < text.index("for k.inner in unrolled(4)")
    check(program, compute)


def test_what_is_prefetched_at_each_step_stays_there() -> None:
    lanes = Target.host().lanes(4)
    compute = matmul(4, 2 * lanes, 16)
    s = create_schedule(compute.output)
    stage, (i, j), (k,) = s[compute.output], *(compute.output.op.axis, compute.output.op.reduce_axis)
    stage.reorder(k, i, j)
    stage.unroll(i)
    stage.vectorize(j)
    stage.prefetch(compute.inputs[0], k, 3)
    stage.prefetch(compute.inputs[1], k, 4)
    program = Program.from_schedule(s, compute.args)
    lines = [line.strip() for line in str(held(program)).splitlines()]
    assert any(line.startswith("C.held1 = alloc(") for line in lines)
    step = lines.index("for k in range(16):")
    assert lines[step + 1].startswith(("prefetch(A[", "for A.line"))
    assert any(line.startswith("prefetch(B[k + 4") for line in lines[step + 1 : -2])
    assert lines[-2].startswith("for ")
    assert lines[-1].startswith("C[")
    check(program, compute)


@pytest.mark.skipif(not Target.host().triple.startswith("x86_64"), reason="reads x86 assembly")
def test_the_innermost_loop_neither_reads_nor_writes_the_sums() -> None:
    lanes = Target.host().lanes(4)
    compute = matmul(32, 2 * lanes, 512)
    s = create_schedule(compute.output)
    stage = s[compute.output]
    i, j = stage.op.axis
    stage.reorder(i, stage.op.reduce_axis[0], j)
    stage.vectorize(j)
    kernel = check(Program.from_schedule(s, compute.args), compute)
    assembly = kernel.source("asm")
    # From a label to the jump back to it.
    loops = re.findall(r"^(\.L\w+):\n((?:(?!\.L\w+:).*\n)*?\s+j\w+\s+\1\n)", assembly, flags=re.MULTILINE)
    (innermost,) = [body for _, body in loops if "vfmadd" in body]
    assert not re.search(r"\bvmovups\s+%[xyz]mm\d+, ", innermost)


@pytest.mark.parametrize("kind", ["max", "min", "prod", "sum"])
@pytest.mark.parametrize("extents", [(7, 33, 5), (12, 48, 16), (1, 16, 3), (9, 16, 1)])
def test_every_reduction_and_tail(kind: str, extents: tuple[int, int, int]) -> None:
    m, n, length = extents
    a, b = te.placeholder((m, length), name="A"), te.placeholder((length, n), name="B")
    k = te.reduce_axis((0, length), "k")
    c = te.compute((m, n), lambda i, j: getattr(te, kind)(a[i, k] + b[k, j], axis=k), name="C")

    def reference(x: Any, y: Any) -> Any:
        terms = x[:, :, None].astype("float64") + y[None, :, :]
        return getattr(np, kind)(terms, axis=1)

    compute = Compute(kind, [a, b], [c], c, reference)
    for width, steps in ((16, 4), (8, 1), (33, 2)):
        check(rows_of_vectors(compute, width, steps), compute)


def test_what_does_not_fit_is_left_alone() -> None:
    registers, lanes = Target.host().vector_registers, Target.host().lanes(4)
    wide = matmul(4, registers * lanes, 8)
    program = rows_of_vectors(wide, registers * lanes, 4)
    assert "held" not in str(held(program))
    check(program, wide)


def test_loops_that_are_not_written_out_are_left_alone() -> None:
    a = te.placeholder((8, 16), name="A")
    k = te.reduce_axis((0, 8), "k")
    rolling = te.compute((16,), lambda j: te.sum(a[k, j], axis=k), name="C")
    s = create_schedule(rolling)
    (j,) = s[rolling].op.axis
    s[rolling].reorder(s[rolling].op.reduce_axis[0], j)
    # The loop over j is neither written out nor vectorized: there are no registers to hold it.
    assert "held" not in str(held(Program.from_schedule(s, [a, rolling])))
