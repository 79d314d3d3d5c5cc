"""Row 44: kernels called from eight threads, nested, after a fork; every result is right, nothing aborts."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULES = {"tbb": "tbbpool", "omp": "omppool", "workqueue": "workqueue"}
LAYERS = [name for name, module in MODULES.items() if importlib.util.find_spec(f"numba.np.ufunc.{module}")]


def check_calls(root: Path, layer: str, calls: int, forks: int) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.faults.many_callers", str(calls), str(forks)],
        cwd=root, env={**os.environ, "NUMBA_THREADING_LAYER": layer}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    told = run.stdout.splitlines()  # where TBB complains of other threads too, before or after
    assert f"{calls} calls, 0 wrong, children {{'right': {2 * forks}}}" in told


@pytest.mark.parametrize("layer", LAYERS[:2])
def test_row_44_calls_from_many_threads_and_children_are_right(root: Path, layer: str) -> None:
    check_calls(root, layer, calls=1000, forks=2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("layer", LAYERS)
def test_row_44_100000_calls_from_many_threads_and_children_are_right(root: Path, layer: str) -> None:
    check_calls(root, layer, calls=100_000, forks=100)
