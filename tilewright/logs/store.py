"""The store of records: append-only, durable, shared by processes."""

import contextlib
import itertools
import logging
import operator
import os
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
import sqlalchemy
from sqlalchemy import ColumnElement, Select, delete, func, insert, literal_column, select
from sqlalchemy.engine import Connection

from tilewright.logs.brief_record import BriefRecord, read_brief
from tilewright.logs.collector import collector_paused
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
from tilewright.logs.record import Record, hash_config, trial_id
from tilewright.logs.rows import insert_new, insert_trials, playoff_row, trial_row
from tilewright.logs.schema import leases, playoffs, pruned, trials
from tilewright.logs.schema_check import ensure_schema
from tilewright.logs.write_lock import WriteLock

_logger = logging.getLogger(__name__)
T = TypeVar("T")

_WRITES_BETWEEN_CHECKPOINTS = 200
_CANDIDATES = 8
_LONGEST_LOG_BYTES = 48 << 20
_PAGE = 1000
_SCHEMA_OF_PRUNED = 2
_SCHEMA_OF_CHECKSUMS = 3
_LEASE = tuple(leases.columns.keys())
LEASE_SECONDS = 120.0


class RecordStore:
    """Records in a database: a path is SQLite, `x://` a URL.

    A file that may not be written is opened for reading.

    Attributes:
        read_only: nothing can be stored.
        schema: the version of the tables; an older one where it was opened for reading.
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
                    self.schema = ensure_schema(self._engine, self._location, read_only=read_only)
            except BaseException:
                self.close()
                raise
        has_checksums = self.schema >= _SCHEMA_OF_CHECKSUMS
        self._checksum: ColumnElement[Any] = literal_column("checksum" if has_checksums else "NULL")

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

    def trials(self, key: str) -> list[Record]:
        """The trials of a key in the order in which they were stored."""

        def read(line: bytes, _: int | None) -> tuple[str, Record]:
            record = Record.from_json(line)
            return record.key, record

        return self._read_all(key, read)

    def briefs(self, key: str) -> list[BriefRecord]:
        """The trials of a key as a search sees them, in the order in which they were stored."""
        return self._read_all(key, read_brief)

    def new_trials(self, key: str, known: Container[str]) -> list[Record]:
        """The trials of a key but for those with a known id, in the order in which they were stored."""
        names = select(trials.c.id, trials.c.config_hash, trials.c.attempt).where(trials.c.key == key)
        found = [number for number, *name in self._fetch(names) if trial_id(key, *name) not in known]
        queries = (select(trials.c.line).where(trials.c.id == number) for number in sorted(found))
        return self._of_key((row for query in queries for row in self._fetch(query)), key)

    def attempts_of(self, key: str, config_hash: str) -> list[Record]:
        """The trials of a configuration."""
        query = select(trials.c.line).where(trials.c.key == key, trials.c.config_hash == config_hash)
        return self._of_key(self._fetch(query.order_by(trials.c.attempt)), key)

    def iter_trials(self) -> Iterator[Record]:
        """All trials in the order in which they were stored; few are in memory at a time."""
        return self._decode(self._pages(select(trials.c.id, trials.c.line)))

    def iter_failures(self, key: str | None = None) -> Iterator[Record]:
        """The trials that gave no time, in the order in which they were stored."""
        failed = trials.c.state.not_in(("ok", "slow"))
        if key is not None:
            return iter([record for record in self.trials(key) if record.state not in ("ok", "slow")])
        return self._decode(self._pages(select(trials.c.id, trials.c.line).where(failed)))

    def iter_rows(self) -> Iterator[tuple[Any, ...]]:
        """All trials as rows: the number, the columns that queries use, the line's checksum and the line."""
        names = ("key", "config_hash", "attempt", "op", "state", "seconds", "reference_ratio")
        columns = (trials.c[name] for name in names)
        return self._pages(select(trials.c.id, *columns, self._checksum, trials.c.line))

    def find(self, start: str) -> list[Record]:
        """The trials whose id begins so."""
        found = [
            number
            for number, *parts in self._pages(
                select(trials.c.id, trials.c.key, trials.c.config_hash, trials.c.attempt)
            )
            if trial_id(*parts).startswith(start)
        ]
        queries = (select(trials.c.line).where(trials.c.id == number) for number in found)
        return [record for query in queries for record in self._decode(self._fetch(query))]

    def best(self, key: str) -> Record | None:
        """The winner of the key's latest play-off, else its lowest cost."""
        won = select(playoffs.c.line).where(playoffs.c.key == key).order_by(playoffs.c.id.desc())
        return next((record for query in (won, *_by_cost(key)) for record in self._valid(query, key)), None)

    def best_trials(self, key: str, count: int) -> list[Record]:
        """The valid trials of lowest cost, the lowest first."""
        valid = (record for query in _by_cost(key) for record in self._valid(query, key))
        return list(itertools.islice(valid, count))

    def playoffs(self, key: str | None = None) -> list[Record]:
        """What the play-offs of a key, or of all, stored, the latest last."""
        query = select(playoffs.c.line).order_by(playoffs.c.id)
        return list(self._decode(self._fetch(query if key is None else query.where(playoffs.c.key == key))))

    def iter_best(self, op: str | None = None) -> Iterator[Record]:
        """The best record of each key that has one, by operator and time of the first trial."""
        first = func.min(trials.c.id)
        query = select(trials.c.key).where(trials.c.state == "ok").group_by(trials.c.key).order_by(first)
        found = [record for key in self._column(query) if (record := self.best(key)) is not None]
        wanted = (record for record in found if op is None or record.workload.op == op)
        return iter(sorted(wanted, key=lambda record: record.workload.op))

    def workload_keys(self) -> list[str]:
        """The keys that have trials."""
        return sorted(self._column(select(trials.c.key).distinct()))

    def iter_firsts(self, op: str) -> Iterator[Record]:
        """The first trial of each key of an operator, which names its workload and machine."""
        firsts = select(func.min(trials.c.id)).where(trials.c.op == op).group_by(trials.c.key)
        return self._decode(
            self._fetch(select(trials.c.line).where(trials.c.id.in_(firsts)).order_by(trials.c.id))
        )

    def iter_samples(self, op: str) -> Iterator[Record]:
        """A valid trial of each key of an operator; walks from key to key, not through the trials."""
        return self._decode(row for row in self._fetch(_samples(op)) if row[-1] is not None)

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

    def _fetch(self, query: Any) -> list[Any]:
        with explained(self._location), self._engine.connect() as connection:
            return list(connection.execute(query).all())

    def _column(self, query: Any) -> list[str]:
        return [str(value) for (value,) in self._fetch(query)]

    def _pages(self, query: "Select[Any]") -> Iterator[Any]:
        """The rows of a query on trials, by their number, which is the first column; a page at a time."""
        last = 0
        ordered = query.order_by(trials.c.id).limit(_PAGE)
        while rows := self._fetch(ordered.where(trials.c.id > last)):
            yield from rows
            last = rows[-1][0]

    def _valid(self, query: "Select[Any]", key: str) -> Iterator[Record]:
        """What may win of a query's rows, a few at a time."""
        for start in itertools.count(0, _CANDIDATES):
            rows = self._fetch(query.limit(_CANDIDATES).offset(start))
            yield from (r for r in self._decode(rows) if r.key == key and r.state == "ok")
            if len(rows) < _CANDIDATES:
                return

    def _read_all(self, key: str, read: Callable[[bytes, int | None], tuple[str, T]]) -> list[T]:
        """What is read of the lines of a key, in the order in which they were stored.

        SQLite would carry the lines through its sorter; so what was read of them is sorted instead.
        """
        found = []
        with collector_paused():
            for number, line, checksum in self._lines_of(key):
                try:
                    meant, value = read(line, checksum)
                except RecordError as error:
                    self._warn(error)
                    continue
                if meant == key:
                    found.append((number, value))
        found.sort(key=operator.itemgetter(0))
        return [value for _, value in found]

    def _lines_of(self, key: str) -> Iterator[tuple[int, bytes, int | None]]:
        """The number, the line and its checksum of the trials of a key."""
        if self._location.path is None:
            query = select(trials.c.id, trials.c.line, self._checksum).where(trials.c.key == key)
            yield from ((number, line.encode(), checksum) for number, line, checksum in self._fetch(query))
            return
        # SQLAlchemy would decode text that is only encoded again. Few lines are in memory at a time.
        text = f"SELECT id, CAST(line AS BLOB), {self._checksum} FROM trials WHERE key = ?"
        with explained(self._location), self._engine.connect() as connection:
            cursor = connection.exec_driver_sql(text, (key,)).cursor
            while rows := cursor.fetchmany(_PAGE):
                yield from rows

    def _of_key(self, rows: Iterable[Any], key: str) -> list[Record]:
        return [record for record in self._decode(rows) if record.key == key]

    def _decode(self, rows: Iterable[Any]) -> Iterator[Record]:
        """The records of rows whose last column is a line."""
        for row in rows:
            try:
                yield Record.from_json(row[-1])
            except RecordError as error:
                self._warn(error)

    def _warn(self, error: RecordError) -> None:
        _logger.warning("%s: skipped a damaged row: %s", self.name, error)


def _samples(op: str) -> "Select[Any]":
    """The line of a valid trial of each key, or nothing: a loose scan of the index."""
    walk = select(func.min(trials.c.key).label("key")).cte("walk", recursive=True)
    following = select(func.min(trials.c.key)).where(trials.c.key > walk.c.key).scalar_subquery()
    walk = walk.union_all(select(following).where(walk.c.key.is_not(None)))
    line = select(trials.c.line).where(trials.c.key == walk.c.key, trials.c.state == "ok", trials.c.op == op)
    return select(line.limit(1).scalar_subquery()).where(walk.c.key.is_not(None))


def _by_cost(key: str) -> "tuple[Select[Any], Select[Any]]":
    """The lines of valid trials by cost: those timed beside the reference loop, then the others.

    The ratio to the loop compares runs on days of different speed; seconds do not. Each half is a walk along
    the index.
    """
    valid = select(trials.c.line).where(trials.c.key == key, trials.c.state == "ok")
    ratio = trials.c.reference_ratio
    return (
        valid.where(ratio.is_not(None)).order_by(ratio, trials.c.seconds, trials.c.id),
        valid.where(ratio.is_(None)).order_by(trials.c.seconds, trials.c.id),
    )
