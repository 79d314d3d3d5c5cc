"""Stamping a fresh database with its schema, and refusing what is not ours or newer."""

import sqlalchemy
from sqlalchemy import insert, select
from sqlalchemy.engine import Engine

from tilewright.logs.engine import writing
from tilewright.logs.errors import DatabaseError
from tilewright.logs.schema import SCHEMA_VERSION, facts, metadata

_STAMP = "schema_version"


def ensure_schema(engine: Engine, name: str, *, read_only: bool) -> None:
    """Create the tables of an empty database; check the stamp of another.

    Raises:
        DatabaseError: the database belongs to another program or to a newer Tilewright.
    """
    if _check_stamp(engine, name):
        return
    if read_only:
        raise DatabaseError(f"{name} is empty: nothing has been recorded in it")
    with writing(engine) as connection, connection.begin():
        # Another process may have been first; the write lock is held from here on.
        if not sqlalchemy.inspect(connection).has_table(facts.name):
            metadata.create_all(connection)
            connection.execute(insert(facts).values(name=_STAMP, value=str(SCHEMA_VERSION)))


def _check_stamp(engine: Engine, name: str) -> bool:
    """True when the stamp is ours; false when there are no tables at all."""
    with engine.connect() as connection:
        tables = sqlalchemy.inspect(connection).get_table_names()
        if not tables:
            return False
        if facts.name not in tables:
            raise DatabaseError(f"{name} is a database of another program (it has a table {tables[0]!r})")
        stamp = connection.execute(select(facts.c.value).where(facts.c.name == _STAMP)).scalar()
    if stamp is None or not stamp.isdigit():
        raise DatabaseError(f"{name} is a database of another program (its schema has no version)")
    if int(stamp) > SCHEMA_VERSION:
        raise DatabaseError(
            f"{name} was made by a newer Tilewright (schema {stamp}; this one knows {SCHEMA_VERSION}):"
            " upgrade Tilewright"
        )
    return True
