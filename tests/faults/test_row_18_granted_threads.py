"""Row 18: fewer threads are granted than asked for; results are right, and keys say the actual number."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fake_measurer import FakeMeasurer
from tests.scaling import scaling
from tilewright import deploy
from tilewright.logs.store import RecordStore
from tilewright.measure import machine
from tilewright.settings import pool_threads
from tilewright.tuning import Session, granted_threads, tune, workers

REQUESTED = 4
SCRIPT = """
import json
import numba, numpy as np
import tilewright as tw

kernel = tw.build("matmul", m=137, n=129, k=131, threads=4, config="default")
a, b = np.random.rand(137, 131).astype("float32"), np.random.rand(131, 129).astype("float32")
errors = []
for granted in range(1, numba.config.NUMBA_NUM_THREADS + 1):
    numba.set_num_threads(granted)
    errors.append(float(abs(kernel(a, b) - a @ b).max()))
print(json.dumps({"parallel": kernel.code.is_parallel, "threads": kernel.code.threads, "errors": errors}))
"""


def run_script(root: Path, pool: str, cores: set[int] | None = None) -> Any:
    environment = {**os.environ, "PYTHONPATH": str(root), "NUMBA_NUM_THREADS": pool, "OMP_NUM_THREADS": "1"}
    script = f"import os; os.sched_setaffinity(0, {cores})\n{SCRIPT}" if cores else SCRIPT
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_row_18_the_result_is_right_for_every_number_granted(root: Path) -> None:
    cores = {min(os.sched_getaffinity(0))} if hasattr(os, "sched_setaffinity") else None
    found = run_script(root, str(REQUESTED), cores)  # one core, and a pool of one to four threads
    assert (found["parallel"], found["threads"], len(found["errors"])) == (True, REQUESTED, REQUESTED)
    assert max(found["errors"]) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("pool", range(1, 5))
def test_row_18_the_result_is_right_for_every_size_of_the_pool(root: Path, pool: int) -> None:
    found = run_script(root, str(pool))
    assert len(found["errors"]) == pool
    assert max(found["errors"]) < 1e-4


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "granted_cores", lambda: 2)
    monkeypatch.setattr(granted_threads, "granted_cores", lambda: 2)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    monkeypatch.setattr(workers, "Measurer", type("Fresh", (FakeMeasurer,), {}))


def threads_of(database: Path) -> set[int]:
    with RecordStore(database, read_only=True) as store:
        return {record.target.threads for record in store.iter_trials()}


def test_row_18_the_key_says_the_actual_threads_and_the_mismatch_is_warned_of(
    two_cores: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        tune(scaling, n=64, threads=REQUESTED, trials=2, db=tmp_path / "tune.db")
    assert threads_of(tmp_path / "tune.db") == {2}
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "threads=4, but the affinity of this process grants 2" in warning


def test_row_18_a_limit_of_the_thread_pool_counts(
    two_cores: None, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    assert deploy.make_task(scaling, None, None, {"n": 64}).threads == 1
    with (
        caplog.at_level(logging.WARNING),
        Session(scaling, n=64, threads=2, db=tmp_path / "tune.db") as session,
    ):
        session.measure("default")
    assert threads_of(tmp_path / "tune.db") == {1}
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "threads=2, but NUMBA_NUM_THREADS grants 1" in warning


def test_row_18_what_is_granted_is_not_warned_of(two_cores: None, caplog: pytest.LogCaptureFixture) -> None:
    assert [granted_threads.granted_threads(n) for n in (None, 1, 2)] == [None, 1, 2]
    assert caplog.records == []
    assert pool_threads({"NUMBA_NUM_THREADS": "many"}) is pool_threads({}) is None
