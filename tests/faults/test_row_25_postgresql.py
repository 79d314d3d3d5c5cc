"""Row 25 on a real PostgreSQL server: the same promises as on a file."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from tests.faults.postgres_server import running_server
from tests.faults.writers import CONTEXT, Writer
from tests.logs.records import cost, make
from tilewright.logs.apply import apply_best
from tilewright.logs.errors import DatabaseError
from tilewright.logs.integrity import check
from tilewright.logs.merging import merge_into
from tilewright.logs.migrations.migrate import STEPS
from tilewright.logs.pruning import prune
from tilewright.logs.recovery import recover
from tilewright.logs.schema import SCHEMA_VERSION
from tilewright.logs.store import RecordStore
from tilewright.measure.result import failed

PROCESSES = 8


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    """The server with no table on it."""
    engine = sqlalchemy.create_engine(server)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    engine.dispose()
    return server


def stored(url: str) -> Counter[int]:
    with RecordStore(url, read_only=True) as store:
        return Counter(record.config["i"] for record in store.iter_trials())


def test_row_25_a_server_keeps_what_a_file_keeps(url: str) -> None:
    records = [make(cost(1e-4 * (i + 1), 10.0 + i), config={"i": i}) for i in range(20)]
    with RecordStore(url) as store:
        assert store.add_all(records) == 20
        assert store.add_all(records) == 0
        assert not store.add(records[0])
        assert list(store.iter_trials()) == store.trials(make().key) == records
        assert [brief.id for brief in store.briefs(make().key)] == [record.id for record in records]
        assert store.new_trials(make().key, {record.id for record in records[1:]}) == records[:1]
        assert store.best(make().key) == records[0]
        store.add_playoff(records[3])
        assert store.best(make().key) == records[3]
        assert [record.config["i"] for record in store.iter_best()] == [3]
        assert store.states() == {"ok": 20}
        assert store.attempts(make().key, {"i": 1}) == 1
        assert store.find(records[7].id) == [records[7]]
        assert store.lease(make().key, {"i": 1}, "a")
        assert store.lease_all(make().key, [{"i": 1}, {"i": 2}], "b") == [False, True]
        assert store.lease_owners(make().key) == ["a", "b"] or store.lease_owners(make().key) == ["b", "a"]
        store.release("a")
        assert store.lease(make().key, {"i": 1}, "b")
    with apply_best(url) as applied:
        assert applied.find(make().key) == records[3]
    assert check(url) == {"trials": 20, "problems": []}


def test_row_25_a_server_is_pruned_and_merged(url: str, tmp_path: Path) -> None:
    with RecordStore(tmp_path / "tune.db") as store:
        store.add_all(make(cost(1e-4 * (i + 1)), config={"i": i}) for i in range(5))
        store.add(make(failed("crash", "why", "SIGSEGV"), config={"c": 1}))
    with RecordStore(url) as store:
        assert merge_into(store, [tmp_path / "tune.db"])["trials"] == 6
        assert merge_into(store, [tmp_path / "tune.db"])["trials"] == 0
        assert prune(store, 2) == {"removed": 4, "kept": 2, "workloads": 1}
        assert [(row["state"], row["trials"]) for row in store.pruned()] == [("crash", 1)]
    with pytest.raises(DatabaseError, match="on a server"):
        recover(url, tmp_path / "new.db")


def test_row_25_eight_tuners_start_at_once_on_an_empty_server(url: str) -> None:
    writers = [Writer(url, 40) for _ in range(PROCESSES)]
    told = Counter(number for writer in writers for _, number in writer.finish())
    assert told == stored(url) == Counter(range(40))


def test_row_25_tuners_of_a_server_are_killed_and_lose_nothing(url: str) -> None:
    RecordStore(url).close()
    acknowledged: list[int] = []
    for _ in range(4):
        writers = [Writer(url, 10_000, owner="a"), Writer(url, 10_000, owner="b")]
        for writer in writers:
            acknowledged += [number for _, number in writer.acknowledged(15)]
        for writer in writers:
            acknowledged += [number for _, number in writer.kill()]
    assert Counter(acknowledged) <= stored(url)


def old_schema(url: str) -> None:
    """Undo what came after schema 1."""
    with RecordStore(url) as store:
        store.add_all(make(config={"i": i}) for i in range(5))
    change(
        url,
        "DROP TABLE pruned",
        "ALTER TABLE trials DROP COLUMN checksum",
        "UPDATE meta SET value = '1' WHERE name = 'schema_version'",
    )


def change(url: str, *statements: str) -> None:
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_row_34_an_older_schema_on_a_server_is_migrated(url: str) -> None:
    old_schema(url)
    with RecordStore(url, read_only=True) as store:
        assert (store.schema, store.count(), len(store.briefs(make().key))) == (1, 5, 5)
    with RecordStore(url) as store:
        assert (store.schema, store.count(), store.pruned()) == (SCHEMA_VERSION, 5, [])


def _migrate_and_die(url: str) -> None:
    step = STEPS[1]

    def deadly(operations: object) -> None:
        step(operations)  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGKILL)

    STEPS[1] = deadly
    RecordStore(url)


def test_row_34_a_migration_on_a_server_that_is_killed_loses_nothing(url: str) -> None:
    old_schema(url)
    process = CONTEXT.Process(target=_migrate_and_die, args=(url,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with RecordStore(url, read_only=True) as store:
        assert (store.schema, store.count()) == (1, 5)
    with RecordStore(url) as store:
        assert (store.schema, store.count()) == (SCHEMA_VERSION, 5)


def test_row_34_a_newer_schema_and_another_program_on_a_server_are_refused(url: str) -> None:
    RecordStore(url).close()
    change(url, "UPDATE meta SET value = '99' WHERE name = 'schema_version'")
    with pytest.raises(DatabaseError, match="newer Tilewright"):
        RecordStore(url)
    change(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public", "CREATE TABLE songs (a INTEGER)")
    with pytest.raises(DatabaseError, match="another program"):
        RecordStore(url)


def test_row_24_a_server_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError) as caught:
        RecordStore(f"postgresql+psycopg://tuner:secret@/postgres?host={tmp_path}")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
