"""How often stores run, against every iteration walked."""

from __future__ import annotations

from math import prod

import pytest

from tests.compiler.analysis.nests import copy, tiled_matmul
from tests.compiler.analysis.tracing import trace
from tilewright.compiler import te
from tilewright.compiler.analysis.sites import Site, find_sites
from tilewright.compiler.build import lower_for_analysis
from tilewright.compiler.ir.loops import LoopNest
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target


def runs(site: Site) -> float:
    return site.share * prod(loop.trips for loop in site.loops)


def check(nest: LoopNest) -> None:
    counted = trace(nest).runs
    sites = find_sites(nest)
    assert len(sites) == len(counted)
    for site in sites:
        assert runs(site) == pytest.approx(counted[site.store])


@pytest.mark.parametrize(("m", "n", "k"), [(12, 32, 5), (13, 37, 7), (1, 1, 1), (7, 16, 3)])
@pytest.mark.parametrize(("rows", "lanes"), [(3, 16), (4, 5), (8, 32)])
def test_stores_of_uneven_tiles_run_as_often_as_counted(
    m: int, n: int, k: int, rows: int, lanes: int
) -> None:
    check(tiled_matmul(m, n, k, rows, lanes))


def test_a_split_reduction_with_a_tail_runs_as_often_as_counted() -> None:
    check(tiled_matmul(6, 16, 11, 3, 16, block_k=4))


def test_a_copy_with_a_tail_runs_as_often_as_counted() -> None:
    check(copy(5, 21, lanes=8))


def test_conditions_count_where_they_hold() -> None:
    x = te.placeholder((9,), name="X")
    r = te.reduce_axis((0, 3), "r")
    y = te.compute((9,), lambda i: te.sum(x[i], axis=r), name="Y")
    s = create_schedule(y)
    outer, _ = s[y].split(s[y].op.axis[0], 4, tail="guard")
    check(lower_for_analysis(s, [x, y], Target.host()))
    assert outer.extent == 3


def test_many_iterations_are_counted_by_a_sample() -> None:
    nest = tiled_matmul(1000, 1000, 3, 7, 48)
    update = max(find_sites(nest), key=runs)
    assert runs(update) == pytest.approx(3e6, rel=0.02)


def test_stores_that_constants_decide_are_left_out() -> None:
    w, x = te.placeholder((8,), name="W"), te.placeholder((8,), name="X")
    packed = te.compute((8,), lambda i: w[i] * 2.0, name="packed")
    y = te.compute((8,), lambda i: packed[i] + x[i], name="Y")
    nest = lower_for_analysis(create_schedule(y), [w, x, y], Target.host())
    assert len(find_sites(nest)) == 2
    assert [site.store.buffer.name for site in find_sites(nest, ("W",))] == ["Y"]
