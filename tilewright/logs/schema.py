"""The tables. Rows of trials and play-offs are never changed; leases are not truth.

What `prune` removes is counted in `pruned`. A change here is a new version, with its step in `migrations`.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION = 3

metadata = MetaData()

facts = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

trials = Table(
    "trials",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key", String(32), nullable=False),
    Column("config_hash", String(32), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("op", Text, nullable=False),
    Column("cpu", Text, nullable=False),
    Column("threads", Integer, nullable=False),
    Column("config", Text, nullable=False),
    Column("state", String(32), nullable=False),
    Column("seconds", Float),
    Column("reference_ratio", Float),
    Column("at", String(40), nullable=False),
    Column("line", Text, nullable=False),
    Column("checksum", BigInteger),  # of the line's bytes; none in rows of schemas before 3
    UniqueConstraint("key", "config_hash", "attempt", name="one_row_a_trial"),
    Index("trials_by_cost", "key", "state", "reference_ratio", "seconds"),
)

playoffs = Table(
    "playoffs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key", String(32), nullable=False, index=True),
    Column("op", Text, nullable=False),
    Column("config", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("at", String(40), nullable=False),
    Column("line", Text, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("config_hash", String(32), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("expires", Float, nullable=False),
)

pruned = Table(
    "pruned",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("state", String(32), primary_key=True),
    Column("signal", String(32), primary_key=True),  # empty where there was none
    Column("trials", Integer, nullable=False),
    Column("messages", Text, nullable=False),  # a JSON list
)
