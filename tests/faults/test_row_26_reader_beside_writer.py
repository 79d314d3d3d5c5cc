"""Row 26: a report is open while tuning; neither fails, and the write-ahead log stays bounded."""

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from tests.logs.records import make
from tilewright.logs.store import RecordStore

LARGEST_LOG_BYTES = 64 << 20
TRIALS_A_SECOND = 20  # of a quick tuner; a report is open for a minute


def write_beside_a_reader(path: Path, seconds: int) -> int:
    """Store what a minute of tuning does while a read transaction is open; the largest size of the log."""
    largest = 0
    with RecordStore(path) as store, contextlib.closing(sqlite3.connect(path)) as reader:
        store.add(make(config={"i": 0}))
        reader.execute("BEGIN")
        (before,) = reader.execute("SELECT count(*) FROM trials").fetchone()
        for number in range(1, TRIALS_A_SECOND * seconds):
            store.add(make(config={"i": number}))
            largest = max(largest, os.path.getsize(f"{path}-wal"))
        assert reader.execute("SELECT count(*) FROM trials").fetchone() == (before,)
        reader.rollback()
        assert reader.execute("SELECT count(*) FROM trials").fetchone() == (TRIALS_A_SECOND * seconds,)
    return largest


def test_row_26_the_log_is_bounded_beside_a_reader(tmp_path: Path) -> None:
    largest = write_beside_a_reader(tmp_path / "tune.db", seconds=15)
    assert largest < LARGEST_LOG_BYTES // 4


@pytest.mark.slow
def test_row_26_a_transaction_of_60_seconds_leaves_the_log_under_64_mb(tmp_path: Path) -> None:
    largest = write_beside_a_reader(tmp_path / "tune.db", seconds=60)
    assert largest < LARGEST_LOG_BYTES


def test_row_26_the_log_is_bounded_without_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "tune.db"
    with RecordStore(path) as store:
        for start in range(0, 20_000, 1000):
            store.add_all(make(config={"i": start + i, "text": "x" * 4000}) for i in range(1000))
            assert os.path.getsize(f"{path}-wal") < LARGEST_LOG_BYTES
