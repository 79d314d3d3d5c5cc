"""Stamping a fresh database with its schema, migrating an older one, refusing what is not ours or newer."""

from sqlalchemy.engine import Engine

from tilewright.logs.engine import Location, exclude_others, writing
from tilewright.logs.errors import DatabaseError
from tilewright.logs.schema import SCHEMA_VERSION, metadata
from tilewright.logs.stamp import Stamp, read_stamp, write_stamp


def ensure_schema(engine: Engine, location: Location, *, read_only: bool) -> int:
    """Create the tables of an empty database, or migrate those of an older one; the schema it has then.

    What is opened for reading keeps its schema.

    Raises:
        DatabaseError: the database belongs to another program or to a newer Tilewright.
    """
    with engine.connect() as connection:
        stamp = read_stamp(connection)
    if stamp is None:
        if read_only:
            raise DatabaseError(f"{location.name} is empty: nothing has been recorded in it")
        _create(engine)
        return SCHEMA_VERSION
    _check(stamp, location.name)
    if stamp.schema == SCHEMA_VERSION or read_only:
        return stamp.schema
    from tilewright.logs.migrations.migrate import migrate  # Alembic is slow to import

    migrate(engine, location, stamp.schema)
    return SCHEMA_VERSION


def _create(engine: Engine) -> None:
    with writing(engine) as connection, connection.begin():
        exclude_others(connection)
        # Another process may have been first; the write lock is held from here on.
        if read_stamp(connection) is None:
            metadata.create_all(connection)
            write_stamp(connection, SCHEMA_VERSION)


def _check(stamp: Stamp, name: str) -> None:
    if stamp.other:
        raise DatabaseError(f"{name} is a database of another program (it has a table {stamp.other!r})")
    if stamp.schema < 1:
        raise DatabaseError(f"{name} is a database of another program (its schema has no version)")
    if stamp.schema > SCHEMA_VERSION:
        maker = f" {stamp.made_by}" if stamp.made_by else ""
        raise DatabaseError(
            f"{name} was made by a newer Tilewright{maker} (schema {stamp.schema}; this one knows"
            f" {SCHEMA_VERSION}): upgrade Tilewright"
        )
