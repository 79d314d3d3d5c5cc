"""What the files of a system say, and what that means to measuring."""

from pathlib import Path

import pytest

from tests.system_files import write_system
from tilewright.measure.control_group import parse_counts, parse_limit, parse_quota
from tilewright.measure.findings import disturbances, machine_findings, watched_findings
from tilewright.measure.machine import granted_cores, parse_memory, physical_cores
from tilewright.measure.machine_facts import (
    Watched,
    parse_choice,
    parse_list,
    parse_load,
    parse_model,
    parse_ticks,
    read_machine,
    watch,
)

CPU = "sys/devices/system/cpu"
TWO = frozenset({0, 1})


def test_files_are_parsed() -> None:
    assert parse_quota("50000 100000") == 0.5
    assert parse_quota("max 100000") is parse_quota("-1 100000") is parse_quota(None) is None
    assert parse_ticks("cpu  10 0 10 60 0 0 0 20 0 0\ncpu0 1") == [10, 0, 10, 60, 0, 0, 0, 20]
    assert parse_ticks("") == []
    assert parse_memory("MemFree: 1 kB\nMemTotal:       2048 kB\n") == 2 << 20
    assert parse_limit("max") is parse_limit("9223372036854771712") is None
    assert parse_limit("4096") == 4096
    assert parse_list("0-2,7\n") == {0, 1, 2, 7}
    assert parse_list("") == parse_list(None) == frozenset()
    assert parse_choice("always [madvise] never") == "madvise"
    assert (parse_choice("always"), parse_model("processor : 0"), parse_load("x")) == (None, None, None)
    assert parse_counts("nr_periods 3\nsomething else 4\n") == {"nr_periods": 3}


def test_this_machine_can_be_read() -> None:
    facts = read_machine()
    assert facts.cores == granted_cores() >= physical_cores() >= 1
    assert facts.memory_bytes is None or facts.memory_bytes > 1 << 20
    assert facts.online >= 1


def test_a_quiet_machine_has_only_good_findings(tmp_path: Path) -> None:
    facts = read_machine(write_system(tmp_path, {}), TWO)
    assert {finding.verdict for finding in machine_findings(facts)} == {"good"}
    assert (facts.model, facts.cores, facts.online, facts.sibling_sets) == ("Quick 9000", 2, 2, 2)
    assert facts.memory_bytes == 8 << 30
    assert disturbances(facts) == ()


@pytest.mark.parametrize(
    ("name", "value", "files"),
    [
        (
            "SMT",
            "2 logical cores on 1 physical",
            {f"{CPU}/cpu{i}/topology/thread_siblings_list": "0-1" for i in TWO},
        ),
        ("frequency governor", "powersave", {f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n"}),
        ("turbo", "on", {f"{CPU}/cpufreq/boost": "1\n"}),
        ("turbo", "on", {f"{CPU}/intel_pstate/no_turbo": "0\n"}),
        ("load", "3.50 on 2 cores", {"proc/loadavg": "3.50 0.20 0.30 1/90 4711\n"}),
        ("CPU quota", "1.5 of 2 cores", {"sys/fs/cgroup/cpu.max": "150000 100000\n"}),
        ("throttling", "25.0% of the periods", {"sys/fs/cgroup/cpu.stat": "nr_periods 8\nnr_throttled 2\n"}),
        ("memory", "0.5 GiB by the control group", {"sys/fs/cgroup/memory.max": f"{1 << 29}\n"}),
        ("huge pages", "never", {"sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]\n"}),
        (
            "clock source",
            "hpet",
            {"sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n"},
        ),
    ],
)
def test_each_disturbance_is_one_bad_finding_with_a_remedy(
    tmp_path: Path, name: str, value: str, files: dict[str, str]
) -> None:
    facts = read_machine(write_system(tmp_path, files), TWO)
    (bad,) = [finding for finding in machine_findings(facts) if finding.verdict != "good"]
    assert (bad.name, bad.value, bad.verdict) == (name, value, "bad")
    assert bad.remedy


def test_what_a_system_does_not_tell_is_unknown(tmp_path: Path) -> None:
    facts = read_machine(tmp_path, TWO)
    assert not [finding for finding in machine_findings(facts) if finding.verdict == "bad"]
    assert [finding.verdict for finding in watched_findings(watch(tmp_path, lambda seconds: None))] == [
        "unknown"
    ] * 2


def test_steal_time_and_other_processes_are_those_of_the_time_watched(tmp_path: Path) -> None:
    root = write_system(tmp_path, {})

    def pass_time(seconds: float) -> None:
        (root / "proc/stat").write_text("cpu  140 0 50 840 10 0 0 20 0 0\n")

    watched = watch(root, pass_time)
    assert watched == Watched(stolen=0.2, busy_cores=0.8)
    assert [finding.verdict for finding in watched_findings(watched)] == ["bad", "bad"]
    assert [finding.verdict for finding in watched_findings(Watched(0.0, 0.02))] == ["good", "good"]
