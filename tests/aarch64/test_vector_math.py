"""Mathematical functions of float32 in AArch64's vectors, run under emulation."""

from __future__ import annotations

import numpy as np
import pytest

from tests.aarch64.emulator import Emulator, missing_tools, target
from tests.compiler.vector_math import BOUNDS, POWER_BOUND, elementwise, errors, sample, worst
from tilewright.compiler.build import compile_program

pytestmark = [pytest.mark.aarch64, pytest.mark.timeout(600)]
STEP = 2**17 + 3


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    missing = missing_tools()
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    return Emulator(tmp_path_factory.mktemp("aarch64"))


@pytest.mark.parametrize("is_vectorized", [True, False])
@pytest.mark.parametrize("name", BOUNDS)
def test_errors_stay_within_their_bounds(name: str, is_vectorized: bool, emulator: Emulator) -> None:
    x = sample(STEP)
    code = compile_program(elementwise(name, len(x), is_vectorized), target())
    most, where = worst(name, emulator.run(code, [x]), x)
    assert most <= BOUNDS[name], where


@pytest.mark.parametrize("is_vectorized", [True, False])
def test_powers_stay_within_their_bound(is_vectorized: bool, emulator: Emulator) -> None:
    x = sample(STEP)
    y = np.random.default_rng(0).permutation(x)
    code = compile_program(elementwise("power", len(x), is_vectorized), target())
    with np.errstate(all="ignore"):
        expected = np.power(x.astype(np.float64), y.astype(np.float64))
    assert errors(emulator.run(code, [x, y]), expected).max() <= POWER_BOUND
