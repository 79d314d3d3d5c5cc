"""Lanes that lie apart in memory are read and written with shuffles, as gathers and scatters would."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tilewright.compiler import te
from tilewright.compiler.build import LINE_LIMIT_MOST, compile_program, write_llvm
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te.storage import storage_dtype

CPUS = ("native", "haswell", "x86-64") if Target.host().triple.startswith("x86_64") else ("native",)
DTYPES = ("float32", "float64", "int32", "int64")


def run(program: Program, cpu: str, *inputs: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], str]:
    """The result on a CPU that this one can stand for, and the code."""
    target = Target.named(cpu)
    kernel = load_kernel(compile_program(program, target, line_limit=LINE_LIMIT_MOST))
    return kernel(*inputs), write_llvm(program, target, 1)[0].text


def numbers(shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    return np.random.default_rng(0).integers(-99, 99, shape).astype(dtype)


def transposed_tile(shape: tuple[int, ...], height: int, width: int, dtype: str) -> Program:
    """Tiles computed with columns in the lanes, stored with rows in them."""
    rows, columns = shape
    a = te.placeholder((rows, columns), dtype, name="a")
    doubled = te.compute((rows, columns), lambda i, j: a[i, j] + a[i, j], name="doubled")
    b = te.compute((columns, rows), lambda j, i: doubled[i, j], name="b")
    s = create_schedule(b)
    held = s.cache_write(doubled, "register")
    s[doubled].compute_inline()
    j, i = s[b].op.axis
    jo, j = s[b].split(j, width)
    io, i = s[b].split(i, height)
    s[b].reorder(jo, io, j, i)
    s[b].unroll(j)
    s[b].vectorize(i)
    tile = s[held]
    tile.compute_at(s[b], io)
    tile.unroll(tile.op.axis[0])
    tile.vectorize(tile.op.axis[1])
    return Program.from_schedule(s, [a, b])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (14, 32), (6, 8), (3, 5), (2, 16)])
def test_a_tile_is_turned_around_in_registers(cpu: str, dtype: str, height: int, width: int) -> None:
    a = numbers((2 * height + 1, 2 * width + 3), dtype)
    found, _ = run(transposed_tile(a.shape, height, width, dtype), cpu, a)
    np.testing.assert_array_equal(found, 2 * a.T)


@pytest.mark.parametrize("cpu", CPUS)
def test_a_turned_tile_needs_no_gather_and_no_memory(cpu: str) -> None:
    a = numbers((28, 32), "float32")
    _, code = run(transposed_tile((28, 32), 14, 16, "float32"), cpu, a)
    assert "gather" not in code
    assert "shufflevector" in code


def test_guarded_stores_share_a_turned_tile() -> None:
    a = te.placeholder((16, 40), name="a")
    doubled = te.compute((16, 40), lambda i, j: a[i, j] + a[i, j], name="doubled")
    b = te.compute((40, 16), lambda j, i: doubled[i, j], name="b")
    s = create_schedule(b)
    held = s.cache_write(doubled, "register")
    s[doubled].compute_inline()
    j, i = s[b].op.axis
    jo, j = s[b].split(j, 16, tail="guard")
    s[b].unroll(j)
    s[b].vectorize(i)
    s[held].compute_at(s[b], jo)
    s[held].unroll(s[held].op.axis[0])
    s[held].vectorize(s[held].op.axis[1])
    x = numbers((16, 40), "float32")
    found, code = run(Program.from_schedule(s, [a, b]), "native", x)
    np.testing.assert_array_equal(found, 2 * x.T)
    lanes = Target.host().lanes(4)
    blocks = (16 // lanes) ** 2
    assert code.count("shufflevector") <= 2 * blocks * lanes * (lanes.bit_length() - 1)


def turned_copy(rows: int, columns: int, steps: int, dtype: str = "float32") -> Program:
    """A transposed copy, rows in the lanes, a few columns written out."""
    a = te.placeholder((rows, columns), dtype, name="a")
    b = te.compute((columns, rows), lambda j, i: a[i, j], name="b")
    s = create_schedule(b)
    j, i = s[b].op.axis
    jo, j = s[b].split(j, steps)
    io, i = s[b].split(i, 32)
    s[b].reorder(io, jo, j, i)
    s[b].unroll(j)
    s[b].vectorize(i)
    return Program.from_schedule(s, [a, b])


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize(("rows", "columns", "steps"), [(64, 32, 16), (61, 29, 16), (33, 12, 12), (7, 40, 8)])
def test_an_argument_is_turned_around_in_blocks(cpu: str, rows: int, columns: int, steps: int) -> None:
    a = numbers((rows, columns), "float32")
    found, code = run(turned_copy(rows, columns, steps), cpu, a)
    np.testing.assert_array_equal(found, a.T)
    assert "gather" not in code


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", ["uint8", "float16"])
@pytest.mark.parametrize("rows", [64, 61])
def test_small_elements_are_turned_around_in_whole_blocks(cpu: str, dtype: str, rows: int) -> None:
    a = numbers((rows, 64), dtype)
    found, code = run(turned_copy(rows, 64, 32, dtype), cpu, a)
    np.testing.assert_array_equal(found, a.T)
    assert ("gather" in code) == (rows == 61)


def reversed_copy(count: int, step: int, dtype: str) -> Program:
    """Every step-th element, the last one first."""
    a = te.placeholder((step * (count - 1) + 1,), dtype, name="a")
    b = te.compute((count,), lambda i: a[(count - 1 - i) * step], name="b")
    s = create_schedule(b)
    _, i = s[b].split(b.op.axis[0], 16)
    s[b].vectorize(i)
    return Program.from_schedule(s, [a, b])


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bfloat16"])
@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("count", [64, 61, 3, 1])
@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_lanes_that_go_down(cpu: str, dtype: str, count: int, step: int) -> None:
    a = numbers((step * (count - 1) + 1,), "int32").astype(storage_dtype(dtype))
    found, code = run(reversed_copy(count, step, dtype), cpu, a)
    np.testing.assert_array_equal(found, a[::-step])
    has_tail = count % 16 > 0 and storage_dtype(dtype).itemsize < 4
    assert ("gather" in code) == (count > 1 and (step > 4 or has_tail))


def spaced_sum(count: int, step: int, dtype: str) -> Program:
    """The sum of three neighbours at every step-th place, as pooling reads them."""
    a = te.placeholder((step * (count - 1) + 3,), dtype, name="a")
    b = te.compute((count,), lambda i: a[i * step] + a[i * step + 1] + a[i * step + 2], name="b")
    s = create_schedule(b)
    (i,) = s[b].op.axis
    _, i = s[b].split(i, 16)
    s[b].vectorize(i)
    return Program.from_schedule(s, [a, b])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("count", [64, 61, 3, 1])
@pytest.mark.parametrize("step", [2, 3, 4, 5])
def test_lanes_a_few_elements_apart(cpu: str, dtype: str, count: int, step: int) -> None:
    a = numbers((step * (count - 1) + 3,), dtype)
    found, code = run(spaced_sum(count, step, dtype), cpu, a)
    last = len(a) - 3
    np.testing.assert_array_equal(found, sum(a[n : last + n + 1 : step] for n in range(3)))
    assert ("gather" in code) == (step > 4 and count > 1)


def interleaved(count: int, step: int, dtype: str) -> Program:
    """Rows merged element by element, each written by lanes that lie apart."""
    a = te.placeholder((step, count), dtype, name="a")
    b = te.compute((count * step,), lambda i: a[i % step, i // step] * 2, name="b")
    s = create_schedule(b)
    group, row = s[b].split(s[b].op.axis[0], step)
    outer, group = s[b].split(group, 16)
    s[b].reorder(outer, row, group)
    s[b].unroll(row)
    s[b].vectorize(group)
    return Program.from_schedule(s, [a, b])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("count", [64, 61, 3, 1])
@pytest.mark.parametrize("step", [2, 3, 4, 5])
def test_lanes_are_written_a_few_elements_apart(cpu: str, dtype: str, count: int, step: int) -> None:
    a = numbers((step, count), dtype)
    found, code = run(interleaved(count, step, dtype), cpu, a)
    np.testing.assert_array_equal(found, 2 * a.T.reshape(-1))
    assert ("scatter" in code) == (step > 4 and count > 1)


def test_nothing_is_read_past_the_end() -> None:
    """The last read ends at the last element: the page after it may not be there."""
    size = mmap.PAGESIZE
    block = mmap.mmap(-1, 2 * size)
    count = 61
    needed = 2 * (count - 1) + 3
    a = np.frombuffer(block, np.float32, needed, offset=size - 4 * needed)
    a[:] = numbers((needed,), "float32")
    libc = ctypes.CDLL(None, use_errno=True)
    address = ctypes.addressof(ctypes.c_char.from_buffer(block))
    assert libc.mprotect(ctypes.c_void_p(address + size), size, 0) == 0
    try:
        found, _ = run(spaced_sum(count, 2, "float32"), "native", a)
    finally:
        libc.mprotect(ctypes.c_void_p(address + size), size, 3)
    np.testing.assert_array_equal(found, sum(a[n : n + 2 * count - 1 : 2] for n in range(3)))


def triangle(extent: int, reach: int) -> Program:
    """``y[i]``: the sum of the first ``i + 1`` numbers, ``reach`` further on each; the lanes are ``i``."""
    a, b = te.placeholder((extent,), name="a"), te.placeholder((extent,), name="b")
    k = te.reduce_axis((0, extent), "k")

    def term(i: te.IterVar) -> te.Expr:
        is_there = te.all(k <= i, k + reach < extent) if reach else k <= i
        return te.sum(te.if_then_else(is_there, a[i] * b[k + reach], 0.0), axis=k)

    y = te.compute((extent,), term, name="y")
    s = create_schedule(y)
    i, k = *y.op.axis, *y.op.reduce_axis
    s[y].reorder(k, i)
    s[y].vectorize(i)
    return Program.from_schedule(s, [a, b, y])


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("reach", [0, 3])
def test_one_number_for_some_of_the_lanes_is_gathered_only_where_it_may_not_be_there(
    cpu: str, reach: int
) -> None:
    extent = 11
    a, b = np.arange(1.0, extent + 1, dtype=np.float32), np.full(extent, 2.0, np.float32)
    b[-1] = np.inf  # seen by the last lanes alone
    found, code = run(triangle(extent, reach), cpu, a, b)
    moved = np.concatenate([b[reach:], np.zeros(reach)])
    np.testing.assert_allclose(found, a * np.cumsum(moved))
    assert ("masked.gather" in code) == (reach > 0)
