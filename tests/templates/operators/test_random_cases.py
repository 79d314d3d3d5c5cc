"""Every operator over random workloads and configurations: its results are those of its NumPy reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume

from tests.templates.operators.random_cases import (
    STRATEGIES,
    Case,
    compile_case,
    expected_of,
    is_measurable,
    reduction_length,
    sum_dtype_of,
    try_cases,
)
from tilewright.compiler.kernel import Kernel, load_kernel
from tilewright.compiler.target import Target
from tilewright.compiler.te.storage import storage_dtype
from tilewright.measure.buffers import Buffer, Place, allocate, poison
from tilewright.measure.inputs import make_buffers
from tilewright.measure.verify import ReferenceData, verify_outputs
from tilewright.templates.registry import OPERATORS

# Time to make a counterexample small.
pytestmark = pytest.mark.timeout(900)
EXAMPLES = {
    "matmul": 80,
    "batch_matmul": 70,
    "dense": 80,
    "conv1d": 60,
    "conv2d": 80,
    "conv3d": 40,
    **{f"conv{rank}d_transpose": 40 for rank in (1, 2, 3)},
    "depthwise_conv2d": 60,
    **{f"{kind}_pool{rank}d": 40 for kind in ("max", "avg") for rank in (1, 2, 3)},
    **{f"global_avg_pool{rank}d": 20 for rank in (1, 2, 3)},
    "reduce_sum": 40,
    **{f"reduce_{kind}": 40 for kind in ("mean", "prod", "max", "min")},
    "argmax": 40,
    "argmin": 40,
    "softmax": 40,
    "log_softmax": 40,
    "layer_norm": 40,
    "rms_norm": 40,
    "group_norm": 50,
    "attention": 50,
    "batch_norm": 40,
    "elementwise": 70,
    "transpose": 60,
    "resize": 60,
    **dict.fromkeys(("concatenate", "pad", "slice", "gather", "one_hot"), 40),
}
MANY = 55
# With vectors of 256 and 128 bits, and 16 registers.
LESSER = ("haswell", "x86-64")
FEW = 8


def run(kernel: Kernel, inputs: Sequence[Buffer], place: Place) -> Buffer:
    """The result, in memory that shows what was not written and what was written beside it."""
    (spec,) = kernel.outputs
    output = allocate(spec.shape, storage_dtype(spec.dtype), place)
    poison(output.array)
    kernel(*(buffer.array for buffer in inputs), out=output.array)
    return output


def check(case: Case, target: Target) -> None:
    """Compare a case with its reference, by the rule that measurements are verified by."""
    task = case.task(target)
    kernel = load_kernel(compile_case(case, task))
    place: Place = "end" if case.seed % 2 else "start"
    inputs = make_buffers(kernel.inputs, case.seed, place)
    expected = expected_of(task, [buffer.array for buffer in inputs])
    assume(is_measurable(case, expected))
    output = run(kernel, inputs, place)
    reference = ReferenceData((expected,), reduction_length(case), sum_dtype_of(case))
    fault = verify_outputs([kernel.outputs[0].name], [output], inputs, reference)
    assert fault is None, f"{fault}\n{case.config(task)}"
    if kernel.constants:
        bound, others = kernel.bind_among([buffer.array for buffer in inputs])
        np.testing.assert_array_equal(bound(*others), output.array)


def test_every_operator_has_cases() -> None:
    assert set(STRATEGIES) == set(EXAMPLES) == set(OPERATORS)
    assert sum(EXAMPLES.values()) >= 1500


@pytest.mark.parametrize("op", STRATEGIES)
def test_results_are_right(op: str) -> None:
    try_cases(op, EXAMPLES[op], lambda case: check(case, Target.host()))


@pytest.mark.parametrize("cpu", LESSER)
@pytest.mark.parametrize("op", STRATEGIES)
def test_defaults_for_lesser_cpus_are_right(op: str, cpu: str) -> None:
    if "avx2" not in Target.host().features:
        pytest.skip("this machine cannot run code for x86-64 with AVX2")
    target = Target.named(cpu)
    try_cases(op, FEW, lambda case: check(replace(case, is_default=True), target))


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("op", STRATEGIES)
def test_results_of_many_cases_are_right(op: str) -> None:
    try_cases(op, MANY * EXAMPLES[op], lambda case: check(case, Target.host()))
