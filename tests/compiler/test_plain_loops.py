"""Loops without annotations are vectorized and tiled, and the result stays the same."""

from __future__ import annotations

import re
from random import Random

import numpy as np
import pytest

from tests.compiler.computes import Compute, all_computes, matmul
from tilewright.compiler import te
from tilewright.compiler.backends.interpreter import interpret
from tilewright.compiler.build import compile_program, lower_for_target, lower_program
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target

HOST = Target.host()
LANES = HOST.lanes(4)


def check(program: Program, compute: Compute) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(-1, 1, t.shape).astype(t.dtype) for t in compute.inputs]
    expected = compute.reference(*arrays)
    kernel = load_kernel(compile_program(program, HOST))
    np.testing.assert_allclose(kernel(*arrays), expected, rtol=2e-5, atol=2e-5)
    for nest in (lower_for_target(program, HOST), lower_program(program)):
        np.testing.assert_allclose(interpret(nest, arrays)[0], expected, rtol=2e-5, atol=2e-5)


def tutorial(m: int, n: int, k: int, tile_y: int, tile_x: int) -> tuple[Compute, Program]:
    compute = matmul(m, n, k)
    s = create_schedule(compute.output)
    stage = s[compute.output]
    (y, x), (r,) = stage.op.axis, stage.op.reduce_axis
    yo, yi = stage.split(y, tile_y)
    xo, xi = stage.split(x, tile_x)
    stage.reorder(yo, xo, r, yi, xi)
    return compute, Program.from_schedule(s, compute.args)


def test_a_plain_reduction_becomes_a_register_tile() -> None:
    compute, program = tutorial(64, 8 * LANES, 16, 32, 4 * LANES)
    text = str(lower_for_target(program, HOST))
    assert "C.held1 = alloc(" in text
    # The reduction is the innermost loop that is not written out, and no annotation of the user's is lost.
    assert re.search(
        r"for k in range\(16\):\n\s+for i\.inner\.i in unrolled\(\d+\):\n\s+for j\.inner\.i in vectorized",
        text,
    )
    assert "for k in range(16)" in str(lower_program(program))
    assert "unrolled" not in str(lower_program(program))
    check(program, compute)


@pytest.mark.parametrize("tile", [(1, 1), (1, 48), (48, 1), (5, 3), (13, 37), (48, 48), (16, 32)])
@pytest.mark.parametrize("shape", [(48, 48, 24), (47, 61, 13)])
def test_tiles_of_any_size_are_right(shape: tuple[int, int, int], tile: tuple[int, int]) -> None:
    compute, program = tutorial(*shape, *tile)
    check(program, compute)


@pytest.mark.parametrize("number", range(len(all_computes(int))))
def test_what_no_schedule_touched_is_right(number: int) -> None:
    compute = all_computes(lambda most: most)[number]()
    check(Program.from_schedule(create_schedule(compute.output), compute.args), compute)


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_plain_loops_is_right(seed: int) -> None:
    random = Random(seed)
    compute = matmul(*(random.choice((1, 3, 16, 33, 40)) for _ in range(3)))
    s = create_schedule(compute.output)
    stage = s[compute.output]
    for axis in list(stage.leaf_iter_vars):
        if random.random() < 0.7:
            stage.split(axis, random.choice((1, 2, 5, 8, 16)))
    loops = list(stage.leaf_iter_vars)
    random.shuffle(loops)
    stage.reorder(*loops)
    check(Program.from_schedule(s, compute.args), compute)


def test_strided_reads_are_not_taken_for_neighbours() -> None:
    a = te.placeholder((32, 64), name="A")
    out = te.compute((64, 32), lambda i, j: a[j, i], name="B")
    twice = te.compute((16,), lambda i: a[0, 2 * i] + a[1, 3 * i], name="B")
    picked = te.placeholder((32,), "int32", name="I")
    gathered = te.compute((32,), lambda i: a[picked[i], i], name="B")
    x = np.random.default_rng(0).uniform(-1, 1, (32, 64)).astype("float32")
    index = np.arange(32, dtype="int32")[::-1].copy()
    cases = [(out, [a], [x], x.T), (twice, [a], [x], x[0, :32:2] + x[1, :48:3])]
    cases.append((gathered, [a, picked], [x, index], x[index, np.arange(32)]))
    for output, inputs, arrays, expected in cases:
        program = Program.from_schedule(create_schedule(output), [*inputs, output])
        assert "vectorized" not in str(lower_for_target(program, HOST))
        np.testing.assert_array_equal(load_kernel(compile_program(program, HOST))(*arrays), expected)


def test_annotated_loops_stay_as_they_are() -> None:
    compute = matmul(16, 32, 8)
    for annotate in ("unroll", "parallel"):
        s = create_schedule(compute.output)
        stage = s[compute.output]
        i, j = stage.op.axis
        (k,) = stage.op.reduce_axis
        stage.reorder(i, k, j)
        getattr(stage, annotate)(i if annotate == "parallel" else j)
        program = Program.from_schedule(s, compute.args)
        text = str(lower_for_target(program, HOST))
        assert ("for i in parallel(16)" if annotate == "parallel" else "for j in unrolled(32)") in text
        check(program, compute)
