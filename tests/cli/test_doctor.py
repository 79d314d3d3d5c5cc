"""What `doctor` finds out about software and the database, and how it tells."""

import importlib.metadata
import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Tilewright
from tests.simulated_machine import NOMINAL, Machine, Neighbours
from tilewright.cli import doctor
from tilewright.compiler.target import Target
from tilewright.measure.findings import Finding
from tilewright.measure.result import MeasureSetupError
from tilewright.settings import thread_variables
from tilewright.tuning import diagnosis
from tilewright.tuning.diagnosis import (
    clock_finding,
    database_finding,
    noise_finding,
    package_findings,
    processor_findings,
    sqlite_finding,
    thread_findings,
    worker_finding,
)


def test_doctor_examines_this_machine(tilewright: Tilewright, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "watch", lambda: None)
    monkeypatch.setattr(diagnosis, "_NOISE_SECONDS", 0.02)
    answer = tilewright("doctor", "--json")
    assert set(answer.json) == {"verdict", "findings"}
    assert all(set(finding) == {"name", "value", "verdict", "remedy"} for finding in answer.json["findings"])
    found = {finding["name"]: finding for finding in answer.json["findings"]}
    assert found["workers"]["verdict"] == found["database"]["verdict"] == "good"
    assert Target.host().cpu in found["target"]["value"]
    for name in ("cores", "SMT", "frequency governor", "turbo", "load", "CPU quota", "steal time", "memory"):
        assert name in found
    assert found["numpy"]["value"] == importlib.metadata.version("numpy")
    assert answer.status == 0
    assert not Path("tune.db").exists()


@pytest.mark.parametrize(
    ("verdicts", "status", "verdict", "remark"),
    [
        (("good", "unknown"), 0, "good", "a good place to measure"),
        (("good", "bad"), 0, "bad", "mend what is BAD"),
        (("blocked", "bad"), 1, "blocked", "nothing can be measured here"),
    ],
)
def test_the_status_is_1_only_where_nothing_can_be_measured(
    tilewright: Tilewright,
    monkeypatch: pytest.MonkeyPatch,
    verdicts: tuple[Any, ...],
    status: int,
    verdict: str,
    remark: str,
) -> None:
    found = [Finding(f"fact {i}", "so", kind, f"do {i}") for i, kind in enumerate(verdicts)]
    monkeypatch.setattr(doctor, "gather_findings", lambda db: found)
    table = tilewright("doctor")
    assert table.status == tilewright("doctor", "--json").status == status
    assert tilewright("doctor", "--json").json["verdict"] == verdict
    assert remark in table.out
    assert "fact 1: do 1" in table.out


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ((3, 40, 1), "bad"),
        ((3, 44, 5), "bad"),
        ((3, 44, 6), "good"),
        ((3, 45, 9), "bad"),
        ((3, 50, 7), "good"),
        ((3, 51, 2), "bad"),
        ((3, 51, 3), "good"),
        ((3, 53, 0), "good"),
    ],
)
def test_versions_of_sqlite_that_can_damage_a_database_are_known(
    version: tuple[int, int, int], verdict: str
) -> None:
    assert sqlite_finding(version).verdict == verdict


def test_variables_that_take_threads_away_are_bad() -> None:
    set_ones = {
        "NUMBA_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "2",
        "NUMBA_THREADING_LAYER": "workqueue",
        "OMP_PROC_BIND": "true",
        "HOME": "/root",
    }
    found = {f.name: f.verdict for f in thread_findings(thread_variables(set_ones), 2)}
    assert found == {
        "NUMBA_NUM_THREADS": "bad",
        "OMP_NUM_THREADS": "bad",
        "MKL_NUM_THREADS": "good",
        "NUMBA_THREADING_LAYER": "bad",
        "OMP_PROC_BIND": "bad",
    }
    assert [f.verdict for f in thread_findings({}, 2)] == ["good"]


def test_a_missing_package_blocks_unless_the_search_can_do_without() -> None:
    def version_of(name: str) -> str:
        if name in ("xgboost", "numba"):
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    found = {finding.name: finding.verdict for finding in package_findings(version_of)}
    assert (found["xgboost"], found["numba"], found["numpy"]) == ("bad", "blocked", "good")


def test_where_no_database_can_be_is_blocked(tmp_path: Path) -> None:
    assert database_finding(str(tmp_path / "tune.db")).verdict == "good"
    for place in (tmp_path / "none" / "tune.db", tmp_path):
        found = database_finding(str(place))
        assert found.verdict == "blocked"
        assert str(place) in found.remedy
    (tmp_path / "text.db").write_text("this is no database")
    assert "not a SQLite database" in database_finding(str(tmp_path / "text.db")).remedy


def test_workers_that_do_not_start_block() -> None:
    def fail() -> Any:
        raise MeasureSetupError("worker processes cannot start: no memory")

    found = worker_finding(fail)
    assert (found.verdict, "no memory" in found.remedy) == ("blocked", True)


def test_the_noise_is_that_of_the_reference_loop() -> None:
    quiet = Machine()
    calm = noise_finding(quiet.runner("loop", NOMINAL), quiet.meter, quiet.clock)
    assert calm == Finding("noise", "spread 0.0%, 0% of 250 samples disturbed")
    uneven = Machine(lambda now: 1.2 if now > 0.5 else 1.0)
    assert noise_finding(uneven.runner("loop", NOMINAL), uneven.meter, uneven.clock).verdict == "bad"
    crowded = Machine(scheduler=Neighbours(1, most=4))
    assert noise_finding(crowded.runner("loop", NOMINAL), crowded.meter, crowded.clock).verdict == "bad"


def test_a_clock_that_is_slow_to_read_and_a_processor_without_a_name_are_bad() -> None:
    assert clock_finding(itertools.count(step=2000).__next__).verdict == "bad"
    assert clock_finding(itertools.count(step=50).__next__).value == "50 ns a reading"
    (_, target) = processor_findings(Target.named("x86-64"), None)
    assert target.verdict == "bad"
