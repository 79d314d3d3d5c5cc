"""Schema 2: a table of what was pruned."""

from typing import TYPE_CHECKING

from sqlalchemy import Column, Integer, String, Text

if TYPE_CHECKING:
    from alembic.operations import Operations


def upgrade(operations: "Operations") -> None:
    """From schema 1."""
    operations.create_table(
        "pruned",
        Column("key", String(32), primary_key=True),
        Column("state", String(32), primary_key=True),
        Column("signal", String(32), primary_key=True),
        Column("trials", Integer, nullable=False),
        Column("messages", Text, nullable=False),
    )
