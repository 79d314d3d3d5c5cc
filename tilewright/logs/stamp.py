"""The stamp of a database: its schema, and the version of Tilewright that made it."""

from dataclasses import dataclass

import sqlalchemy
from sqlalchemy import delete, insert, select
from sqlalchemy.engine import Connection

from tilewright.logs.record import installed_versions
from tilewright.logs.schema import facts

SCHEMA = "schema_version"
MADE_BY = "made_by"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a database says of itself.

    Attributes:
        schema: its version; 0 where it has none of ours.
        made_by: the version of Tilewright, empty where it is not known.
        other: a table of another program, where there is one of that alone.
    """

    schema: int
    made_by: str = ""
    other: str = ""


def read_stamp(connection: Connection) -> Stamp | None:
    """The stamp of a database; None where it has no tables at all."""
    tables = sqlalchemy.inspect(connection).get_table_names()
    if not tables:
        return None
    if facts.name not in tables:
        return Stamp(0, other=tables[0])
    rows = connection.execute(select(facts.c.name, facts.c.value))
    values = {str(name): str(value) for name, value in rows}
    schema = values.get(SCHEMA, "")
    known = schema.isascii() and schema.isdigit() and len(schema) < 9
    return Stamp(int(schema) if known else 0, values.get(MADE_BY, ""))


def write_stamp(connection: Connection, schema: int) -> None:
    """Say that the tables have this schema, and that this Tilewright made them."""
    version = installed_versions().get("tilewright", "")
    connection.execute(delete(facts).where(facts.c.name.in_([SCHEMA, MADE_BY])))
    connection.execute(
        insert(facts), [{"name": SCHEMA, "value": str(schema)}, {"name": MADE_BY, "value": version}]
    )
