"""Records as rows of the tables."""

from typing import Any

import msgspec
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from tilewright.logs.record import Record


def trial_row(record: Record) -> dict[str, Any]:
    """The row of a trial: what queries need in columns, and the whole as a line."""
    return {
        "key": record.key,
        "config_hash": record.config_hash,
        "attempt": record.attempt,
        "op": record.workload.op,
        "cpu": record.target.cpu,
        "threads": record.target.threads,
        "config": _json(record.config),
        "state": record.state,
        "seconds": record.seconds,
        "reference_ratio": record.reference_ratio,
        "at": record.at.isoformat(),
        "line": record.to_json(),
    }


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


def insert_new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> int:
    """Insert the rows that clash with none; how many they were."""
    statement = postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
    return connection.execute(statement.on_conflict_do_nothing(), rows).rowcount


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
