"""The end of a row that fills no vector is stored without a mask where masks are slow."""

from __future__ import annotations

import numpy as np
import pytest

from tilewright.compiler import te
from tilewright.compiler.build import compile_program, write_llvm
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te.storage import storage_dtype

IS_X86 = Target.host().triple.startswith("x86_64")
ROWS = 3


def doubled_rows(width: int, dtype: str) -> Program:
    """Each row by vectors, the last of which is not whole."""
    a = te.placeholder((ROWS, width), dtype, name="a")
    b = te.compute((ROWS, width), lambda i, j: a[i, j] + a[i, j], name="b")
    s = create_schedule(b)
    s[b].vectorize(s[b].op.axis[1])
    return Program.from_schedule(s, [a, b])


@pytest.mark.parametrize("cpu", ["native", "haswell", "x86-64"] if IS_X86 else ["native"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int32", "int8"])
@pytest.mark.parametrize("width", [1, 3, 6, 7, 11, 14, 15, 23, 61])
def test_all_elements_are_stored_and_none_behind_them(width: int, dtype: str, cpu: str) -> None:
    program = doubled_rows(width, dtype)
    kernel = load_kernel(compile_program(program, Target.named(cpu)))
    a = np.random.default_rng(0).integers(-50, 50, (ROWS, width)).astype(storage_dtype(dtype))
    around = np.full(ROWS * width + 128, 77, a.dtype)
    out = around[: a.size].reshape(a.shape)
    kernel(a, out=out)
    np.testing.assert_array_equal(out, a + a)
    np.testing.assert_array_equal(around[a.size :], around.dtype.type(77))


@pytest.mark.skipif(not IS_X86, reason="names CPUs of x86")
@pytest.mark.parametrize("cpu", ["haswell", "znver3", "skylake-avx512"])
def test_masks_are_used_where_the_processor_has_registers_for_them(cpu: str) -> None:
    code = write_llvm(doubled_rows(6, "float32"), Target.named(cpu), 1)[0].text
    assert ("masked.store" in code) == (cpu == "skylake-avx512")
