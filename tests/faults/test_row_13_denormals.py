"""Row 13: inputs hold no denormal numbers, so whether the processor flushes them does not change a cost."""

import statistics
from typing import Any

import numpy as np
import pytest

from tests.faults.crashing import program_of, quick_measurer
from tests.faults.flushing import flushed, needs_x86
from tests.logs.records import make
from tests.measure.test_verify import Spec
from tilewright.deploy import build
from tilewright.logs.record import Record
from tilewright.measure.denormals import flushes_denormals
from tilewright.measure.inputs import make_inputs

LARGEST_DIFFERENCE = 0.05
ROUNDS = 200
LEAST_NORMAL = {"float16": 2.0**-14, "bfloat16": 2.0**-126, "float32": 2.0**-126, "float64": 2.0**-1022}
SPANS = (None, (0.0, 1.0), (-3.0, 5.0))
WORKLOADS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("matmul", {"m": 256, "n": 256, "k": 256}),
    ("elementwise", {"shape": (300, 1000), "chain": "gelu(x * s + y)", "operands": ("s:1000",)}),
    ("softmax", {"shape": (256, 1024)}),
)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_row_13_inputs_hold_0_denormals(dtype: str) -> None:
    least = LEAST_NORMAL[dtype]
    for span in SPANS:
        (values,) = make_inputs([Spec("a", (200_000,), dtype, span)])
        wide = np.abs(values.astype(np.float64))
        assert np.count_nonzero((wide > 0) & (wide < least)) == 0


def test_row_13_the_record_says_what_becomes_of_denormals() -> None:
    with quick_measurer() as measurer:
        record = make(measurer.try_program(program_of("")))
    assert record.flushes_denormals is False
    assert Record.from_json(record.to_json()) == record


@needs_x86
def test_row_13_a_processor_that_flushes_is_recognised() -> None:
    with flushed():
        assert flushes_denormals()
    assert not flushes_denormals()


@needs_x86
@pytest.mark.slow
@pytest.mark.parametrize(("op", "params"), WORKLOADS, ids=str)
def test_row_13_flushing_changes_a_cost_by_less_than_5_percent(op: str, params: dict[str, Any]) -> None:
    kernel = build(op, threads=1, **params)
    call = kernel.prepare(*make_inputs(kernel.inputs))
    ratios = []
    for _ in range(ROUNDS):
        kept = min(call.run(1) for _ in range(3))
        with flushed():
            ratios.append(min(call.run(1) for _ in range(3)) / kept)
    difference = abs(statistics.median(ratios) - 1)
    print(f"{op}: {difference:.2%}")
    assert difference < LARGEST_DIFFERENCE
