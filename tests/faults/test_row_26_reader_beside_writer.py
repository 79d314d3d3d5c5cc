"""Row 26: a report is open while tuning; neither fails, and the write-ahead log stays bounded."""

import contextlib
import os
import sqlite3
import statistics
import time
from pathlib import Path

import pytest

from tests.logs.records import make
from tilewright.logs.store import RecordStore

LARGEST_LOG_BYTES = 64 << 20
MOST_SLOWDOWN = 0.01
TRIAL_SECONDS = 0.05
ROUNDS, BURST = 40, 25
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


@pytest.mark.slow
def test_row_26_a_reader_slows_tuning_by_less_than_1_percent(tmp_path: Path) -> None:
    """Trials take `TRIAL_SECONDS`, and with and without a reader take turns; what counts is their storing."""
    times: dict[bool, list[float]] = {False: [], True: []}
    path = tmp_path / "tune.db"
    with RecordStore(path) as store, contextlib.closing(sqlite3.connect(path)) as reader:
        for number in range(ROUNDS):
            for has_reader in (False, True):
                if has_reader:
                    reader.execute("BEGIN")
                    reader.execute("SELECT count(*) FROM trials").fetchone()
                times[has_reader] += [store_trial(store, number, has_reader, place) for place in range(BURST)]
                reader.rollback()
    alone, beside = (statistics.median(times[has_reader]) for has_reader in (False, True))
    slowdown = (beside - alone) / TRIAL_SECONDS
    print(f"{1e3 * alone:.3f} ms alone, {1e3 * beside:.3f} ms beside a reader: {slowdown:.2%} of a trial")
    assert slowdown < MOST_SLOWDOWN


def store_trial(store: RecordStore, *name: int) -> float:
    """The seconds that a trial's storing takes."""
    record = make(config={"name": list(name)})
    start = time.perf_counter()
    store.add(record)
    return time.perf_counter() - start
