"""Software prefetches: what they bring near, and that they change nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.compiler.computes import Compute, convolution, matmul, stencil
from tests.compiler.running import results
from tilewright.compiler import te
from tilewright.compiler.build import compile_program, write_llvm
from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.lower import lower_schedule
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target


def lines(s: Schedule, c: Compute) -> list[str]:
    """The lines of the nest that prefetch, and the loops around just them."""
    found = str(lower_schedule(s, c.args)).splitlines()
    return [line.strip() for line in found if "prefetch(" in line or ".line" in line]


def check(s: Schedule, c: Compute) -> None:
    arrays = [np.random.default_rng(4).uniform(-1, 1, t.shape).astype(np.float32) for t in c.inputs]
    for name, result in results(Program.from_schedule(s, c.args), arrays, with_numba=True).items():
        np.testing.assert_allclose(result, c.reference(*arrays), rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_row_is_prefetched_line_by_line() -> None:
    c = matmul(9, 7, 40)
    s = create_schedule(c.output)
    s[c.output].prefetch(c.inputs[0], c.output.op.axis[0], 2)
    assert lines(s, c) == ["for A.line0 in unrolled(3):", "prefetch(A[i + 2, A.line0*16])"]
    check(s, c)


def test_a_column_takes_a_line_for_each_row() -> None:
    c = matmul(9, 70, 20)
    s = create_schedule(c.output)
    s[c.output].prefetch(c.inputs[1], c.output.op.axis[1], 1)
    assert lines(s, c) == ["for B.line0 in unrolled[1](20):", "prefetch(B[B.line0, j + 1])"]
    check(s, c)


def test_narrow_rows_share_lines() -> None:
    c = matmul(64, 5, 4)
    s = create_schedule(c.output)
    outer, _ = s[c.output].split(c.output.op.axis[0], factor=16)
    s[c.output].prefetch(c.inputs[0], outer, 1)
    # Sixteen rows of sixteen bytes are four lines, not sixteen.
    assert lines(s, c) == ["for A.line0 in unrolled(4):", "prefetch(A[i.outer*16 + 16, A.line0*16])"]
    check(s, c)


def test_neighbouring_reads_are_one_region() -> None:
    c = convolution(2, 6, 30, 3)
    s = create_schedule(c.output)
    padded, conv, _ = c.stages
    s[conv].prefetch(padded, conv.op.axis[1], 1)
    assert lines(s, c) == [
        "for padded.line0 in unrolled(2):",
        "for padded.line1 in unrolled(6):",
        "prefetch(padded[padded.line0, y + 1, padded.line1*16])",
    ]
    check(s, c)


def test_reads_that_lie_apart_are_regions_of_their_own() -> None:
    x = te.placeholder((40, 40), name="X")
    out = te.compute((40, 40), lambda i, j: x[i, j] + x[j, i], name="out")
    c = Compute("sum", [x], [out], out, lambda v: v + v.T)
    s = create_schedule(out)
    s[out].prefetch(x, out.op.axis[0], 1)
    assert [line for line in lines(s, c) if "prefetch" in line] == [
        "prefetch(X[i + 1, X.line0*16])",
        "prefetch(X[X.line0, i + 1])",
    ]
    check(s, c)


def test_a_packed_copy_is_prefetched_as_it_is_stored() -> None:
    c = matmul(9, 64, 32)
    s = create_schedule(c.output)
    stage = s[c.output]
    jo, ji = stage.split(c.output.op.axis[1], factor=16)
    (k,) = c.output.op.reduce_axis
    stage.reorder(jo, c.output.op.axis[0], k, ji)
    stage.vectorize(ji)
    packed = s.pack(c.inputs[1], c.output, {1: 16})
    stage.prefetch(packed, k, 4)
    assert lines(s, c) == ["prefetch(B.pack[j.outer, k + 4, 0])"]
    check(s, c)


def in_panels(rows: int, level: int, over: str) -> tuple[Schedule, Compute]:
    """A product whose tiles of rows go over a panel of B, and fetch the next one into a cache."""
    c = matmul(rows, 64, 32)
    s = create_schedule(c.output)
    stage, (i, j), (k,) = s[c.output], c.output.op.axis, c.output.op.reduce_axis
    jo, ji = stage.split(j, factor=16)
    io, ii = stage.split(i, factor=4)
    stage.reorder(jo, io, k, ii, ji)
    stage.unroll(ii)
    stage.vectorize(ji)
    packed = s.pack(c.inputs[1], c.output, {1: 16})
    stage.prefetch(packed, k, 32, level, over={"tiles": io, "panels": jo, "inside": ii}[over])
    return s, c


def test_tiles_fetch_a_share_of_the_next_panel_each() -> None:
    s, c = in_panels(32, 2, "tiles")
    assert lines(s, c) == ["prefetch(B.pack[j.outer, 32, i.outer*64 + k*2], level=2)"]
    program = Program.from_schedule(s, c.args)
    text = write_llvm(Program.from_json(program.to_json()), Target.host(), 1)[0].text
    assert re.findall(r"@llvm\.prefetch\.p0\(ptr %\w+, (.*)\)", text) == ["i32 0, i32 2, i32 1"]
    check(s, c)


@pytest.mark.parametrize("rows", [4, 8, 12, 20, 40])
def test_the_shares_of_all_tiles_are_the_whole_panel(rows: int) -> None:
    """No more, too: what comes before its time takes the place of what is used now."""
    s, c = in_panels(rows, 1, "tiles")
    tiles, steps, width = rows // 4, 32, 16
    (line,) = lines(s, c)
    where = re.sub(r"i\.outer", "tile", line.split(", ")[2].partition("]")[0])
    places = {eval(where, {"tile": tile, "k": k}) // width for tile in range(tiles) for k in range(steps)}
    assert places == set(range(steps))
    check(s, c)


def test_where_a_stage_is_stored_is_prefetched() -> None:
    c = matmul(9, 7, 40)
    s = create_schedule(c.output)
    s[c.output].prefetch(c.output, c.output.op.axis[0], 0, level=2)
    assert lines(s, c) == ["prefetch(C[i, 0], level=2)"]
    check(s, c)


@pytest.mark.parametrize(
    ("level", "over", "message"),
    [
        (4, "tiles", "level=4 is no cache; choose one of 1, 2, 3"),
        (1, "inside", "over=i.inner is no loop around"),
    ],
)
def test_a_cache_or_a_loop_that_is_not_there_is_refused(level: int, over: str, message: str) -> None:
    def schedule() -> None:
        s, c = in_panels(8, level, over)
        lower_schedule(s, c.args)

    with pytest.raises(ScheduleError, match=message):
        schedule()


def test_a_stage_with_clamped_indices_is_prefetched() -> None:
    c = stencil(12, 40)
    s = create_schedule(c.output)
    s[c.output].prefetch(c.stages[0], c.output.op.axis[0], 3)
    s[c.output].vectorize(c.output.op.axis[1])
    assert lines(s, c)
    check(s, c)


def far_prefetch() -> tuple[Schedule, Compute]:
    c = matmul(16, 64, 32)
    s = create_schedule(c.output)
    s[c.output].prefetch(c.inputs[0], c.output.op.axis[0], 1 << 40)
    return s, c


@pytest.mark.skipif(not Target.host().triple.startswith("x86_64"), reason="reads x86 assembly")
def test_the_processor_is_told_once_for_each_line() -> None:
    c = matmul(16, 64, 32)
    s = create_schedule(c.output)
    s[c.output].prefetch(c.inputs[0], c.output.op.axis[0], 1)
    kernel = load_kernel(compile_program(Program.from_schedule(s, c.args), Target.host()))
    assert len(re.findall(r"prefetcht0", kernel.source("asm"))) == 2
    x, y = (np.random.default_rng(0).uniform(-1, 1, t.shape).astype(np.float32) for t in c.inputs)
    np.testing.assert_allclose(kernel(x, y), x @ y, rtol=1e-5, atol=1e-5)


def test_an_address_far_outside_neither_traps_nor_is_undefined() -> None:
    s, c = far_prefetch()
    module, _ = write_llvm(Program.from_schedule(s, c.args), Target.host(), 1)
    addresses = set(re.findall(r"@llvm\.prefetch\.p0\(ptr (%\w+)", module.text)) - {"ptr"}
    body = module.text.split("define internal void @run_part")[1].split("\n}")[0]
    assert addresses
    for name in addresses:
        (line,) = re.findall(rf"^  {name} = (.*)$", body, re.MULTILINE)
        assert "inbounds" not in line
    check(s, c)


def test_threads_prefetch_for_themselves() -> None:
    c = matmul(16, 64, 32)
    s = create_schedule(c.output)
    s[c.output].parallel(c.output.op.axis[0])
    s[c.output].prefetch(c.inputs[1], c.output.op.axis[1], 1)
    check(s, c)


@pytest.mark.parametrize(
    ("primitive", "message"),
    [
        (lambda s, c: s[c].prefetch(c.op.inputs[0], c.op.axis[0], -1), "the offset must be at least 0"),
        (lambda s, c: s[c].prefetch(c.op.inputs[0], c.op.axis[0], 1.5), "prefetch: 1.5 is not an integer"),
        (
            lambda s, c: (
                s[c].vectorize(c.op.axis[1]),
                s[c].prefetch(c.op.inputs[0], c.op.axis[1], 1),
            ),
            r"prefetch\(A, j\): the loop is vectorized; choose a loop around it",
        ),
        (lambda s, c: s[c].prefetch(te.placeholder((3,), name="Z"), c.op.axis[0], 1), "Z is not part of"),
    ],
)
def test_what_cannot_be_prefetched_is_named(primitive: Callable[..., Any], message: str) -> None:
    c = matmul(4, 5, 6)
    with pytest.raises(ScheduleError, match=message):
        primitive(create_schedule(c.output), c.output)


def test_a_tensor_that_is_not_read_is_named() -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    s[c.output].prefetch(c.inputs[0], c.output.op.axis[0], 1)
    s.cache_read(c.inputs[0], "call", [c.output])
    with pytest.raises(ScheduleError, match=r"prefetch\(A, i\): C does not read A; it reads A.call, B"):
        lower_schedule(s, c.args)


def test_a_tensor_that_is_computed_inside_the_loop_is_named() -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    copy = s.cache_read(c.inputs[0], "call", [c.output])
    s[copy].compute_at(s[c.output], c.output.op.axis[0])
    s[c.output].prefetch(copy, c.output.op.axis[0], 1)
    with pytest.raises(ScheduleError, match=r"prefetch\(A.call, i\): A.call is computed inside that loop"):
        lower_schedule(s, c.args)


def test_a_tensor_in_registers_is_named() -> None:
    c = matmul(4, 5, 6)
    s = create_schedule(c.output)
    tile = s.cache_write(c.output, "register")
    s[tile].prefetch(tile, tile.op.axis[1], 1)
    s[tile].compute_at(s[c.output], c.output.op.axis[0])
    with pytest.raises(ScheduleError, match=r"prefetch\(C.register, j.c\): C.register is kept in registers"):
        lower_schedule(s, c.args)


def test_an_index_from_a_tensor_cannot_be_known_ahead() -> None:
    index, x = te.placeholder((5,), "int32", name="index"), te.placeholder((9,), name="x")
    out = te.compute((5,), lambda i: x[index[i]], name="out")
    s = create_schedule(out)
    s[out].prefetch(x, out.op.axis[0], 1)
    with pytest.raises(
        ScheduleError, match=r"prefetch\(x, i\): it is read at an index that its loops do not"
    ):
        lower_schedule(s, [index, x, out])
