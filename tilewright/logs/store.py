"""The store of records: append-only, durable, shared by processes."""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
import sqlalchemy
from sqlalchemy import delete, func, insert, select
from sqlalchemy.engine import Connection

from tilewright.logs.engine import (
    check_file,
    checkpoint,
    compact,
    explained,
    is_writable,
    locate,
    open_engine,
    writing,
)
from tilewright.logs.errors import DatabaseError, RecordError
from tilewright.logs.record import Record, hash_config
from tilewright.logs.rows import insert_new, insert_trials, playoff_row, trial_row
from tilewright.logs.schema import leases, playoffs, pruned, trials
from tilewright.logs.schema_check import ensure_schema
from tilewright.logs.trial_reader import TrialReader
from tilewright.logs.write_lock import WriteLock

_WRITES_BETWEEN_CHECKPOINTS = 200
_LONGEST_LOG_BYTES = 48 << 20
_SCHEMA_OF_PRUNED = 2
_LEASE = tuple(leases.columns.keys())
LEASE_SECONDS = 120.0


class RecordStore(TrialReader):
    """Records in a database: a path is SQLite, `x://` a URL.

    A file that may not be written is opened for reading.

    Attributes:
        read_only: nothing can be stored.
    """

    def __init__(self, source: str | os.PathLike[str], *, read_only: bool = False) -> None:
        location = locate(source)
        path = location.path
        writable = path is not None and (not path.exists() or is_writable(path))
        read_only = read_only or (path is not None and not writable)
        if path is not None:
            check_file(path, for_writing=not read_only)
        self.read_only = read_only
        self._writes = 0
        super().__init__(location, open_engine(location, read_only=read_only))
        with explained(location):
            self._lock = WriteLock(path) if path is not None and writable else None
            try:
                with contextlib.nullcontext() if read_only else self._locked():
                    self.schema = ensure_schema(self._engine, location, read_only=read_only)
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, record: Record) -> bool:
        """Store a trial for good; false when this key, configuration and attempt are there already."""
        return self.add_all([record]) == 1

    def add_all(self, records: Iterable[Record]) -> int:
        """Store trials in one transaction; the number of those that are new."""
        rows = [trial_row(record) for record in records]
        if not rows:
            return 0
        with self.transaction() as connection:
            return insert_trials(connection, rows)

    def add_playoff(self, *entrants: Record) -> None:
        """Store how entrants of a run's play-off did, the winner last.

        They are stored together: nobody finds one that lost to be the winner.
        """
        for entrant in entrants:
            if entrant.state != "ok" or entrant.seconds is None:
                raise RecordError(
                    f"play-off of {entrant.workload.op}: the winner's state is {entrant.state}, not ok"
                )
        with self.transaction() as connection:
            connection.execute(insert(playoffs), [playoff_row(entrant) for entrant in entrants])

    def lease(self, key: str, config: Mapping[str, Any], owner: str, seconds: float = LEASE_SECONDS) -> bool:
        """Claim a configuration for a while, so that tuners that share the database do not repeat it."""
        return self.lease_all(key, [config], owner, seconds)[0]

    def lease_all(
        self, key: str, configs: Sequence[Mapping[str, Any]], owner: str, seconds: float = LEASE_SECONDS
    ) -> list[bool]:
        """Claim several configurations in one transaction; which of them are the owner's."""
        now = time.time()  # shared by processes; only expiry depends on it
        granted = []
        with self.transaction() as connection:
            over = (leases.c.expires < now) | (leases.c.owner == owner)
            for config in configs:
                name = hash_config(config)
                same = (leases.c.key == key) & (leases.c.config_hash == name)
                connection.execute(delete(leases).where(same, over))
                granted.append(
                    insert_new(connection, leases, _LEASE, [(key, name, owner, now + seconds)]) == 1
                )
        return granted

    def lease_owners(self, key: str) -> list[str]:
        """Who holds leases on configurations of a key."""
        return self._column(select(leases.c.owner).where(leases.c.key == key).distinct())

    def unfinished(self, key: str, owner: str) -> int:
        """How many configurations of a key an owner has leased that have no trial."""
        tried = select(trials.c.id).where(
            trials.c.key == leases.c.key, trials.c.config_hash == leases.c.config_hash
        )
        held = (leases.c.key == key) & (leases.c.owner == owner)
        ((count,),) = self._fetch(select(func.count()).select_from(leases).where(held, ~tried.exists()))
        return int(count)

    def release(self, owner: str, key: str | None = None) -> None:
        """Give up the leases of an owner, on all keys or on one."""
        held = leases.c.owner == owner
        with self.transaction() as connection:
            connection.execute(delete(leases).where(held if key is None else held & (leases.c.key == key)))

    def pruned(self) -> list[dict[str, Any]]:
        """What was pruned, as `{"key", "state", "signal", "trials", "messages"}`."""
        if self.schema < _SCHEMA_OF_PRUNED:
            return []
        rows = self._fetch(select(pruned).order_by(*pruned.primary_key))
        return [{**row._mapping, "messages": msgspec.json.decode(row.messages)} for row in rows]

    def problems(self) -> list[str]:
        """What SQLite's own check finds wrong with the file; nothing for a sound one."""
        if self._location.path is None:
            return []
        rows = self._fetch(sqlalchemy.text("PRAGMA integrity_check"))
        return [str(row[0]) for row in rows if row[0] != "ok"]

    def compact(self) -> None:
        """Give the space of removed rows back; what they held is then nowhere in the file."""
        if self._location.path is None:
            return
        with explained(self._location), self._locked():
            compact(self._engine)

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
    def transaction(self) -> Iterator[Connection]:
        """A transaction that is durable when the block ends without an exception."""
        if self.read_only:
            raise DatabaseError(f"cannot write {self.name}: it is read-only")
        with explained(self._location), self._locked():
            with writing(self._engine) as connection, connection.begin():
                yield connection
            self._writes += 1
            if self._location.path is not None and self._is_log_long(self._location.path):
                checkpoint(self._engine)

    def _is_log_long(self, path: Path) -> bool:
        if self._writes % _WRITES_BETWEEN_CHECKPOINTS == 0:
            return True
        with contextlib.suppress(OSError):
            return os.stat(f"{path}-wal").st_size > _LONGEST_LOG_BYTES
        return False
