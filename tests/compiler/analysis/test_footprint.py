"""The memory that accesses touch, against every address."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compiler.analysis.tracing import value_of
from tilewright.compiler.analysis.accesses import Access, AddressBook
from tilewright.compiler.analysis.footprint import footprint
from tilewright.compiler.ir.loops import Buffer
from tilewright.compiler.te.expr import Expr, IterVar, Load, Var, const

LINE_ELEMENTS = 16


def read(shape: tuple[int, ...], indices: list[Expr]) -> Access:
    return AddressBook().read(Load(Buffer("X", shape, "float32"), indices))


def touched_lines(access: Access, indices: list[Expr], loops: list[IterVar]) -> int:
    """Distinct cache lines, address by address."""
    lines = set()
    for values in itertools.product(*(range(loop.extent) for loop in loops)):
        at: dict[Var, int] = dict(zip(loops, values, strict=True))
        strides = access.buffer.strides
        place = sum(value_of(i, at) * stride for i, stride in zip(indices, strides, strict=True))
        lines.add(place // LINE_ELEMENTS)
    return len(lines)


def estimated_lines(access: Access, loops: list[IterVar]) -> float:
    return footprint(access, {loop: float(loop.extent) for loop in loops}).lines


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from([1, 2, 3, 16, 20, 32, 64, 100])), min_size=1, max_size=3
    ),
    st.sampled_from([16, 48, 128, 250]),
)
@settings(max_examples=300, deadline=None)
def test_lines_are_about_those_of_all_addresses(terms: list[tuple[int, int]], row: int) -> None:
    loops = [IterVar(f"i{n}", extent) for n, (extent, _) in enumerate(terms)]
    place: Expr = const(0)
    for loop, (_, stride) in zip(loops, terms, strict=True):
        place = place + loop * stride
    outer = IterVar("o", 5)
    indices: list[Expr] = [outer * 1, place]
    access = read((5, 4096 // row * row), indices)
    loops.append(outer)
    exact = touched_lines(access, indices, loops)
    assert 0.45 <= estimated_lines(access, loops) / exact <= 2.2


@pytest.mark.parametrize(
    ("rows", "columns", "row", "lines"),
    [(1, 16, 16, 1), (1, 64, 64, 4), (4, 16, 64, 4), (4, 64, 64, 16), (8, 1, 1024, 8), (3, 32, 128, 6)],
)
def test_lines_of_whole_tiles_are_exact(rows: int, columns: int, row: int, lines: int) -> None:
    i, j = IterVar("i", rows), IterVar("j", columns)
    access = read((64, row), [i, j])
    assert estimated_lines(access, [i, j]) == lines == touched_lines(access, [i, j], [i, j])


def test_windows_that_overlap_are_counted_once() -> None:
    i, k = IterVar("i", 30), IterVar("k", 3)
    indices: list[Expr] = [i + k, const(0)]
    access = read((32, 16), indices)
    assert estimated_lines(access, [i, k]) == touched_lines(access, indices, [i, k]) == 32


@pytest.mark.parametrize("step", [4, 7])
def test_quotients_and_remainders_of_a_fused_loop_cover_what_it_does(step: int) -> None:
    fused = IterVar("f", 28)
    indices: list[Expr] = [fused // step, fused % step * 16]
    access = read((8, 112), indices)
    exact = touched_lines(access, indices, [fused])
    assert estimated_lines(access, [fused]) == pytest.approx(exact, rel=0.1)


def test_loops_that_stand_still_touch_one_line() -> None:
    i = IterVar("i", 100)
    assert footprint(read((100, 16), [i, const(0)]), {}).lines == 1


def test_pages_are_told_apart_where_steps_are_long() -> None:
    i, j = IterVar("i", 50), IterVar("j", 16)
    access = read((50, 1024), [i, j])
    assert footprint(access, {i: 50.0, j: 16.0}).pages == 50
    assert footprint(read((50, 16), [i, j]), {i: 50.0, j: 16.0}).pages < 2
