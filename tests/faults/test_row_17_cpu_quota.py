"""Row 17: a control group grants half a core; throttled samples are dropped, and the user is warned."""

import io
from pathlib import Path

import pytest

from tests.cli.conftest import Tilewright
from tests.simulated_machine import Machine, Quota
from tests.system_files import write_system
from tests.test_progress import TASK
from tilewright.cli import doctor
from tilewright.measure.core_time import CoreTime, parse_throttled, process_meter, share_of
from tilewright.measure.findings import disturbances, machine_findings
from tilewright.measure.machine_facts import MachineFacts, read_machine
from tilewright.measure.playoff import PlayoffPlan, play_off
from tilewright.measure.timing import TimingPlan, time_kernel
from tilewright.tuners import Budget
from tilewright.tuning.line_progress import LineProgress

HALF = {"sys/fs/cgroup/cpu.max": "50000 100000\n"}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
@pytest.mark.parametrize("seconds", [2e-6, 1e-4, 3e-3])
def test_row_17_no_throttled_sample_is_in_an_ok_cost(seconds: float, share: float) -> None:
    machine = Machine(scheduler=Quota(share))
    timing = time_kernel(
        machine.runner("kernel", seconds),
        machine.reference(),
        TimingPlan(),
        clock=machine.clock,
        meter=machine.meter,
    )
    assert machine.scheduler.throttled > 0
    assert len(timing.costs) >= 20
    assert max(timing.costs) == pytest.approx(seconds, rel=1e-4)
    assert timing.seconds == pytest.approx(seconds, rel=1e-4)
    assert not timing.is_noisy


def test_row_17_a_kernel_longer_than_the_quota_is_timed_while_it_runs_and_flagged() -> None:
    machine = Machine(scheduler=Quota(0.5))
    timing = time_kernel(
        machine.runner("kernel", 0.08),
        machine.reference(),
        TimingPlan(),
        clock=machine.clock,
        meter=machine.meter,
    )
    assert max(timing.costs) == pytest.approx(0.08, rel=1e-4)
    assert timing.is_noisy


def test_row_17_throttled_slices_of_a_play_off_are_taken_again() -> None:
    machine = Machine(scheduler=Quota(0.5))
    runners = [machine.runner(str(cost), cost) for cost in (1.1e-4, 1e-4, 1.05e-4)]
    result = play_off(runners, machine.reference(), 0, PlayoffPlan(), machine.clock, machine.meter)
    assert machine.scheduler.throttled > 0
    assert (result.winner, result.rounds) == (1, PlayoffPlan().rounds)
    for entry, cost in zip(result.entries, (1.1e-4, 1e-4, 1.05e-4), strict=True):
        assert entry.costs == pytest.approx([cost] * PlayoffPlan().rounds, rel=1e-4)


def test_row_17_one_throttled_period_disturbs_a_sample_however_much_ran() -> None:
    assert share_of(1000, CoreTime(0), CoreTime(1990)).is_whole  # two threads
    assert not share_of(1000, CoreTime(0, 3), CoreTime(1990, 4)).is_whole
    assert not share_of(1000, CoreTime(0), CoreTime(970)).is_whole
    assert share_of(1000, CoreTime(0), CoreTime(970)).nanoseconds == 970


def test_row_17_the_meter_reads_the_counter_of_the_control_group(tmp_path: Path) -> None:
    counter = tmp_path / "cpu.stat"
    counter.write_text("usage_usec 1\nnr_periods 9\nnr_throttled 4\nthrottled_usec 7\n")
    meter = process_meter([tmp_path, tmp_path / "none"])
    assert meter().throttled == 4
    counter.write_text("usage_usec 1\nnr_periods 9\nnr_throttled 15\nthrottled_usec 7\n")
    assert meter().throttled == 15
    assert process_meter([tmp_path / "none"])().throttled == 0
    assert parse_throttled(b"usage_usec 4\n") == 0
    assert meter().running < meter().running


def test_row_17_the_quota_is_found_wherever_it_is_set(tmp_path: Path) -> None:
    second = read_machine(write_system(tmp_path / "2", HALF))
    first = read_machine(
        write_system(
            tmp_path / "1",
            {
                "proc/self/cgroup": "4:memory:/box\n2:cpu,cpuacct:/box/inner\n0::/\n",
                "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/box/inner/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/box/inner/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/box/cpu.stat": "nr_periods 200\nnr_throttled 50\n",
                "sys/fs/cgroup/cpu,cpuacct/unused": "",
            },
        )
    )
    nested = read_machine(
        write_system(
            tmp_path / "nested",
            {
                "proc/self/cgroup": "0::/pod/box\n",
                "sys/fs/cgroup/pod/cpu.max": "50000 100000\n",
                "sys/fs/cgroup/pod/box/cpu.max": "max 100000\n",
            },
        )
    )
    assert second.quota_cores == first.quota_cores == nested.quota_cores == 0.5
    assert first.throttled == 0.25
    assert read_machine(write_system(tmp_path / "none", {})).quota_cores is None


def test_row_17_the_head_of_a_run_warns(tmp_path: Path) -> None:
    facts = read_machine(write_system(tmp_path, HALF), frozenset({0, 1}))
    stream = io.StringIO()
    LineProgress(stream, disturbances(facts)).start(TASK, Budget(4), [])
    (warning,) = [line for line in stream.getvalue().splitlines() if line.startswith("warning")]
    assert "CPU quota: 0.5 of 2 cores" in warning


def test_row_17_doctor_warns(tmp_path: Path, tilewright: Tilewright, monkeypatch: pytest.MonkeyPatch) -> None:
    facts: MachineFacts = read_machine(write_system(tmp_path, HALF), frozenset({0, 1}))
    monkeypatch.setattr(doctor, "gather_findings", lambda db: machine_findings(facts))
    answer = tilewright("doctor", "--json")
    (quota,) = [f for f in answer.json["findings"] if f["name"] == "CPU quota"]
    assert (answer.status, quota["value"], quota["verdict"]) == (0, "0.5 of 2 cores", "bad")
    assert "--threads" in quota["remedy"]
