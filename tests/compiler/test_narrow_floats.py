"""Numbers of 16 bits: every one of them, in and out of memory, on every CPU whose code runs here."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tilewright.compiler import te
from tilewright.compiler.build import compile_program
from tilewright.compiler.kernel import Kernel, load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te.storage import storage_dtype

Array = npt.NDArray[Any]
COUNT = 1 << 16
NARROW = ("float16", "bfloat16")
IS_X86 = Target.host().architecture == "x86_64"
CPUS = ("native", "haswell", "x86-64") if IS_X86 else ("native",)


def cast_kernel(
    source: str, target: str, cpu: str, backend: str = "llvm", is_vectorized: bool = True
) -> Kernel:
    """A kernel that converts COUNT numbers."""
    a = te.placeholder((COUNT,), source, name="A")
    b = te.compute((COUNT,), lambda i: te.cast(target, a[i]), name="B")
    s = create_schedule(b)
    if is_vectorized:
        _, inner = s[b].split(b.op.axis[0], 64)
        s[b].vectorize(inner)
    program = Program.from_schedule(s, [a, b])
    return load_kernel(compile_program(program, Target.named(cpu), backend=backend))


def all_numbers(dtype: str) -> Array:
    return np.arange(COUNT, dtype=np.uint16).view(storage_dtype(dtype))


def assert_same_numbers(found: Array, expected: Array) -> None:
    """The same bits, where a NaN may be any NaN."""
    with np.errstate(invalid="ignore"):  # of NaNs that signal
        is_nan = np.isnan(expected.astype(np.float64))
        np.testing.assert_array_equal(np.isnan(found.astype(np.float64)), is_nan)
    kind = {2: np.uint16, 4: np.uint32}[expected.dtype.itemsize]
    np.testing.assert_array_equal(found.view(kind)[~is_nan], expected.view(kind)[~is_nan])


def flushes_denormals(dtype: str, cpu: str) -> bool:
    """Whether the conversion to a type makes zero of denormal numbers."""
    return dtype == "bfloat16" and Target.named(cpu).has("avx512bf16")


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("is_vectorized", [False, True])
@pytest.mark.parametrize("dtype", NARROW)
def test_every_number_is_widened_exactly(dtype: str, is_vectorized: bool, cpu: str) -> None:
    numbers = all_numbers(dtype)
    found = cast_kernel(dtype, "float32", cpu, is_vectorized=is_vectorized)(numbers)
    assert_same_numbers(found, numbers.astype(np.float32))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("is_vectorized", [False, True])
@pytest.mark.parametrize("dtype", NARROW)
def test_every_number_comes_back(dtype: str, is_vectorized: bool, cpu: str) -> None:
    numbers = all_numbers(dtype)
    if flushes_denormals(dtype, cpu):
        numbers[is_denormal(numbers.astype(np.float32))] *= 0  # the sign stays
    found = cast_kernel("float32", dtype, cpu, is_vectorized=is_vectorized)(numbers.astype(np.float32))
    assert_same_numbers(found, numbers)


def is_denormal(values: Array) -> Array:
    """Whether float32 numbers are too small to be normal."""
    return np.asarray((values != 0) & (np.abs(values) < np.finfo(np.float32).smallest_normal))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", NARROW)
def test_numbers_are_rounded_to_the_nearest_halves_to_even(dtype: str, cpu: str) -> None:
    rng = np.random.default_rng(0)
    with np.errstate(invalid="ignore", over="ignore"):
        numbers = all_numbers(dtype).astype(np.float32)
        halfway = (numbers.astype(np.float64) + np.roll(numbers, -1).astype(np.float64)) / 2
        cases = [
            halfway.astype(np.float32),
            rng.integers(0, 1 << 32, COUNT, dtype=np.uint32).view(np.float32),
        ]
        for values in cases:
            values[is_denormal(values)] = 0
            found = cast_kernel("float32", dtype, cpu)(values)
            assert_same_numbers(found, values.astype(storage_dtype(dtype)))


@pytest.mark.parametrize("dtype", NARROW)
def test_the_interpreter_rounds_alike(dtype: str) -> None:
    values = np.random.default_rng(0).standard_normal(COUNT).astype(np.float32)
    found = cast_kernel("float32", dtype, "native")(values)
    assert_same_numbers(found, cast_kernel("float32", dtype, "native", backend="interpreter")(values))
