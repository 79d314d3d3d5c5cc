"""Finding the best record of a key in databases, logs and collections; by exact key only."""

import bisect
import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tilewright.logs.errors import DatabaseError, RecordError
from tilewright.logs.formats.jsonl import read_jsonl
from tilewright.logs.record import Record

if TYPE_CHECKING:
    from tilewright.logs.store import RecordStore

_CANDIDATES = 8
_SQLITE_HEADER = b"SQLite format 3\x00"


class Source(Protocol):
    """Where records are found."""

    def best(self, key: str) -> Record | None:
        """The best record of a key."""

    def best_trials(self, key: str, count: int) -> Sequence[Record]:
        """The valid trials of lowest cost, the lowest first."""

    def iter_samples(self, op: str) -> Iterable[Record]:
        """A valid trial of each key of an operator."""


SourceArgument = str | os.PathLike[str] | Source | Iterable[Record]


class RecordTable:
    """Records in memory: the lowest costs of each key."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._best: dict[str, list[Record]] = {}
        for record in records:
            if record.state != "ok":
                continue
            known = self._best.setdefault(record.key, [])
            bisect.insort(known, record, key=_rank)
            del known[_CANDIDATES:]

    def best(self, key: str) -> Record | None:
        """The best record of a key."""
        return next(iter(self._best.get(key, ())), None)

    def best_trials(self, key: str, count: int) -> list[Record]:
        """The valid trials of lowest cost, the lowest first; a few at most."""
        return self._best.get(key, [])[:count]

    def iter_samples(self, op: str) -> Iterator[Record]:
        """A valid trial of each key of an operator."""
        return (records[0] for records in self._best.values() if records[0].workload.op == op)

    def all_best(self) -> list[Record]:
        """The best record of each key, in the order in which the keys were met."""
        return [records[0] for records in self._best.values()]


class Lookup:
    """The best records of several sources.

    A source is opened at the first look-up, and each key is asked for once.
    """

    def __init__(self, sources: Sequence[SourceArgument]) -> None:
        self._arguments = tuple(sources)
        self._sources: tuple[Source, ...] | None = None
        self._opened: list[RecordStore] = []
        self._found: dict[str, Record | None] = {}
        self._samples: dict[str, list[Record]] = {}

    def find(self, key: str) -> Record | None:
        """The best record of a key: of several sources that know it, the first one's."""
        found = self._found  # another one takes its place when the sources change
        if key not in found:
            found[key] = self._search(key)
        return found[key]

    def elsewhere(self, op: str, args: Mapping[str, object]) -> list[Record]:
        """A record of the workload for each machine and number of threads that there are records for."""
        samples = self._samples
        if op not in samples:
            samples[op] = [record for source in self._opened_sources() for record in source.iter_samples(op)]
        return [record for record in samples[op] if record.workload.args == args]

    def forget(self) -> None:
        """Forget what was found: the sources have changed."""
        self._found, self._samples = {}, {}

    def candidates(self, key: str) -> Iterator[Record]:
        """The best record of a key, then the next best of its source, each configuration once."""
        seen: set[str] = set()
        for source in self._opened_sources():
            best = source.best(key)
            for record in () if best is None else (best, *source.best_trials(key, _CANDIDATES)):
                if record.config_hash not in seen:
                    seen.add(record.config_hash)
                    yield record
            if seen:
                return

    def close(self) -> None:
        """Close the databases that were opened here, and forget what was found."""
        for store in self._opened:
            store.close()
        self._opened.clear()
        self._sources = None
        self.forget()

    def _search(self, key: str) -> Record | None:
        for source in self._opened_sources():
            record = source.best(key)
            if record is not None:
                return record
        return None

    def _opened_sources(self) -> tuple[Source, ...]:
        if self._sources is None:
            self._sources = tuple(self._open(argument) for argument in self._arguments)
        return self._sources

    def _open(self, argument: SourceArgument) -> Source:
        if not isinstance(argument, str | os.PathLike):
            return RecordTable(argument) if isinstance(argument, Iterable) else argument
        text = os.fspath(argument)
        if "://" not in text and not is_database(Path(text)):
            return _read_log(text)
        from tilewright.logs.store import RecordStore  # SQLAlchemy is slow to import

        self._opened.append(RecordStore(text, read_only=True))
        return self._opened[-1]


def check_source(argument: SourceArgument) -> None:
    """Refuse early what can never be a source."""
    if isinstance(argument, str | os.PathLike):
        text = os.fspath(argument)
        if "://" not in text and not Path(text).is_file():
            raise DatabaseError(f"apply_best: {text} does not exist; tune first, or give another file")
    elif isinstance(argument, Mapping | bytes) or not _gives_records(argument):
        raise DatabaseError(
            f"apply_best: {argument!r} is no source: give a database, a log or a collection of records"
        )


def _gives_records(argument: object) -> bool:
    """Whether it is a collection of records, as far as that shows before it is read, or a store of them."""
    if isinstance(argument, Collection):
        return all(isinstance(record, Record) for record in argument)
    return isinstance(argument, Iterable) or hasattr(argument, "best_trials")


def _read_log(path: str) -> RecordTable:
    records = [line.record for line in read_jsonl(path) if line.record is not None]
    if not records and Path(path).stat().st_size:
        raise DatabaseError(f"apply_best: {path} {_why_none(path)}")
    return RecordTable(records)


def _why_none(path: str) -> str:
    from tilewright.logs.formats.registry import FORMATS, detect_format

    with contextlib.suppress(RecordError):
        name = detect_format(path)
        if name == "autotvm":
            return (
                "is AutoTVM's log, whose records have no key of ours: `tilewright log import` takes them in,"
                " and tilewright.tvm.autotvm.apply_history_best applies it"
            )
        if name in FORMATS and name != "jsonl":
            return (
                f"holds {FORMATS[name].title}, no records of ours: `tilewright log import` takes it as data"
            )
    return "is not a SQLite database and holds no record"


def is_database(path: Path) -> bool:
    """Whether a file begins as a SQLite database does.

    Raises:
        DatabaseError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE_HEADER)) == _SQLITE_HEADER
    except OSError as error:
        raise DatabaseError(f"{path}: {error.strerror or error}") from None


def _rank(record: Record) -> tuple[bool, float, float]:
    ratio = record.reference_ratio
    return ratio is None, ratio or 0.0, record.seconds or 0.0
