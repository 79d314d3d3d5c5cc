"""The store of records: append-only, durable, shared by processes."""

import contextlib
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import msgspec
import sqlalchemy
from sqlalchemy import Table, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from tilewright.logs.engine import (
    check_file,
    checkpoint,
    explained,
    is_writable,
    locate,
    open_engine,
    writing,
)
from tilewright.logs.errors import DatabaseError, RecordError
from tilewright.logs.record import Record, hash_config
from tilewright.logs.schema import leases, playoffs, trials
from tilewright.logs.schema_check import ensure_schema
from tilewright.logs.write_lock import WriteLock

_logger = logging.getLogger(__name__)

_WRITES_BETWEEN_CHECKPOINTS = 200
LEASE_SECONDS = 120.0


class RecordStore:
    """Records in a database: a path is SQLite, `x://` a URL.

    A file that may not be written is opened for reading.
    """

    def __init__(self, source: str | os.PathLike[str], *, read_only: bool = False) -> None:
        self._location = locate(source)
        path = self._location.path
        writable = path is not None and (not path.exists() or is_writable(path))
        read_only = read_only or (path is not None and not writable)
        if path is not None:
            check_file(path, for_writing=not read_only)
        self.read_only = read_only
        self._writes = 0
        self._engine = open_engine(self._location, read_only=read_only)
        with explained(self._location):
            self._lock = WriteLock(path) if path is not None and writable else None
            try:
                with contextlib.nullcontext() if read_only else self._locked():
                    ensure_schema(self._engine, self._location.name, read_only=read_only)
            except BaseException:
                self.close()
                raise

    @property
    def name(self) -> str:
        """The database as the user gave it."""
        return self._location.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, record: Record) -> bool:
        """Store a trial for good; false when this key, configuration and attempt are there already."""
        return self.add_all([record]) == 1

    def add_all(self, records: Iterable[Record]) -> int:
        """Store trials in one transaction; the number of those that are new."""
        rows = [_trial_row(record) for record in records]
        if not rows:
            return 0
        with self._transaction() as connection:
            return _insert_new(connection, trials, rows)

    def add_playoff(self, winner: Record) -> None:
        """Store the winner of a run's play-off, with its seconds and interval there."""
        if winner.state != "ok" or winner.seconds is None:
            raise RecordError(
                f"play-off of {winner.workload.op}: the winner's state is {winner.state}, not ok"
            )
        row = {
            "key": winner.key,
            "op": winner.workload.op,
            "config": _json(winner.config),
            "seconds": winner.seconds,
            "at": winner.at.isoformat(),
            "line": winner.to_json(),
        }
        with self._transaction() as connection:
            connection.execute(insert(playoffs).values(row))

    def trials(self, key: str) -> list[Record]:
        """The trials of a key in the order in which they were stored."""
        return list(self._decode(select(trials.c.line).where(trials.c.key == key).order_by(trials.c.id)))

    def iter_trials(self) -> Iterator[Record]:
        """All trials in the order in which they were stored."""
        return self._decode(select(trials.c.line).order_by(trials.c.id))

    def best(self, key: str) -> Record | None:
        """The winner of the key's latest play-off, else its lowest cost."""
        won = select(playoffs.c.line).where(playoffs.c.key == key).order_by(playoffs.c.id.desc())
        valid = select(trials.c.line).where(trials.c.key == key, trials.c.state == "ok")
        # The ratio to the reference loop compares runs on days of different speed; seconds do not.
        lowest = valid.order_by(
            trials.c.reference_ratio.is_(None), trials.c.reference_ratio, trials.c.seconds, trials.c.id
        )
        for query in (won, lowest):
            for record in self._decode(query.limit(8)):
                return record
        return None

    def playoffs(self, key: str) -> list[Record]:
        """What the play-offs of a key stored, the latest last."""
        return list(
            self._decode(select(playoffs.c.line).where(playoffs.c.key == key).order_by(playoffs.c.id))
        )

    def iter_best(self, op: str | None = None) -> Iterator[Record]:
        """The best record of each key that has one, by operator and time of the first trial."""
        query = select(trials.c.key).where(trials.c.state == "ok").group_by(trials.c.key, trials.c.op)
        if op is not None:
            query = query.where(trials.c.op == op)
        for (key,) in self._fetch(query.order_by(trials.c.op, func.min(trials.c.id))):
            record = self.best(key)
            if record is not None:
                yield record

    def iter_firsts(self, op: str) -> Iterator[Record]:
        """The first trial of each key of an operator, which names its workload and machine."""
        firsts = select(func.min(trials.c.id)).where(trials.c.op == op).group_by(trials.c.key)
        return self._decode(select(trials.c.line).where(trials.c.id.in_(firsts)).order_by(trials.c.id))

    def count(self, key: str | None = None) -> int:
        """The number of trials, of all keys or of one."""
        return sum(self.states(key).values())

    def states(self, key: str | None = None) -> dict[str, int]:
        """The number of trials in each state, of all keys or of one."""
        query = select(trials.c.state, func.count()).group_by(trials.c.state)
        if key is not None:
            query = query.where(trials.c.key == key)
        return {str(state): int(number) for state, number in self._fetch(query)}

    def attempts(self, key: str, config: Mapping[str, Any]) -> int:
        """How often a configuration has been tried; the next attempt has the number after it."""
        query = select(func.max(trials.c.attempt)).where(
            trials.c.key == key, trials.c.config_hash == hash_config(config)
        )
        ((highest,),) = self._fetch(query)
        return highest or 0

    def lease(self, key: str, config: Mapping[str, Any], owner: str, seconds: float = LEASE_SECONDS) -> bool:
        """Claim a configuration for a while, so that tuners that share the database do not repeat it."""
        return self.lease_all(key, [config], owner, seconds)[0]

    def lease_all(
        self, key: str, configs: Sequence[Mapping[str, Any]], owner: str, seconds: float = LEASE_SECONDS
    ) -> list[bool]:
        """Claim several configurations in one transaction; which of them are the owner's."""
        now = time.time()  # shared by processes; only expiry depends on it
        granted = []
        with self._transaction() as connection:
            over = (leases.c.expires < now) | (leases.c.owner == owner)
            for config in configs:
                name = hash_config(config)
                same = (leases.c.key == key) & (leases.c.config_hash == name)
                connection.execute(delete(leases).where(same, over))
                row = {"key": key, "config_hash": name, "owner": owner, "expires": now + seconds}
                granted.append(_insert_new(connection, leases, [row]) == 1)
        return granted

    def lease_owners(self, key: str) -> list[str]:
        """Who holds leases on configurations of a key."""
        return [
            owner for (owner,) in self._fetch(select(leases.c.owner).where(leases.c.key == key).distinct())
        ]

    def release(self, owner: str) -> None:
        """Give up all leases of an owner."""
        with self._transaction() as connection:
            connection.execute(delete(leases).where(leases.c.owner == owner))

    def problems(self) -> list[str]:
        """What SQLite's own check finds wrong with the file; nothing for a sound one."""
        if self._location.path is None:
            return []
        rows = self._fetch(sqlalchemy.text("PRAGMA integrity_check"))
        return [str(row[0]) for row in rows if row[0] != "ok"]

    def close(self) -> None:
        """Write the log back into the file and let go of it."""
        with explained(self._location), contextlib.suppress(DatabaseError), self._locked():
            self._engine.dispose()
        self._engine.dispose()  # also where the lock could not be had: SQLite has its own
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._lock is None else self._lock.held()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """A transaction that is durable when the block ends without an exception."""
        if self.read_only:
            raise DatabaseError(f"cannot write {self.name}: it is read-only")
        with explained(self._location), self._locked():
            with writing(self._engine) as connection, connection.begin():
                yield connection
            self._writes += 1
            if self._lock is not None and self._writes % _WRITES_BETWEEN_CHECKPOINTS == 0:
                checkpoint(self._engine)

    def _fetch(self, query: Any) -> list[Any]:
        with explained(self._location), self._engine.connect() as connection:
            return list(connection.execute(query).all())

    def _decode(self, query: Any) -> Iterator[Record]:
        for (line,) in self._fetch(query):
            try:
                yield Record.from_json(line)
            except RecordError as error:
                _logger.warning("%s: skipped a damaged row: %s", self.name, error)


def _trial_row(record: Record) -> dict[str, Any]:
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


def _insert_new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> int:
    """Insert the rows that clash with none; how many they were."""
    statement = postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
    return connection.execute(statement.on_conflict_do_nothing(), rows).rowcount


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
