"""Bringing a database of an older schema up to date: a copy first, then all steps in one transaction."""

import contextlib
import logging
import sqlite3
from pathlib import Path

from sqlalchemy.engine import Engine

from tilewright.logs.engine import Location, exclude_others, writing
from tilewright.logs.errors import DatabaseError
from tilewright.logs.migrations import version_2, version_3
from tilewright.logs.schema import SCHEMA_VERSION
from tilewright.logs.stamp import read_stamp, write_stamp

# The step that leaves each version.
STEPS = {1: version_2.upgrade, 2: version_3.upgrade}

_logger = logging.getLogger(__name__)


def migrate(engine: Engine, location: Location, found: int) -> None:
    """Bring a database from the schema `found` to today's; the caller holds the lock of its folder.

    SQLite and PostgreSQL change tables within transactions: a migration that is cut short changed nothing.

    Raises:
        DatabaseError: there is no way from this schema.
    """
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    copy = None if location.path is None else _copy(location.path, found)
    with writing(engine) as connection, connection.begin():
        exclude_others(connection)
        stamp = read_stamp(connection)  # another process may have been first
        operations = Operations(MigrationContext.configure(connection))
        for version in range(stamp.schema if stamp else found, SCHEMA_VERSION):
            if version not in STEPS:
                raise DatabaseError(
                    f"{location.name} has schema {version}, from which this Tilewright knows no way"
                )
            STEPS[version](operations)
        write_stamp(connection, SCHEMA_VERSION)
    kept = "" if copy is None else f"; a copy of what it was is {copy}"
    _logger.info("%s: migrated from schema %d to %d%s", location.name, found, SCHEMA_VERSION, kept)


def _copy(path: Path, version: int) -> Path:
    """A whole copy of a database beside it, in place of one that an interrupted migration left."""
    copy = path.with_name(f"{path.name}.schema{version}")
    temporary = path.with_name(f".{copy.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        with (
            contextlib.closing(sqlite3.connect(path)) as source,
            contextlib.closing(sqlite3.connect(temporary)) as target,
        ):
            source.backup(target)
        temporary.replace(copy)
    finally:
        temporary.unlink(missing_ok=True)
    return copy
