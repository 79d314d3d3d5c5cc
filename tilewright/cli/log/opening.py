"""Opening what the commands on records read."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tilewright.logs.store import RecordStore


def open_store(db: str) -> "RecordStore":
    """The records of a database, for reading."""
    from tilewright.logs.store import RecordStore

    return RecordStore(db, read_only=True)


def source_argument(text: str = "source") -> click.Argument:
    """A database or a log; without it the database of `--db` is meant."""
    return click.Argument([text], required=False)
