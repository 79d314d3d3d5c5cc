"""Row 3: kernels that loop for ever without the GIL; the deadline ends them, and nobody burns time after."""

import os
import time

import pytest

from tests.faults.crashing import ENDS, hasty, program_of, quick_measurer
from tests.processes import busy_seconds, descendants

FOREVER = program_of(ENDS["forever"].code)
TIMEOUT_SECONDS = 0.15
SLACK_SECONDS = 0.5
IDLE_SECONDS = 0.4


def check_loops(times: int) -> None:
    latest = 0.0
    with quick_measurer(timeouts=hasty(TIMEOUT_SECONDS)) as measurer:
        assert measurer.try_program(program_of("")).state == "ok"
        for _ in range(times):
            start = time.monotonic()
            result = measurer.try_program(FOREVER)
            latest = max(latest, time.monotonic() - start - TIMEOUT_SECONDS)
            assert result.state == "run_timeout", result.error
            assert "took longer than 0.15 s" in str(result.error)
        children = descendants(os.getpid())
        before = busy_seconds(children)
        time.sleep(IDLE_SECONDS)
        assert busy_seconds(children) - before < IDLE_SECONDS / 4  # one that still looped would use all
    print(f"ended at most {latest:.3f} s after the deadline")
    assert latest <= SLACK_SECONDS


def test_row_03_a_loop_ends_at_its_deadline() -> None:
    check_loops(times=3)


@pytest.mark.slow
def test_row_03_50_loops_end_at_their_deadline() -> None:
    check_loops(times=50)
