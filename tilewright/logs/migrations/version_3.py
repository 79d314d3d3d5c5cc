"""Schema 3: the checksum of each trial's line as it is stored. Rows of before have none."""

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column

if TYPE_CHECKING:
    from alembic.operations import Operations


def upgrade(operations: "Operations") -> None:
    """From schema 2."""
    operations.add_column("trials", Column("checksum", BigInteger))
