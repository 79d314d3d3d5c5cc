"""Row 23: the disk is full in the midst of a write; one message, nothing that was acknowledged is lost."""

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
from tilewright.tuning import workers


def test_row_23_a_disk_that_is_full_20_times_loses_nothing(tmp_path: Path, root: Path) -> None:
    assert full_disk.TIMES == 20
    folder = tmp_path / "small"
    folder.mkdir()
    assert run_mounted("tests.faults.full_disk", folder, root, "size=2m") == "done\n"


FULL_AFTER = 2


def test_row_23_the_best_is_printed_when_the_disk_fills_up(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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
    op = f"{root}/tests/scaling.py:scaling"
    assert run(["tune", op, "--n", "64", "--threads", "1", "--tuner", "grid", "--trials", "4"]) == 1
    out, err = capsys.readouterr()
    assert re.search(r"best .*250 us", out)  # the third trial, which could not be stored
    assert "factor=4" in out
    (message,) = [line for line in err.splitlines() if line.startswith("error:")]
    assert re.search(
        r"cannot write tune\.db: the disk is full \(\d+ bytes are free, some \d+ are needed\)", message
    )
