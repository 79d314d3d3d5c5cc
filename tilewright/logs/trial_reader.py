"""Reading the trials of a database: all, those of a key, the best."""

import itertools
import logging
import operator
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, func, literal_column, select
from sqlalchemy.engine import Engine

from tilewright.logs.brief_record import BriefRecord, read_brief
from tilewright.logs.collector import collector_paused
from tilewright.logs.engine import Location, explained
from tilewright.logs.errors import RecordError
from tilewright.logs.record import Record, hash_config, trial_id
from tilewright.logs.schema import playoffs, trials

_logger = logging.getLogger(__name__)
T = TypeVar("T")

_CANDIDATES = 8
_PAGE = 1000
_SCHEMA_OF_CHECKSUMS = 3


class TrialReader:
    """What a database holds of trials and play-offs; a row that is damaged is skipped with a warning.

    Attributes:
        schema: the version of the tables; an older one where it was opened for reading.
    """

    schema: int

    def __init__(self, location: Location, engine: Engine) -> None:
        self._location = location
        self._engine = engine

    @property
    def name(self) -> str:
        """The database as the user gave it."""
        return self._location.name

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

    @property
    def _checksum(self) -> ColumnElement[Any]:
        return literal_column("checksum" if self.schema >= _SCHEMA_OF_CHECKSUMS else "NULL")


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
