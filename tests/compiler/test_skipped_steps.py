"""Steps of a register tile that add nothing are skipped, and the test for it stands outside the loops."""

from __future__ import annotations

import numpy as np
import pytest

from tests.compiler.running import results
from tilewright.compiler import te
from tilewright.compiler.build import lower_program, write_llvm
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target


def rows_of_taps(height: int, width: int, taps: int, kind: str = "sum") -> Program:
    """Each row of the result takes the rows of the input around it, where there are some."""
    x = te.placeholder((height, width), name="x")
    w = te.placeholder((taps,), name="w")
    t = te.reduce_axis((0, taps), "t")
    identity = 0.0 if kind == "sum" else float("-inf")
    reduce = te.sum if kind == "sum" else te.max

    def element(i: te.IterVar, j: te.IterVar) -> te.Expr:
        place = i + t - taps // 2
        inside = te.all(place >= 0, place < height)
        return reduce(te.if_then_else(inside, x[place, j] * w[t], te.const(identity, "float32")), axis=t)

    y = te.compute((height, width), element, name="y")
    s = create_schedule(y)
    tile = s.cache_write(y, "register")
    i, j = s[y].op.axis
    outer, j = s[y].split(j, 32)
    s[y].reorder(outer, i, j)
    s[y].vectorize(j)
    s[tile].compute_at(s[y], i)
    (t,) = s[tile].op.reduce_axis
    i, j = s[tile].op.axis
    s[tile].reorder(t, i, j)
    s[tile].unroll(i)
    s[tile].vectorize(j)
    return Program.from_schedule(s, [x, w, y])


@pytest.mark.parametrize("kind", ["sum", "max"])
@pytest.mark.parametrize(("height", "width", "taps"), [(9, 32, 3), (4, 40, 5), (2, 7, 7)])
def test_the_result_is_the_same(kind: str, height: int, width: int, taps: int) -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.uniform(-1, 1, shape).astype(np.float32) for shape in ((height, width), (taps,)))
    half = taps // 2
    padded = np.pad(x, ((half, half), (0, 0)), constant_values=np.nan)
    terms = np.stack([padded[t : t + height] * w[t] for t in range(taps)])
    expected = np.nansum(terms, axis=0) if kind == "sum" else np.nanmax(terms, axis=0)
    for found in results(rows_of_taps(height, width, taps, kind), [x, w], with_numba=True).values():
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_test_is_outside_the_loops_that_it_does_not_depend_on() -> None:
    text = str(lower_program(rows_of_taps(9, 32, 3)))
    test = text.index("if i + t - 1 >= 0 and i + t - 1 < 9")
    assert text.index("for t in range(3)") < test < text.index("vectorized(32)", test)
    assert "select" not in text


def test_what_taps_share_is_not_kept_where_sums_fill_the_registers() -> None:
    """Reads that three unrolled steps share would take the place of sums."""
    target = Target.host()
    rows, lanes = target.vector_registers // 2 - 2, target.lanes(4)
    x = te.placeholder((rows + 2,), name="x")
    w = te.placeholder((3, 2 * lanes), name="w")
    t = te.reduce_axis((0, 3), "t")
    y = te.compute((rows, 2 * lanes), lambda i, j: te.sum(x[i + t] * w[t, j], axis=t), name="y")
    s = create_schedule(y)
    tile = s.cache_write(y, "register")
    s[y].vectorize(s[y].op.axis[1])
    s[tile].compute_root()
    i, j = s[tile].op.axis
    (step,) = s[tile].op.reduce_axis
    s[tile].reorder(step, i, j)
    for axis in (step, i):
        s[tile].unroll(axis)
    s[tile].vectorize(j)
    code = write_llvm(Program.from_schedule(s, [x, w, y]), target, 1)[0].text
    assert code.count('asm sideeffect "", "~{memory}"') == 2


def phases(count: int, taps: int, is_rolled: bool) -> Program:
    """Every second element of the result takes the even taps, the others the odd ones; computed by sixes."""
    steps = -(-taps // 2)
    x = te.placeholder((-(-count // 6) * 3 + steps, 8), name="x")
    w = te.placeholder((taps,), name="w")
    t = te.reduce_axis((0, steps), "t")

    def element(i: te.IterVar, j: te.IterVar) -> te.Expr:
        tap = 2 * t + i % 2
        return te.sum(x[i // 2 + t, j] * w[tap], axis=t, where=tap < taps)

    y = te.compute((count, 8), element, name="y")
    s = create_schedule(y)
    tile = s.cache_write(y, "register")
    outer, i = s[y].split(s[y].op.axis[0], 6, tail="guard")
    s[y].unroll(i)
    s[y].vectorize(s[y].op.axis[1])
    s[tile].compute_at(s[y], outer)
    i, j = s[tile].op.axis
    (t,) = s[tile].op.reduce_axis
    s[tile].round_up(i)
    s[tile].reorder(t, i, j)
    s[tile].unroll(t, 1 if is_rolled else 0)
    s[tile].loop_partition(t)
    s[tile].unroll(i)
    s[tile].vectorize(j)
    return Program.from_schedule(s, [x, w, y])


@pytest.mark.parametrize("is_rolled", [False, True])
@pytest.mark.parametrize(("count", "taps"), [(12, 5), (13, 3), (20, 4), (7, 1)])
def test_steps_may_depend_on_the_phase(count: int, taps: int, is_rolled: bool) -> None:
    program = phases(count, taps, is_rolled)
    rng = np.random.default_rng(0)
    x, w = (rng.uniform(-1, 1, spec.shape).astype(np.float32) for spec in program.inputs)
    expected = np.stack([
        sum(x[i // 2 + n] * tap for n, tap in enumerate(w[i % 2 :: 2])) + np.zeros(8) for i in range(count)
    ])  # fmt: skip
    for found in results(program, [x, w], with_numba=True).values():
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_known_tests_of_unrolled_steps_are_not_written() -> None:
    text = str(lower_program(phases(12, 5, is_rolled=True)))
    assert "for t in unrolled[1](2)" in text  # the third step, which the odd phase lacks, is peeled
    code = write_llvm(phases(12, 5, is_rolled=True), Target.host(), 1)[0].text
    assert "urem" not in code
    assert code.count("icmp") == 2  # one for each loop
