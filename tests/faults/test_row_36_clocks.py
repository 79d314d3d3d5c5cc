"""Row 36: the clock jumps by an hour, or a worker is stopped for 5 s; costs and their order do not notice."""

import os
import re
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fake_measurer import FakeMeasurer
from tests.scaling import scaling
from tests.simulated_machine import Machine, Stopped
from tilewright.deploy import make_task
from tilewright.measure.measurer import Measurer, Timeouts
from tilewright.measure.playoff import PlayoffPlan, play_off
from tilewright.measure.result import MeasureInput
from tilewright.measure.timing import TimingPlan, time_kernel
from tilewright.tuning import history, tune, workers

STOP_SECONDS = 5.0
WALL_CLOCK = re.compile(r"\btime\.time\(|datetime\.(now|utcnow|today)\(")


@pytest.mark.parametrize("at", [0.0, 0.0001, 0.0101, 0.0411, 0.0999])
def test_row_36_a_sample_that_was_stopped_is_discarded(at: float) -> None:
    machine = Machine(scheduler=Stopped(at, STOP_SECONDS))
    timing = time_kernel(
        machine.runner("kernel", 25e-6),
        machine.reference(),
        TimingPlan(),
        2e-5,
        machine.clock,
        meter=machine.meter,
    )
    assert machine.now > STOP_SECONDS
    assert timing.seconds == pytest.approx(25e-6, rel=1e-4)
    assert max(timing.costs) == pytest.approx(25e-6, rel=1e-4)
    assert not timing.is_slow
    assert not timing.is_noisy


def test_row_36_a_stop_in_a_play_off_changes_nothing() -> None:
    machine = Machine(scheduler=Stopped(0.2, STOP_SECONDS))
    runners = [machine.runner(str(cost), cost) for cost in (1.1e-4, 1e-4)]
    result = play_off(runners, machine.reference(), 0, PlayoffPlan(), machine.clock, machine.meter)
    assert (result.winner, result.rounds) == (1, PlayoffPlan().rounds)
    assert max(result.entries[1].costs) == pytest.approx(1e-4, rel=1e-4)


@pytest.mark.parametrize("hours", [-1, 1])
def test_row_36_a_clock_that_jumps_by_an_hour_changes_no_cost(
    hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, true_time = Machine(), time.time
    jumps = iter([0.0, 3600.0 * hours] * 1000)
    monkeypatch.setattr(time, "time", lambda: true_time() + next(jumps))
    timing = time_kernel(
        machine.runner("kernel", 25e-6), machine.reference(), TimingPlan(), clock=machine.clock
    )
    assert timing.costs == pytest.approx([25e-6] * 20)
    assert 0 < timing.seconds * 160 * 20 <= machine.now  # never more than the time that passed


def test_row_36_nothing_that_measures_or_conducts_reads_the_time_of_day(root: Path) -> None:
    """But for the stamp of a record, which only people read, and which never goes back."""
    found = [
        f"{path.relative_to(root)}: {line.strip()}"
        for folder in ("measure", "tuning", "tuners")
        for path in sorted((root / "tilewright" / folder).rglob("*.py"))
        for line in path.read_text().splitlines()
        if WALL_CLOCK.search(line)
    ]
    assert [line.partition(":")[0] for line in found] == ["tilewright/tuning/history.py"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, timedelta]:
    """A clock of the day that can be set."""
    offset = {"by": timedelta()}

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):  # type: ignore[no-untyped-def]
            return datetime.now(UTC) + offset["by"]

    monkeypatch.setattr(history, "datetime", Clock)
    return offset


@pytest.fixture
def measurer(monkeypatch: pytest.MonkeyPatch) -> type[FakeMeasurer]:
    class Fresh(FakeMeasurer):
        pass

    monkeypatch.setattr(workers, "Measurer", Fresh)
    return Fresh


@pytest.mark.parametrize("hours", [-1, 1])
def test_row_36_a_play_off_is_the_latest_whatever_the_clock(
    hours: int, clock: dict[str, timedelta], measurer: type[FakeMeasurer], tmp_path: Path
) -> None:
    database = tmp_path / "tune.db"
    tune(scaling, n=64, threads=1, trials=1, tuner="grid", db=database)
    clock["by"] = timedelta(hours=hours)
    more = tune(scaling, n=64, threads=1, trials=3, tuner="grid", db=database)
    assert measurer.playoffs == 2  # the first did not know the new trials
    clock["by"] = timedelta(hours=-hours)
    again = tune(scaling, n=64, threads=1, trials=3, tuner="grid", db=database)
    assert measurer.playoffs == 2  # and the second knew them all
    assert again.best == more.best
    last = tune(scaling, n=64, threads=1, trials=4, tuner="grid", db=database)
    assert measurer.playoffs == 3
    assert (last.trials, last.reused) == (1, 3)


def test_row_36_stamps_of_a_key_only_grow(clock: dict[str, timedelta], tmp_path: Path) -> None:
    from tilewright.logs.store import RecordStore

    task = make_task(scaling, None, 1, {"n": 64})
    with RecordStore(tmp_path / "tune.db") as store:
        known = history.History(task, store)
        stamps = []
        for hours in (0, 1, -1, 0):
            clock["by"] = timedelta(hours=hours)
            stamps.append(known.next_stamp())
            known._latest = stamps[-1]
        assert stamps == sorted(stamps)
        assert len(set(stamps)) == len(stamps)
        known._latest = datetime.max.replace(tzinfo=UTC)
        assert known.next_stamp() == known._latest


@pytest.mark.slow
def test_row_36_a_worker_that_is_really_stopped_for_5_seconds() -> None:
    task = make_task("matmul", None, 1, {"m": 256, "n": 256, "k": 256})
    trial = MeasureInput(task.instantiate(task.default_config), task.workload.key)
    plan = TimingPlan(slices=400, longest_seconds=4.0)
    with Measurer(task.target, 1, workers=1, timing=plan, timeouts=Timeouts(timing=60.0)) as measurer:
        (quiet,) = measurer.measure([trial])
        stopper = threading.Timer(0.8, _stop_children)
        stopper.start()
        start = time.monotonic()
        (stopped,) = measurer.measure([trial])
        wall = time.monotonic() - start
        stopper.join()
    assert wall > STOP_SECONDS
    assert stopped.state == "ok", stopped.error
    assert quiet.seconds is not None
    assert stopped.seconds is not None
    assert max(stopped.costs) < 0.1  # a sample of 5 s would have 80 calls of 60 ms
    assert 0 < stopped.seconds * len(stopped.costs) <= wall


def _stop_children() -> None:
    """Stop every descendant of this process that runs workers, then let them go on."""
    children = _descendants(os.getpid())
    for child in children:
        os.kill(child, signal.SIGSTOP)
    time.sleep(STOP_SECONDS)
    for child in children:
        os.kill(child, signal.SIGCONT)


def _descendants(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found += [int(entry.name), *_descendants(int(entry.name))]
    return found
