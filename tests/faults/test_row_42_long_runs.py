"""Row 42: long runs, in which kernels crash and hang too, hold no more at the end than at the start."""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.faults.crashing import ENDS, QuickMeasurer, double, hasty, program_of, quick_measurer
from tests.processes import count_descriptors, descendants, resident_bytes
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.te import Tensor
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.measure.result import MeasureInput
from tilewright.templates.collector import get_config
from tilewright.templates.template import template
from tilewright.tuning import tune, workers

TRIALS = 20_000
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


@dataclass(slots=True)
class Watch:
    """The states after each part of a long run, `part` trials long."""

    part: int
    others: set[int] = field(default_factory=lambda: descendants(os.getpid()))
    states: list[State] = field(default_factory=list)
    _seconds: list[float] = field(default_factory=list)
    _trials: int = 0
    _last: float = field(default_factory=time.monotonic)

    def note(self, number: int, state: str, error: str | None) -> None:
        """A trial has ended, as its number says."""
        end = end_of(number)
        allowed = {"right": ("ok", "slow"), "address 0": ("crash",), "forever": ("run_timeout",)}
        assert state in allowed[end], error
        last, self._last = self._last, time.monotonic()
        self._seconds += [self._last - last] if end == "right" else []
        self._trials += 1
        if self._trials % self.part == 0:
            children = len(descendants(os.getpid()) - self.others)
            state_now = State(resident_bytes(), count_descriptors(), children, median(self._seconds))
            self.states.append(state_now)
            self._seconds = []


def end_of(number: int) -> str:
    return "forever" if number % HANG_EVERY == 7 else "address 0" if number % CRASH_EVERY == 3 else "right"


def code_of(number: int) -> str:
    """Every number another program."""
    return f"{ENDS[end_of(number)].code}\n; trial {number}"


@template("soaking", reference=double, default=lambda target, threads, first, count: {"number": first})
def soaking(first: int, count: int) -> tuple[Schedule, list[Tensor]]:
    cfg = get_config()
    cfg.define_knob("number", list(range(first, first + count)))
    schedule, tensors = program_of(code_of(cfg["number"].val)).schedule()
    return schedule, list(tensors)


def measure_alone(trials: int, watch: Watch, folder: Path) -> None:
    """Trials by the measurer."""
    with quick_measurer(timeouts=hasty(TIMEOUT_SECONDS)) as measurer:
        for number in range(trials):
            (result,) = measurer.measure([MeasureInput(program_of(code_of(number)), "double")])
            watch.note(number, result.state, result.error)


def tune_one_after_another(trials: int, watch: Watch, folder: Path) -> None:
    """Trials as users make them: a search for each part, of a workload of its own, into one database on disk.

    A search knows its own trials, so it holds more at its end; the next one starts anew.
    """

    def note(record: Record) -> None:
        watch.note(record.config["number"], record.state, record.error)

    database, count = folder / "tune.db", watch.part
    options: dict[str, Any] = {"tuner": "grid", "threads": 1, "db": database, "on_trial": note}
    for first in range(1, trials + 1, count):
        found = tune(soaking, first=first, count=count, trials=count, **options)
        assert found.trials == count
    with RecordStore(database) as store:
        assert store.count() == trials


WAYS = {"measurer": measure_alone, "tune": tune_one_after_another}


@pytest.fixture(params=WAYS)
def soak(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int, int], list[State]]:
    """The states after each part of a run of so many trials and parts, but for a first one for warming up."""
    scratch, folder = tmp_path / "scratch", tmp_path / "database"
    scratch.mkdir()
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(workers, "Measurer", partial(QuickMeasurer, timeouts=hasty(TIMEOUT_SECONDS)))

    def run(trials: int, parts: int) -> list[State]:
        watch = Watch(trials // (parts + 1))
        WAYS[request.param](watch.part * (parts + 1), watch, folder)
        assert list(scratch.iterdir()) == []
        return watch.states[1:]

    return run


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


def test_row_42_a_hundred_trials_leave_nothing(soak: Callable[[int, int], list[State]]) -> None:
    """Without the throughput, which so short a run does not show."""
    states = soak(110, 2)
    first, last = states[0], states[-1]
    assert abs(last.resident_bytes / first.resident_bytes - 1) <= ALLOWED
    assert last.descriptors <= first.descriptors + ON_ITS_WAY
    assert last.children <= 3


@pytest.mark.slow
@pytest.mark.timeout(4000)
def test_row_42_20000_trials_within_an_hour_leave_nothing_and_get_no_slower(
    soak: Callable[[int, int], list[State]],
) -> None:
    begin = time.monotonic()
    check_flat(soak(TRIALS, PARTS))
    assert time.monotonic() - begin <= 3600
