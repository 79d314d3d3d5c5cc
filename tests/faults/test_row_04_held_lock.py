"""Row 4: a job that hangs with the GIL held; the parent, whose deadline needs nothing of the job, ends it."""

import time

import pytest

from tilewright.measure.outcome import Job
from tilewright.measure.pool import WorkerPool

TIMEOUT_SECONDS = 0.1
SLACK_SECONDS = 0.5


def check_hangs(times: int) -> None:
    latest = 0.0
    with WorkerPool(preload=("tilewright.measure.faults",)) as pool:
        assert pool.run(Job("fault", b"echo ready")).payload == b"ready"
        for _ in range(times):
            start = time.monotonic()
            outcome = pool.run(Job("fault", b"hold 60", other_deadline=TIMEOUT_SECONDS))
            latest = max(latest, time.monotonic() - start - TIMEOUT_SECONDS)
            assert (outcome.status, outcome.message) == ("timeout", "phase run took longer than 0.1 s")
            assert pool.run(Job("fault", b"echo on")).payload == b"on"
    print(f"ended at most {latest:.3f} s after the deadline")
    assert latest <= SLACK_SECONDS


def test_row_04_a_held_lock_ends_at_its_deadline() -> None:
    check_hangs(times=5)


@pytest.mark.slow
def test_row_04_20_held_locks_end_at_their_deadline() -> None:
    check_hangs(times=20)
