"""Row 5: workers that ignore every signal that can be ignored; they are gone at once and leave nothing."""

import os
import time

import pytest

from tests.processes import count_descriptors, descendants, is_running, is_zombie
from tilewright.measure.outcome import Job
from tilewright.measure.pool import WorkerPool

TIMEOUT_SECONDS = 0.02
KILL_SECONDS = 1.0
ON_ITS_WAY = 4  # descriptors of a worker that is being replaced


def check_deaf(times: int) -> None:
    others = descendants(os.getpid())
    with WorkerPool(preload=("tilewright.measure.faults",)) as pool:
        pool.run(Job("fault", b"deaf", other_deadline=TIMEOUT_SECONDS))
        pool.run(Job("fault", b"echo settled"))
        before = count_descriptors()
        for _ in range(times):
            worker = int(pool.run(Job("fault", b"pid")).payload)
            start = time.monotonic()
            assert pool.run(Job("fault", b"deaf", other_deadline=TIMEOUT_SECONDS)).status == "timeout"
            assert time.monotonic() - start <= TIMEOUT_SECONDS + KILL_SECONDS
            assert not is_running(worker)
        assert pool.run(Job("fault", b"echo on")).payload == b"on"
        assert count_descriptors() <= before + ON_ITS_WAY
        time.sleep(0.1)
        children = descendants(os.getpid()) - others
        assert not any(map(is_zombie, children))
        assert len(children) <= 3  # the server, a worker and a spare one
    assert not descendants(os.getpid()) & children


def test_row_05_the_deaf_are_killed_and_nothing_grows() -> None:
    check_deaf(times=20)


@pytest.mark.slow
def test_row_05_500_deaf_workers_leave_neither_a_zombie_nor_a_descriptor() -> None:
    check_deaf(times=500)
