"""Row 20: `kill -9` of the tuner, or of the server that forks its workers, while they are busy."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.processes import descendants, is_running, parent_of

GONE_SECONDS = 2.0

TUNER = """
import sys
from tilewright.measure.outcome import Job
from tilewright.measure.pool import WorkerPool
job = Job("fault", sys.argv[1].encode(), other_deadline=600.0)
pool = WorkerPool(2, preload=("tilewright.measure.faults",))
print(pool.run(Job("fault", b"pid")).payload.decode(), flush=True)
pool.submit(job)
pool.submit(job)
print(pool.wait())
"""


@pytest.mark.parametrize(
    ("job", "killed"), [("spin", "tuner"), ("hold 600", "tuner"), ("deaf", "tuner"), ("spin", "server")]
)
def test_row_20_all_children_are_gone_within_2_seconds(job: str, killed: str) -> None:
    tuner = subprocess.Popen([sys.executable, "-c", TUNER, job], stdout=subprocess.PIPE, text=True)
    assert tuner.stdout is not None
    with tuner:
        try:
            worker = int(tuner.stdout.readline())
            server = parent_of(worker)
            time.sleep(0.15)  # the jobs begin
            children = descendants(tuner.pid)
            assert {server, worker} < children
            victim = tuner.pid if killed == "tuner" else server
            os.kill(victim, signal.SIGKILL)
            deadline = time.monotonic() + GONE_SECONDS
            while any(map(is_running, children)) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert not any(map(is_running, children))
        finally:
            tuner.kill()
