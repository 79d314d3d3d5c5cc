"""The estimate in cases where it is plain which of two nests is slower."""

from __future__ import annotations

import math

import pytest

from tests.compiler.analysis.nests import TARGET, copy, cost, plain_tiled_matmul, tiled_matmul
from tilewright.compiler import te
from tilewright.compiler.build import lower_for_analysis
from tilewright.compiler.ir.loops import LoopNest
from tilewright.compiler.schedule import create_schedule


@pytest.mark.parametrize("larger", [(96, 128, 64), (48, 256, 64), (48, 128, 128)])
def test_more_work_costs_more(larger: tuple[int, int, int]) -> None:
    assert cost(tiled_matmul(*larger, 6, 64)).cycles > 1.5 * cost(tiled_matmul(48, 128, 64, 6, 64)).cycles


def test_a_tile_that_spills_costs_more_than_one_that_fits() -> None:
    fits, spills = (cost(tiled_matmul(96, 256, 256, rows, 64)) for rows in (6, 12))
    assert max(piece.spilled for piece in fits.pieces) == 0
    assert max(piece.spilled for piece in spills.pieces) > 0
    assert spills.cycles > 1.1 * fits.cycles


@pytest.mark.parametrize("m", [48, 49])
def test_a_tile_that_the_compiler_finds_costs_about_as_much_as_one_of_a_stage(m: int) -> None:
    found, stated = (cost(make(m, 128, 256, 6, 64)) for make in (plain_tiled_matmul, tiled_matmul))
    assert found.cycles == pytest.approx(stated.cycles, rel=0.3)


def test_one_accumulator_waits_for_itself() -> None:
    one, many = (cost(tiled_matmul(64, 64, 256, rows, 16)) for rows in (1, 8))
    main = max(one.pieces, key=lambda piece: piece.cycles)
    assert main.chain > main.ports
    assert one.cycles > 2 * many.cycles


def test_lanes_that_lie_apart_cost_more_than_neighbours() -> None:
    assert cost(copy(256, 256, is_transposed=True)).cycles > 2 * cost(copy(256, 256)).cycles


def test_masked_lanes_cost_as_much_as_whole_vectors() -> None:
    nests = [cost(tiled_matmul(48, 96, 64, 6, lanes)) for lanes in (24, 32)]
    assert nests[0].cycles > 1.2 * nests[1].cycles


def test_a_walk_down_columns_takes_longer_than_one_along_rows() -> None:
    along, down = (cost(matrix_by_vector(is_walked_down)) for is_walked_down in (False, True))
    assert down.cycles > 2 * along.cycles


def matrix_by_vector(is_walked_down: bool) -> LoopNest:
    """The sums of columns of a matrix larger than the second cache, whole rows or whole columns at a time."""
    x = te.placeholder((512, 4096), name="X")
    r = te.reduce_axis((0, 512), "r")
    y = te.compute((4096,), lambda j: te.sum(x[r, j], axis=r), name="Y")
    s = create_schedule(y)
    outer, inner = s[y].split(s[y].op.axis[0], 16)
    r = s[y].op.reduce_axis[0]
    s[y].reorder(*((outer, r, inner) if is_walked_down else (r, outer, inner)))
    s[y].vectorize(inner)
    return lower_for_analysis(s, [x, y], TARGET)


def test_the_end_of_a_tile_overlaps_with_the_next_one() -> None:
    nest = cost(tiled_matmul(512, 512, 64, 6, 64))
    assert len(nest.pieces) == 2
    assert nest.cycles < sum(piece.cycles for piece in nest.pieces)


def test_two_threads_share_parallel_work() -> None:
    nest = tiled_matmul(512, 512, 512, 8, 32, parallel=True)
    assert 1.5 < cost(nest).cycles / cost(nest, threads=2).cycles < 2.5
    serial = tiled_matmul(512, 512, 512, 8, 32)
    assert cost(serial).cycles == cost(serial, threads=2).cycles


def test_what_fits_a_cache_is_not_fetched_again_in_the_next_call() -> None:
    assert sum(sum(piece.misses) for piece in cost(copy(16, 64)).pieces) == 0


def test_a_copy_larger_than_a_cache_brings_each_line_once() -> None:
    rows, columns = 512, 1024  # 2 MiB each
    (piece,) = cost(copy(rows, columns)).pieces
    first, second, third, *_ = piece.misses
    lines = rows * columns * 4 / 64
    assert first == second == pytest.approx(3 * lines, rel=0.05)  # what is written counts twice
    assert third == 0


def test_rows_that_share_cache_sets_do_not_stay() -> None:
    apart, together = (cost(copy_of_columns(row)) for row in (1040, 1024))
    assert sum(p.misses[0] for p in together.pieces) > 4 * sum(p.misses[0] for p in apart.pieces)


def copy_of_columns(row: int) -> LoopNest:
    """A few columns of 64 rows, read over and over; rows of 4 KiB lie in the same sets."""
    x = te.placeholder((64, row), name="X")
    r, i = te.reduce_axis((0, 64), "r"), te.reduce_axis((0, 64), "again")
    y = te.compute((16,), lambda j: te.sum(x[r, j], axis=(i, r)), name="Y")
    s = create_schedule(y)
    tile = s.cache_write(y, "register")
    s[y].vectorize(s[y].op.axis[0])
    s[tile].reorder(*s[tile].op.reduce_axis, *s[tile].op.axis)
    s[tile].vectorize(s[tile].op.axis[0])
    return lower_for_analysis(s, [x, y], TARGET)


def test_a_nest_without_stores_costs_nothing() -> None:
    w = te.placeholder((8,), name="W")
    packed = te.compute((8,), lambda i: w[i] * 2.0, name="packed")
    y = te.compute((8,), lambda i: packed[i], name="Y")
    nest = lower_for_analysis(create_schedule(y), [w, y], TARGET)
    assert math.isfinite(cost(nest, constants=("W",)).log_cycles)
    assert cost(nest, constants=("W",)).cycles <= cost(nest).cycles
