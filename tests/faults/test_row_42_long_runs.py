"""Row 42: long runs, in which kernels crash and hang too, hold no more at the end than at the start."""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

from tests.faults.crashing import ENDS, QuickMeasurer, hasty, program_of, quick_measurer
from tests.processes import count_descriptors, descendants, resident_bytes
from tilewright.measure.result import MeasureInput

ALLOWED = 0.05
PARTS = 10
CRASH_EVERY, HANG_EVERY = 20, 1000
TIMEOUT_SECONDS = 0.3
ON_ITS_WAY = 4  # descriptors of a worker that is being replaced


@dataclass(frozen=True, slots=True)
class State:
    """What the tuner holds, and the median seconds of the valid trials since the state before."""

    resident_bytes: int
    descriptors: int
    children: int
    seconds: float


def run_trials(measurer: QuickMeasurer, first: int, count: int, others: set[int]) -> State:
    """Trials of tiny kernels, every one another program; the state after them, without other children."""
    seconds = []
    for number in range(first, first + count):
        end = "forever" if number % HANG_EVERY == 7 else "address 0" if number % CRASH_EVERY == 3 else "right"
        trial = MeasureInput(program_of(f"{ENDS[end].code}\n; trial {number}"), "double")
        start = time.monotonic()
        (result,) = measurer.measure([trial])
        if end == "right":
            assert result.state in ("ok", "slow"), result.error
            seconds.append(time.monotonic() - start)
        else:
            assert result.state == ("crash" if end == "address 0" else "run_timeout"), result.error
    children = len(descendants(os.getpid()) - others)
    return State(resident_bytes(), count_descriptors(), children, median(seconds))


def soak(folder: Path, trials: int, monkeypatch: pytest.MonkeyPatch) -> list[State]:
    """The states after each part of a long run; it begins with a part for warming up."""
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    part = trials // (PARTS + 1)
    others = descendants(os.getpid())
    with quick_measurer(timeouts=hasty(TIMEOUT_SECONDS)) as measurer:
        run_trials(measurer, 0, part, others)
        states = [run_trials(measurer, number * part, part, others) for number in range(1, PARTS + 1)]
    assert list(folder.iterdir()) == []
    return states


def check_flat(states: list[State]) -> None:
    first, last = states[0], states[-1]
    grown = last.resident_bytes / first.resident_bytes - 1
    early, late = states[: PARTS // 2], states[PARTS // 2 :]
    decay = min(s.seconds for s in late) / min(s.seconds for s in early) - 1
    print(f"memory {grown:+.2%}, a trial's time {decay:+.2%}, {last.seconds * 1e3:.1f} ms, {states}")
    assert abs(grown) <= ALLOWED
    assert last.descriptors <= first.descriptors + ON_ITS_WAY
    assert last.children <= 3  # the server, a worker and a spare one
    assert decay <= ALLOWED


def test_row_42_some_hundred_trials_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the throughput, which so short a run does not show."""
    states = soak(tmp_path, 110, monkeypatch)
    first, last = states[0], states[-1]
    assert abs(last.resident_bytes / first.resident_bytes - 1) <= ALLOWED
    assert last.descriptors <= first.descriptors + ON_ITS_WAY
    assert last.children <= 3


@pytest.mark.slow
@pytest.mark.timeout(4000)
def test_row_42_20000_trials_within_an_hour_leave_nothing_and_get_no_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = time.monotonic()
    check_flat(soak(tmp_path, 20_000, monkeypatch))
    assert time.monotonic() - begin <= 3600
