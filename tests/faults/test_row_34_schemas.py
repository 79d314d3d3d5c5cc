"""Row 34: a database of every released schema opens and keeps every row; a newer one is refused."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Tilewright
from tests.logs.records import make
from tilewright.logs.apply import apply_best
from tilewright.logs.errors import DatabaseError
from tilewright.logs.integrity import check
from tilewright.logs.migrations import migrate as migrations
from tilewright.logs.record import Record
from tilewright.logs.recovery import recover
from tilewright.logs.schema import SCHEMA_VERSION, metadata
from tilewright.logs.store import RecordStore

RELEASED = sorted((Path(__file__).parents[1] / "data" / "databases").glob("schema_*.db"))
ROWS, PLAYOFFS = 7, 2


def copy_of(source: Path, folder: Path) -> Path:
    return Path(shutil.copy(source, folder / "tune.db"))


def lines_of(path: Path) -> list[tuple[Any, ...]]:
    """The rows as SQLite has them, without our code, but for checksums, which are not in every schema."""
    with contextlib.closing(sqlite3.connect(path)) as raw:
        return [
            row[: 1 + names.index("line")]
            for table in ("trials", "playoffs")
            for names in [[name for _, name, *_ in raw.execute(f"PRAGMA table_info({table})")]]
            for row in raw.execute(f"SELECT * FROM {table} ORDER BY id")
        ]


def version_of(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as raw:
        return int(raw.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()[0])


def test_row_34_there_is_a_database_of_every_schema_before_this() -> None:
    assert [version_of(path) for path in RELEASED] == list(range(1, SCHEMA_VERSION))
    assert sorted(migrations.STEPS) == list(range(1, SCHEMA_VERSION))


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.stem)
def test_row_34_every_row_is_readable_after_an_upgrade_with_a_backup(released: Path, tmp_path: Path) -> None:
    path = copy_of(released, tmp_path)
    before, version = lines_of(path), version_of(path)
    with RecordStore(path) as store:
        assert store.schema == SCHEMA_VERSION
        assert (store.count(), len(list(store.iter_trials())), len(store.playoffs())) == (
            ROWS,
            ROWS,
            PLAYOFFS,
        )
        assert store.pruned() == []
        assert store.add(make(config={"new": 1}))
        assert store.problems() == []
    assert lines_of(path)[:ROWS] == before[:ROWS]
    backup = tmp_path / f"tune.db.schema{version}"
    assert sorted(os.listdir(tmp_path)) == ["tune.db", backup.name]
    assert (lines_of(backup), version_of(backup)) == (before, version)


def test_row_34_a_migrated_database_is_as_a_new_one(tmp_path: Path) -> None:
    path = copy_of(RELEASED[0], tmp_path)
    RecordStore(path).close()
    RecordStore(tmp_path / "new.db").close()
    described = []
    for name in ("tune.db", "new.db"):
        with contextlib.closing(sqlite3.connect(tmp_path / name)) as raw:
            columns = {
                table: raw.execute(f"PRAGMA table_info({table})").fetchall() for table in metadata.tables
            }
            indices = {
                table: raw.execute(f"PRAGMA index_list({table})").fetchall() for table in metadata.tables
            }
            described.append((columns, indices))
    assert described[0] == described[1]


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.stem)
def test_row_34_what_is_opened_for_reading_is_not_changed(released: Path, tmp_path: Path) -> None:
    path = copy_of(released, tmp_path)
    before = path.read_bytes()
    with RecordStore(path, read_only=True) as store:
        assert store.schema == version_of(path)
        assert len(list(store.iter_trials())) == ROWS
        assert store.pruned() == []
    with apply_best(path) as applied:
        assert applied.find(make().key) is not None
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["tune.db"]


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.stem)
def test_row_34_a_search_sees_the_rows_of_every_schema(released: Path, tmp_path: Path) -> None:
    path, key = copy_of(released, tmp_path), make().key
    with RecordStore(path, read_only=True) as store:
        before = store.briefs(key)
        assert [brief.id for brief in before] == [record.id for record in store.trials(key)]
        assert before
    with RecordStore(path) as store:
        assert store.briefs(key) == before
    assert check(path)["problems"] == []


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.stem)
def test_row_34_rows_of_before_and_after_an_upgrade_are_recovered(released: Path, tmp_path: Path) -> None:
    path, new = copy_of(released, tmp_path), make(config={"new": 1})
    with RecordStore(path) as store:
        store.add(new)
        kept = list(store.iter_trials())
    report = recover(path, tmp_path / "saved.db")
    assert report == {"trials": ROWS + 1, "playoffs": PLAYOFFS, "damaged": 0}
    with RecordStore(tmp_path / "saved.db") as store:
        assert list(store.iter_trials()) == kept


def test_row_34_a_newer_schema_is_refused_by_the_version_that_made_it(
    tilewright: Tilewright, tmp_path: Path
) -> None:
    path = tmp_path / "tune.db"
    RecordStore(path).close()
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE meta SET value = '99' WHERE name = 'schema_version'")
        raw.execute("UPDATE meta SET value = '7.8.9' WHERE name = 'made_by'")
        raw.commit()
    before = path.read_bytes()
    for words in (("best",), ("log", "stats"), ("log", "import", "x.jsonl"), ("log", "prune", "--yes")):
        answer = tilewright(*words)
        assert answer.status == 1
        assert "was made by a newer Tilewright 7.8.9 (schema 99; this one knows" in answer.err
    assert path.read_bytes() == before


def _migrate_and_die(path: Path, moment: str) -> None:
    """Migrate, and be killed before, between or after the statements of the step."""
    step = migrations.STEPS[1]

    def deadly(operations: Any) -> None:
        if moment == "after":
            step(operations)
        elif moment == "between":
            operations.execute("DELETE FROM trials")
            step(operations)
        os.kill(os.getpid(), signal.SIGKILL)

    migrations.STEPS[1] = deadly
    RecordStore(path)


@pytest.mark.parametrize("moment", ["before", "between", "after"])
def test_row_34_a_migration_that_is_killed_loses_nothing(tmp_path: Path, moment: str) -> None:
    path = copy_of(RELEASED[0], tmp_path)
    before = lines_of(path)
    process = multiprocessing.get_context("forkserver").Process(target=_migrate_and_die, args=(path, moment))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (lines_of(path), version_of(path)) == (before, 1)
    with RecordStore(path) as store:
        assert (store.schema, store.count()) == (SCHEMA_VERSION, ROWS)


def test_row_34_a_step_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = copy_of(RELEASED[0], tmp_path)
    before = lines_of(path)

    def failing(operations: Any) -> None:
        operations.execute("DROP TABLE trials")
        operations.execute("nonsense")

    monkeypatch.setitem(migrations.STEPS, 1, failing)
    with pytest.raises(DatabaseError, match=r"tune\.db"):
        RecordStore(path)
    assert (lines_of(path), version_of(path)) == (before, 1)


def _open(path: Path) -> None:
    with RecordStore(path) as store:
        assert store.schema == SCHEMA_VERSION


def test_row_34_several_processes_migrate_at_once(tmp_path: Path) -> None:
    path = copy_of(RELEASED[0], tmp_path)
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=_open, args=(path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(lines_of(path)) == ROWS + PLAYOFFS


def test_row_34_lines_from_before_a_field_keep_their_meaning() -> None:
    with RecordStore(RELEASED[0], read_only=True) as store:
        for record in store.iter_trials():
            assert Record.from_json(record.to_json()) == record
