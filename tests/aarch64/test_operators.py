"""Every operator compiled for AArch64, and run under emulation where the tools for that are installed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume

from tests.aarch64.emulator import Emulator, missing_tools, target
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
from tests.templates.operators.test_special_values import check as check_special_values
from tests.templates.operators.test_special_values import spoil, without_other_algorithms
from tilewright.compiler.build import compile_program
from tilewright.measure.inputs import make_inputs
from tilewright.measure.verify import describe_mismatch
from tilewright.templates.task import Task

pytestmark = [pytest.mark.aarch64, pytest.mark.timeout(1800)]
CONFIGURATIONS = 20
EM_AARCH64 = 183
PACKAGES = ("qemu-user", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    missing = missing_tools()
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: apt-get install {' '.join(PACKAGES)}")
    return Emulator(tmp_path_factory.mktemp("aarch64"))


@pytest.mark.parametrize("cpu", ["neoverse-n1", "generic"])
@pytest.mark.parametrize("op", STRATEGIES)
def test_every_operator_compiles(op: str, cpu: str) -> None:
    def check(case: Case) -> None:
        task = case.task(target(cpu))
        for is_default in (True, False):
            code = compile_case(replace(case, is_default=is_default), task)
            assert int.from_bytes(code.object[18:20], "little") == EM_AARCH64

    try_cases(op, CONFIGURATIONS, check)


@pytest.mark.parametrize("op", STRATEGIES)
def test_results_are_right_under_emulation(op: str, emulator: Emulator) -> None:
    def check(case: Case) -> None:
        task = case.task(target())
        code = compile_case(case, task)
        inputs = make_inputs(code.inputs, case.seed)
        expected = expected_of(task, inputs)
        assume(is_measurable(case, expected))
        found = emulator.run(code, inputs)
        fault = describe_mismatch(
            code.outputs[0].name, found, expected, reduction_length(case), sum_dtype_of(case)
        )
        assert fault is None, f"{fault}\n{case.config(task)}"

    try_cases(op, 2 * CONFIGURATIONS, check)


@pytest.mark.parametrize("op", STRATEGIES)
def test_special_values_are_right_under_emulation(op: str, emulator: Emulator) -> None:
    def check(case: Case) -> None:
        case = without_other_algorithms(case)
        task = case.task(target())
        code = compile_case(case, task)
        arrays = spoil(make_inputs(code.inputs, case.seed), np.random.default_rng(case.seed))
        check_special_values(case, task, arrays, emulator.run(code, arrays))

    try_cases(op, CONFIGURATIONS, check)


def test_the_emulator_shows_what_a_kernel_does_not_write(emulator: Emulator) -> None:
    task = Task.create("matmul", target(), 1, m=5, n=6, k=7)
    code = compile_program(task.instantiate(task.default_config), task.target)
    a, b = (np.asarray(array, np.float32) for array in make_inputs(code.inputs))
    found = emulator.run(code, (a, b))
    np.testing.assert_allclose(found, a @ b, rtol=1e-5)
    larger = replace(code, outputs=(replace(code.outputs[0], shape=(6, 6)),))
    assert np.isnan(emulator.run(larger, (a, b))[5]).all()
