"""Records as rows of the tables."""

from typing import Any

import msgspec
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from tilewright.logs.brief_record import line_checksum
from tilewright.logs.record import Record
from tilewright.logs.schema import trials

_TRIAL = tuple(column.name for column in trials.columns if column.name != "id")


def trial_row(record: Record) -> tuple[Any, ...]:
    """The row of a trial but for its number: what queries need, the whole as a line, the line's checksum."""
    line = record.to_json()
    return (
        record.key,
        record.config_hash,
        record.attempt,
        record.workload.op,
        record.target.cpu,
        record.target.threads,
        _json(record.config),
        record.state,
        record.seconds,
        record.reference_ratio,
        record.at.isoformat(),
        line,
        line_checksum(line),
    )


def insert_trials(connection: Connection, rows: list[tuple[Any, ...]]) -> int:
    """Insert the trials that are new; how many they were."""
    return insert_new(connection, trials, _TRIAL, rows)


def playoff_row(winner: Record) -> dict[str, Any]:
    """The row of one who took part in a play-off."""
    return {
        "key": winner.key,
        "op": winner.workload.op,
        "config": _json(winner.config),
        "seconds": winner.seconds,
        "at": winner.at.isoformat(),
        "line": winner.to_json(),
    }


def insert_new(
    connection: Connection, table: Table, names: tuple[str, ...], rows: list[tuple[Any, ...]]
) -> int:
    """Insert the rows that clash with none; how many they were."""
    if connection.dialect.name == "postgresql":
        # Its driver does not count the rows of many; those that come back are the new ones.
        returning = postgresql.insert(table).on_conflict_do_nothing().returning(table.c[names[0]])
        return len(connection.execute(returning, [dict(zip(names, row, strict=True)) for row in rows]).all())
    statement = sqlite.insert(table).on_conflict_do_nothing()
    compiled = statement.compile(dialect=connection.dialect, column_keys=names)
    assert compiled.positiontup == list(names)
    # Tuples go to SQLite as they are; SQLAlchemy's own way would take as long as SQLite itself.
    return connection.exec_driver_sql(str(compiled), rows).rowcount


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
