"""Trimmed reductions: loops end where no step can contribute, and what they read is computed no further."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from tests.compiler.running import results
from tilewright.compiler import te
from tilewright.compiler.build import lower_program
from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule

ROWS = 4


def lower_triangle(m: int, n: int, k: int, shift: int, dtype: str = "float32") -> Program:
    """A product with what is below a diagonal of ``2 * a``, which is computed for each tile of rows."""
    a, b = te.placeholder((m, k), dtype, name="A"), te.placeholder((k, n), dtype, name="B")
    r = te.reduce_axis((0, k), "r")
    twice = te.compute((m, k), lambda i, j: a[i, j] + a[i, j], name="twice")
    c = te.compute((m, n), lambda i, j: te.sum(twice[i, r] * b[r, j], axis=r, where=r <= i + shift), name="C")
    s = create_schedule(c)
    tile = s.cache_write(c, "register")
    s[tile].trim()
    i, j = s[c].op.axis
    block, i = s[c].split(i, ROWS, tail="shift_inwards")
    s[c].unroll(i)
    s[c].vectorize(j)
    s[tile].compute_at(s[c], block)
    (i, j), (r,) = s[tile].op.axis, s[tile].op.reduce_axis
    s[tile].reorder(r, i, j)
    s[tile].unroll(i)
    s[tile].vectorize(j)
    s[tile].loop_partition(r)
    s[twice].compute_at(s[c], block)
    _, lanes = s[twice].split(s[twice].op.axis[1], 8)
    s[twice].vectorize(lanes)
    return Program.from_schedule(s, [a, b, c])


def operands(program: Program) -> list[npt.NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    return [rng.integers(-9, 10, spec.shape).astype(spec.dtype) for spec in program.inputs]


@pytest.mark.parametrize("shift", [0, 5, -3, -40, 40])
@pytest.mark.parametrize(("m", "n", "k"), [(13, 9, 21), (4, 16, 32), (30, 5, 8), (1, 1, 1)])
def test_the_result_is_that_of_the_whole_loops(m: int, n: int, k: int, shift: int) -> None:
    program = lower_triangle(m, n, k, shift)
    a, b = operands(program)
    for found in results(program, [a, b], with_numba=True).values():
        np.testing.assert_array_equal(found, np.tril(a, shift) * 2 @ b)


def test_steps_that_no_row_takes_are_not_run() -> None:
    """What is never read may be anything."""
    program = lower_triangle(16, 8, 16, 0)
    a, b = operands(program)
    expected = np.tril(a) * 2 @ b
    a[np.triu_indices(16, 1)] = np.nan
    for found in results(program, [a, b], with_numba=True).values():
        np.testing.assert_array_equal(found, expected)


def test_the_loops_end_with_the_tile_and_test_its_last_steps_only() -> None:
    text = str(lower_program(lower_triangle(16, 8, 16, 0)))
    assert "for r in range(i.outer*4 + 1)" in text
    rest = text.index("for r in range(i.outer*4 + 1, i.outer*4 + 4)")
    assert text.index("if r <= i.outer*4 + i.c") > rest
    assert "for j.outer in range(i.outer//2 + 1)" in text  # of twice, by whole vectors


def test_what_is_no_float_is_computed_whole() -> None:
    """An integer that is not needed could be an index, or divide."""
    text = str(lower_program(lower_triangle(16, 8, 16, 0, "int32")))
    assert "for j.outer in range(2)" in text


def test_what_is_part_of_an_index_is_computed_whole() -> None:
    x, places = te.placeholder((16,), name="x"), te.placeholder((16,), name="places")
    near = te.compute((16,), lambda j: te.floor(places[j]), name="near")
    r = te.reduce_axis((0, 16), "r")
    y = te.compute((16,), lambda i: te.sum(x[near[r].astype("int32") % 16], axis=r, where=r <= i), name="y")
    s = create_schedule(y)
    s[y].trim()
    s[near].compute_at(s[y], s[y].op.axis[0])
    program = Program.from_schedule(s, [x, places, y])
    values = np.arange(16, dtype=np.float32)
    for found in results(program, [values, values]).values():
        np.testing.assert_array_equal(found, np.cumsum(values))
    assert "for j in range(16)" in str(lower_program(program))


def test_a_fold_passes_over_steps_too() -> None:
    x = te.placeholder((5, 20), name="x")
    r = te.reduce_axis((0, 20), "r")
    fold = lambda i: te.fold(r, (0.0,), lambda t: (t + x[i, r],), lambda t: t, where=r > 3 * i)  # noqa: E731
    y = te.compute((5,), fold, name="y")
    s = create_schedule(y)
    s[y].trim()
    program = Program.from_schedule(s, [x, y])
    assert "for r in range(i*3 + 1, 20)" in str(lower_program(program))
    values = np.arange(100, dtype=np.float32).reshape(5, 20)
    values[:, 0] = np.nan
    for found in results(program, [values], with_numba=True).values():
        np.testing.assert_array_equal(found, [row[3 * i + 1 :].sum() for i, row in enumerate(values)])


def test_only_a_reduction_is_trimmed() -> None:
    x = te.placeholder((4,), name="x")
    y = te.compute((4,), lambda i: x[i] + 1.0, name="y")
    with pytest.raises(ScheduleError, match="trim: y is no reduction"):
        create_schedule(y)[y].trim()


BLOCK = 3


def by_blocks(m: int) -> Program:
    """``twice`` is read up to the diagonal by a trimmed maximum, and by sums in a trimmed loop of blocks."""
    a = te.placeholder((m + 1, m), "float32", name="A")
    twice = te.compute((m + 1, m), lambda j, i: a[j, i] + a[j, i], name="twice")
    r, u, c = (te.reduce_axis((0, size), name) for size, name in ((m, "r"), (BLOCK, "u"), (m // BLOCK, "c")))
    most = te.compute((m,), lambda i: te.max(twice[r, i], axis=r, where=r <= i), name="most")
    sums = te.compute(
        (m // BLOCK, m),
        lambda c, i: te.sum(twice[c * BLOCK + u, i] * twice[c * BLOCK + u + 1, i], axis=u),
        name="sums",
    )
    total = te.compute((m,), lambda i: te.sum(sums[c, i], axis=c, where=c * BLOCK <= i), name="total")
    y = te.compute((m,), lambda i: most[i] + total[i], name="Y")
    s = create_schedule(y)
    tile, _ = s[y].split(y.op.axis[0], ROWS)
    for stage in (most, total):
        s[stage].trim()
        s[stage].compute_at(s[y], tile)
    (i,), (c,) = s[total].op.axis, s[total].op.reduce_axis
    s[total].reorder(c, i)
    s[sums].compute_at(s[total], c)
    s[twice].compute_at(s[y], tile)
    return Program.from_schedule(s, [a, y])


def test_what_blocks_read_in_a_trimmed_loop_is_computed_up_to_its_end() -> None:
    assert f"for j in range(min(25, i.outer*{ROWS} + {ROWS - 1 + BLOCK + 1}))" in str(
        lower_program(by_blocks(24))
    )


@pytest.mark.parametrize("m", [24, 9, 3])
def test_blocks_in_a_trimmed_loop_see_what_they_read(m: int) -> None:
    """With elements that no block reads left out, whatever they are."""
    program = by_blocks(m)
    (a,) = operands(program)
    twice = 2 * a
    places = np.arange(m)
    products = (twice[:-1] * twice[1:]).reshape(-1, BLOCK, m).sum(axis=1)
    counted = np.where((BLOCK * np.arange(m // BLOCK))[:, None] <= places, products, 0).sum(axis=0)
    expected = np.where(places[:, None] <= places, twice[:-1], -np.inf).max(axis=0) + counted
    for found in results(program, [a], with_numba=True).values():
        np.testing.assert_array_equal(found, expected)
