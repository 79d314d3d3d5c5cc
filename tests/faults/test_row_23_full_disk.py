"""Row 23: the disk is full in the midst of a write; one message, nothing that was acknowledged is lost."""

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.fake_measurer import FakeMeasurer
from tests.faults import full_disk
from tests.faults.namespaces import run_mounted
from tilewright.cli.application import run
from tilewright.logs import rows as rows_module
from tilewright.logs import store
from tilewright.logs.errors import DatabaseError
from tilewright.tuning import RecordsNotStored, tune_all, workers


def test_row_23_a_disk_that_is_full_20_times_loses_nothing(tmp_path: Path, root: Path) -> None:
    assert full_disk.TIMES == 20
    folder = tmp_path / "small"
    folder.mkdir()
    assert run_mounted("tests.faults.full_disk", folder, root, "size=2m") == "done\n"


FULL_AFTER = 2
FULL = r"cannot write tune\.db: the disk is full \(\d+ bytes are free, some \d+ are needed\)"


@pytest.fixture
def _fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says that the disk is full at the third trial, and at the end, when leases are given back."""

    class Fake(FakeMeasurer):
        pass

    stored: list[Any] = []

    def insert_trials(connection: Any, rows: Any) -> int:
        if len(stored) == FULL_AFTER:
            monkeypatch.setattr(store, "delete", full)
            full()
        stored.append(rows)
        return rows_module.insert_trials(connection, rows)

    def full(*_: Any) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(workers, "Measurer", Fake)
    monkeypatch.setattr(store, "insert_trials", insert_trials)
    monkeypatch.chdir(tmp_path)


def only_error(err: str) -> str:
    (message,) = [line for line in err.splitlines() if line.startswith("error:")]
    return message


@pytest.mark.usefixtures("_fills_up")
def test_row_23_the_best_is_printed_when_the_disk_fills_up(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    op = f"{root}/tests/scaling.py:scaling"
    assert run(["tune", op, "--n", "64", "--threads", "1", "--tuner", "grid", "--trials", "4"]) == 1
    out, err = capsys.readouterr()
    assert re.search(r"best .*250 us", out)  # the third trial, which could not be stored
    assert "factor=4" in out
    assert re.search(FULL, only_error(err))


@pytest.mark.usefixtures("_fills_up")
def test_row_23_the_best_of_several_workloads_is_told_when_the_disk_fills_up(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    op = f"{root}/tests/scaling.py:scaling"
    (tmp_path / "network.json").write_text(json.dumps([{"op": op, "n": 64}, {"op": op, "n": 128}]))
    options = ["--threads", "1", "--tuner", "grid", "--trials", "8", "--strategy", "round-robin", "--json"]
    assert run(["tune-all", "network.json", *options]) == 1
    out, err = capsys.readouterr()
    assert re.search(FULL, only_error(err))
    found = json.loads(out)
    first, second = found["results"]
    assert first["best"]["config"] == {"factor": 4}
    assert first["best"]["seconds"] == 0.25e-3  # the third trial, which could not be stored
    assert first["elapsed_seconds"] > 0
    assert second["best"] is None
    assert (found["trials"], found["total"]["best"]) == (FULL_AFTER, None)


def test_row_23_a_database_that_fails_at_once_has_nothing_to_tell(tmp_path: Path, root: Path) -> None:
    (tmp_path / "tune.db").write_text("no database, yet much longer than nothing" * 20)
    with pytest.raises(DatabaseError) as caught:
        tune_all([("matmul", {"m": 8, "n": 8, "k": 8})], db=tmp_path / "tune.db")
    assert not isinstance(caught.value, RecordsNotStored)
