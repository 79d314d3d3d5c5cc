"""The store: nothing acknowledged is lost, nothing is stored twice, and every failure is one clear line."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from tests.logs.records import AT, OK, cost, make
from tilewright.logs.engine import locate
from tilewright.logs.errors import DatabaseError, RecordError
from tilewright.logs.store import RecordStore
from tilewright.measure.result import MeasureResult

WRITER = """
import sys
from tests.logs.records import make
from tilewright.logs.store import RecordStore
path, owner, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with RecordStore(path) as store:
    for i in range(count):
        config = {"writer": owner, "i": i} if owner != "shared" else {"i": i}
        print(i, int(store.add(make(config=config))), flush=True)
"""


def start_writer(path: Path, owner: str, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(path), owner, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with RecordStore(tmp_path / "tune.db") as made:
        yield made


def test_what_is_added_comes_back(store: RecordStore) -> None:
    records = [make(config={"i": i}) for i in range(3)]
    assert [store.add(record) for record in records] == [True] * 3
    assert store.trials(records[0].key) == records
    assert list(store.iter_trials()) == records
    assert store.count() == store.count(records[0].key) == 3
    assert store.count("other") == 0


def test_a_trial_is_stored_once(store: RecordStore) -> None:
    assert store.add(make())
    assert not store.add(make())
    assert not store.add(make(cost(2e-4)))
    assert store.add(make(attempt=2))
    assert store.attempts(make().key, make().config) == 2
    assert store.attempts(make().key, {"new": 1}) == 0


def test_many_are_added_in_one_transaction(store: RecordStore) -> None:
    records = [make(config={"i": i % 4}) for i in range(8)]
    assert store.add_all(records) == 4


def test_the_best_is_the_lowest_relative_to_the_reference(store: RecordStore) -> None:
    store.add(make(cost(1e-4, 100.0), config={"i": 0}))
    store.add(make(cost(2e-4, 50.0), config={"i": 1}))  # measured while the machine was slow
    store.add(make(MeasureResult(state="crash", error="x"), config={"i": 2}))
    store.add(make(MeasureResult(state="slow", seconds=1e-6), config={"i": 3}))
    best = store.best(make().key)
    assert best is not None
    assert best.config == {"i": 1}
    assert store.best("other") is None


def test_seconds_decide_without_a_reference(store: RecordStore) -> None:
    for i, seconds in enumerate((3e-4, 1e-4, 2e-4)):
        store.add(make(cost(seconds), config={"i": i}))
    best = store.best(make().key)
    assert best is not None
    assert best.config == {"i": 1}


def test_the_latest_play_off_decides(store: RecordStore) -> None:
    store.add(make(cost(1e-4), config={"i": 0}))
    store.add(make(cost(2e-4), config={"i": 1}))
    for i in (0, 1):
        store.add_playoff(make(cost(1.5e-4), config={"i": i}))
    best = store.best(make().key)
    assert best is not None
    assert (best.config, best.seconds) == ({"i": 1}, 1.5e-4)


def test_a_failure_cannot_win_a_play_off(store: RecordStore) -> None:
    with pytest.raises(RecordError, match="not ok"):
        store.add_playoff(make(MeasureResult(state="crash", error="x")))


def test_the_best_of_every_workload(store: RecordStore) -> None:
    for op in ("softmax", "matmul"):
        for i in range(2):
            store.add(make(cost(1e-4 * (i + 1)), workload={"op": op, "args": {}}, config={"i": i}))
    store.add(make(MeasureResult(state="invalid", error="x"), workload={"op": "dense", "args": {}}))
    assert [(record.workload.op, record.config["i"]) for record in store.iter_best()] == [
        ("matmul", 0),
        ("softmax", 0),
    ]
    assert [record.workload.op for record in store.iter_best("softmax")] == ["softmax"]


def test_states_are_counted(store: RecordStore) -> None:
    store.add(make(OK, config={"i": 0}))
    store.add(make(MeasureResult(state="crash", error="x"), config={"i": 1}))
    assert store.states() == {"ok": 1, "crash": 1}


def test_a_lease_is_exclusive_until_it_expires(store: RecordStore) -> None:
    key, config = make().key, make().config
    assert store.lease(key, config, "a")
    assert store.lease(key, config, "a")
    assert not store.lease(key, config, "b")
    assert store.lease(key, {"other": 1}, "b")
    store.release("a")
    assert store.lease(key, config, "b", seconds=-1)
    assert store.lease(key, config, "a")


def test_leases_are_granted_together(store: RecordStore) -> None:
    configs = [{"i": i} for i in range(3)]
    assert store.lease(make().key, configs[1], "a")
    assert store.lease_all(make().key, configs, "b") == [True, False, True]


def test_a_damaged_row_is_skipped(store: RecordStore) -> None:
    store.add(make(cost(1e-4), config={"i": 0}))
    store.add(make(cost(2e-4), config={"i": 1}))
    with sqlite3.connect(store.name) as raw:
        raw.execute("UPDATE trials SET line = replace(line, '0.0001', '0.00001') WHERE id = 1")
    raw.close()
    best = store.best(make().key)
    assert best is not None
    assert best.config == {"i": 1}
    assert len(store.trials(make().key)) == 1


def test_many_damaged_rows_hide_no_sound_one(store: RecordStore) -> None:
    store.add_all(make(cost(1e-4 * (i + 1), 10.0 + i), config={"i": i}) for i in range(40))
    with sqlite3.connect(store.name) as raw:
        raw.execute("UPDATE trials SET line = 'x' WHERE id <= 30")
        raw.execute("UPDATE trials SET line = replace(line, 'matmul', 'softmax') WHERE id = 31")
    raw.close()
    best = store.best(make().key)
    assert best is not None
    assert best.config == {"i": 31}
    assert [record.config["i"] for record in store.best_trials(make().key, 3)] == [31, 32, 33]


def test_a_row_of_another_key_never_wins(store: RecordStore) -> None:
    other = make(cost(1e-6), workload={"op": "softmax", "args": {}}, config={"i": 9})
    store.add_all([other, make(cost(1e-4))])
    with sqlite3.connect(store.name) as raw:
        raw.execute("UPDATE trials SET key = ? WHERE id = 1", (make().key,))
    raw.close()
    assert store.best(make().key) == make(cost(1e-4))
    assert store.trials(make().key) == [make(cost(1e-4))]


def test_those_without_a_reference_rank_last(store: RecordStore) -> None:
    store.add_all([make(cost(1e-6), config={"i": 0}), make(cost(2e-4, 50.0), config={"i": 1})])
    assert [record.config["i"] for record in store.best_trials(make().key, 5)] == [1, 0]


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "tune.db"
    acknowledged: set[tuple[str, int]] = set()
    for round_number in range(3):
        writers = {owner: start_writer(path, f"{owner}{round_number}", 100_000) for owner in "ab"}
        for writer in writers.values():
            assert writer.stdout is not None
            for _ in range(20 + 7 * round_number):
                writer.stdout.readline()
        for owner, writer in writers.items():
            writer.send_signal(signal.SIGKILL)
            lines = writer.communicate()[0].splitlines()
            last = int(lines[-1].split()[0]) if lines and lines[-1].count(" ") else 0
            acknowledged |= {(f"{owner}{round_number}", i) for i in range(last + 1)}
    with RecordStore(path) as store:
        found = {(record.config["writer"], record.config["i"]) for record in store.iter_trials()}
        assert acknowledged <= found
        assert store.problems() == []


def test_four_writers_start_at_once_on_no_database(tmp_path: Path) -> None:
    path = tmp_path / "tune.db"
    writers = [start_writer(path, owner, 60) for owner in ("shared", "shared", "c", "d")]
    outputs = [writer.communicate(timeout=60)[0].split("\n") for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4
    stored = sum(line.endswith(" 1") for output in outputs for line in output)
    with RecordStore(path) as store:
        assert store.count() == stored == 60 * 3
        assert store.problems() == []


def test_a_reader_does_not_stop_a_writer(store: RecordStore) -> None:
    store.add(make(config={"i": 0}))
    with sqlite3.connect(store.name) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM trials").fetchall()
        start = time.monotonic()
        for i in range(1, 20):
            store.add(make(config={"i": i}))
        assert time.monotonic() - start < 2
    reader.close()


def test_closing_leaves_one_file(tmp_path: Path) -> None:
    with RecordStore(tmp_path / "tune.db") as store:
        for i in range(250):
            store.add(make(config={"i": i}))
    assert os.listdir(tmp_path) == ["tune.db"]


def test_a_reader_leaves_one_file(tmp_path: Path) -> None:
    with RecordStore(tmp_path / "tune.db") as store:
        store.add(make())
    with RecordStore(tmp_path / "tune.db", read_only=True) as reader:
        assert reader.count() == 1
    assert os.listdir(tmp_path) == ["tune.db"]


def test_a_file_in_a_folder_without_write_permission_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordStore(tmp_path / "tune.db") as store:
        store.add(make())
    granted = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: mode != os.W_OK if path == tmp_path else granted(path, mode)
    )
    with RecordStore(tmp_path / "tune.db") as reader:
        assert reader.read_only
        assert reader.count() == 1


def test_the_play_offs_of_a_key_come_in_their_order(store: RecordStore) -> None:
    winners = [make(cost(1e-4 * (i + 1)), config={"i": i}) for i in range(3)]
    for winner in winners:
        store.add_playoff(winner)
    assert store.playoffs(make().key) == winners
    assert store.playoffs("other") == []


def test_descriptors_do_not_grow(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with RecordStore(tmp_path / "tune.db") as store:
            store.add(make())
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_reader_reads_and_cannot_write(store: RecordStore) -> None:
    store.add(make())
    with RecordStore(store.name, read_only=True) as reader:
        assert reader.best(make().key) == make()
        with pytest.raises(DatabaseError, match="read-only"):
            reader.add(make(attempt=2))


def test_a_file_without_write_permission_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tune.db"
    with RecordStore(path) as store:
        store.add(make())
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)
    with RecordStore(path) as reader:
        assert reader.read_only
        assert reader.count() == 1


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_text("hello, this is text")
    with pytest.raises(DatabaseError, match=r"x\.db is not a SQLite database: "):
        RecordStore(path)
    path.write_bytes(b"SQLite format 3\x00" + os.urandom(4096))
    with pytest.raises(DatabaseError, match=r"x\.db"):
        RecordStore(path)


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.touch()
    with RecordStore(path) as store:
        assert store.add(make())


def test_overwritten_pages_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with RecordStore(path) as store:
        store.add_all(make(config={"i": i}) for i in range(100))
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(DatabaseError, match=r"x\.db is damaged"), RecordStore(path) as store:
        list(store.iter_trials())


def test_a_missing_folder_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"folder .*nowhere does not exist"):
        RecordStore(tmp_path / "nowhere" / "tune.db")
    with pytest.raises(DatabaseError, match="is a folder"):
        RecordStore(tmp_path)
    with pytest.raises(DatabaseError, match=r"tune\.db does not exist"):
        RecordStore(tmp_path / "tune.db", read_only=True)
    assert os.listdir(tmp_path) == []


def test_permission_denied_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tune.db"
    RecordStore(path).close()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DatabaseError, match=r"cannot read .*tune\.db: permission denied"):
        RecordStore(path)
    with pytest.raises(DatabaseError, match=r"cannot create .*new\.db: permission denied"):
        RecordStore(tmp_path / "new.db")


def test_a_full_disk_is_named_and_loses_nothing(store: RecordStore) -> None:
    store.add(make())

    @sqlalchemy.event.listens_for(store._engine, "begin")
    def limit(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count=1")

    with pytest.raises(DatabaseError, match=r"cannot write .*tune\.db: the disk is full"):
        store.add_all(make(config={"i": i, "text": "x" * 2000}) for i in range(200))
    assert store.count() == 1


def test_a_newer_schema_and_another_program_are_refused(tmp_path: Path) -> None:
    newer, other = tmp_path / "newer.db", tmp_path / "other.db"
    RecordStore(newer).close()
    for path, statement in (
        (newer, "UPDATE meta SET value = '99' WHERE name = 'schema_version'"),
        (other, "CREATE TABLE songs (id INTEGER)"),
    ):
        with sqlite3.connect(path) as raw:
            raw.execute(statement)
        raw.close()
    with pytest.raises(DatabaseError, match=r"newer Tilewright .*schema 99"):
        RecordStore(newer)
    with pytest.raises(DatabaseError, match=r"another program .it has a table 'songs'"):
        RecordStore(other)


def test_urls_name_other_databases() -> None:
    assert locate("sqlite:///x/tune.db").path == Path("x/tune.db")
    assert "secret" not in locate("postgresql+nothing://me:secret@host/db").name
    with pytest.raises(DatabaseError, match="driver is missing"):
        RecordStore("nothing://host/db")
    with pytest.raises(DatabaseError, match="in memory"):
        RecordStore("sqlite://")


def test_the_time_is_kept_with_its_zone(store: RecordStore) -> None:
    store.add(make())
    assert store.trials(make().key)[0].at == AT
