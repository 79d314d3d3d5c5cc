"""Loops are cut where conditions on what is read begin and cease to hold."""

from __future__ import annotations

import numpy as np
import pytest

from tests.compiler.running import results
from tilewright.compiler import te
from tilewright.compiler.build import lower_program
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule


def windows(extent: int, taps: int, before: int, factor: int, tail: str = "") -> Program:
    """Sums over windows that reach over both ends, in vectors or unrolled pieces of ``factor``."""
    a = te.placeholder((extent, 8), name="a")
    t = te.reduce_axis((0, taps), "t")

    def element(i: te.IterVar, j: te.IterVar) -> te.Expr:
        place = i + t - before
        inside = te.all(place >= 0, place < extent)
        return te.sum(te.if_then_else(inside, a[place, j], te.const(0, "float32")), axis=t)

    count = extent + 2 * before - taps + 1
    y = te.compute((count, 8), element, name="y")
    s = create_schedule(y)
    sums = s.cache_write(y, "register")
    i, j = s[y].op.axis
    outer, inner = s[y].split(i, factor, tail=tail)
    s[y].unroll(inner)
    s[y].vectorize(j)
    s[y].loop_partition(outer)
    s[sums].compute_at(s[y], outer)
    i, j = s[sums].op.axis
    s[sums].reorder(*s[sums].op.reduce_axis, i, j)
    s[sums].unroll(i)
    s[sums].vectorize(j)
    return Program.from_schedule(s, [a, y])


@pytest.mark.parametrize("tail", ["", "shift_inwards", "guard"])
@pytest.mark.parametrize(("extent", "taps", "before", "factor"), [
    (14, 3, 1, 2), (15, 3, 1, 4), (5, 3, 2, 1), (3, 5, 2, 3), (20, 1, 0, 4), (9, 4, 3, 2),
])  # fmt: skip
def test_the_result_is_that_of_padding(extent: int, taps: int, before: int, factor: int, tail: str) -> None:
    a = np.random.default_rng(0).uniform(-1, 1, (extent, 8)).astype(np.float32)
    padded = np.pad(a, ((before, before), (0, 0)))
    count = len(padded) - taps + 1
    expected = sum(padded[t : t + count] for t in range(taps))
    program = windows(extent, taps, before, factor, tail)
    for found in results(program, [a], with_numba=True).values():
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_nothing_is_tested_between_the_ends() -> None:
    parts = str(lower_program(windows(16, 3, 1, 2))).split("for i.outer in range(")
    assert len(parts) == 2
    assert parts[1].startswith("1, 7)")
    middle = parts[1].split("alloc(")[1]
    assert "if" not in middle
    assert "if" in parts[0]
    assert "if" in parts[1].split("alloc(")[2]


def test_a_loop_without_the_mark_is_left_whole() -> None:
    a = te.placeholder((9,), name="a")
    y = te.compute((9,), lambda i: te.if_then_else(i >= 1, a[i - 1], te.const(0, "float32")), name="y")
    program = Program.from_schedule(create_schedule(y), [a, y])
    assert str(lower_program(program)).count("for i in range(9)") == 1


def test_a_short_loop_of_edges_is_peeled_whole() -> None:
    text = str(lower_program(windows(4, 3, 1, 2)))
    assert "for i.outer" not in text
    assert text.count("alloc(") == 2
