"""Row 14: inputs that nobody wrote would all be one page of zeros, in the caches; ours are written."""

import mmap
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.measure.test_verify import DTYPES, Spec
from tilewright.deploy import build
from tilewright.measure.buffers import allocate, poison
from tilewright.measure.inputs import make_inputs

LARGEST_DIFFERENCE = 0.10
ROUNDS = 100
PAGES = 64
WORKLOADS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("matmul", {"m": 256, "n": 256, "k": 256}),
    ("softmax", {"shape": (256, 1024)}),
    ("reduce_sum", {"shape": (1024, 4096), "axis": 1}),
)


def resident_bytes() -> int:
    """The memory of this process that lies in pages of its own."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_Dirty"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_row_14_every_page_of_an_input_is_written(dtype: str) -> None:
    (values,) = make_inputs([Spec("a", (PAGES * mmap.PAGESIZE,), dtype)])
    pages = values.view(np.uint8).reshape(-1, mmap.PAGESIZE)
    assert pages.any(axis=1).all()


def test_row_14_outputs_have_memory_before_a_kernel_runs() -> None:
    size = 32 << 20
    before = resident_bytes()
    buffer = allocate((size // 4,), np.dtype(np.float32))
    poison(buffer.array)
    assert resident_bytes() - before >= size


@pytest.mark.slow
@pytest.mark.parametrize(("op", "params"), WORKLOADS, ids=str)
def test_row_14_zeros_cost_what_random_inputs_cost_within_10_percent(op: str, params: dict[str, Any]) -> None:
    kernel = build(op, threads=1, **params)
    inputs = make_inputs(kernel.inputs)
    zeros = [allocate(array.shape, array.dtype).array for array in inputs]
    for array in zeros:
        array[...] = 0
    usual, empty = kernel.prepare(*inputs), kernel.prepare(*zeros)
    ratios = []
    for _ in range(ROUNDS):
        base = min(usual.run(1) for _ in range(3))
        ratios.append(min(empty.run(1) for _ in range(3)) / base)
    difference = abs(statistics.median(ratios) - 1)
    print(f"{op}: {difference:.2%}")
    assert difference < LARGEST_DIFFERENCE
