"""Recovery: what can be read of a damaged database or log goes into a new database; the source is only read.

A line of a record carries a checksum, so whatever page or torn line it is found in, it is whole or refused.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

from tilewright.logs.engine import explained, locate
from tilewright.logs.errors import DatabaseError, RecordError
from tilewright.logs.formats.lines import read_lines
from tilewright.logs.lookup import is_database
from tilewright.logs.record import Record
from tilewright.logs.schema import playoffs, trials
from tilewright.logs.sources import PathArgument
from tilewright.logs.sqlite_pages import read_rows
from tilewright.logs.store import RecordStore

_BATCH = 500
_PIECE = 1 << 20
_START_OF_LINE = b'{"v":'
_SUFFIX = ".recovered.db"


class RecoveryReport(TypedDict):
    """What a recovery saved; `damaged` counts rows or lines that were found and are no records."""

    trials: int
    playoffs: int
    damaged: int


class _Salvage:
    """Fills a new database."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._batch: list[Record] = []
        self._winners: dict[str, Record] = {}
        self.report = RecoveryReport(trials=0, playoffs=0, damaged=0)

    def add_trial(self, record: Record) -> None:
        """Take a trial; one that was taken before is passed over."""
        self._batch.append(record)
        if len(self._batch) == _BATCH:
            self._flush()

    def add_playoff(self, record: Record) -> None:
        """Take who took part in a play-off."""
        self._winners.setdefault(record.to_json(), record)

    def finish(self) -> RecoveryReport:
        """Store what is left."""
        self._flush()
        for record in self._winners.values():
            if record.state == "ok":
                self._store.add_playoff(record)
                self.report["playoffs"] += 1
        return self.report

    def _flush(self) -> None:
        self.report["trials"] += self._store.add_all(self._batch)
        self._batch.clear()


def recovered_name(source: PathArgument) -> str:
    """Where a recovery goes unless told otherwise: beside its source."""
    return os.fspath(Path(source).with_suffix(_SUFFIX))


def recover(source: PathArgument, into: PathArgument) -> RecoveryReport:
    """Save what can be read of a database or a log into a new database.

    Raises:
        DatabaseError: the source cannot be read, nothing is left in it, or the target exists.
    """
    path, target = locate(source).path, Path(into)
    if path is None:
        raise DatabaseError(f"recover: {locate(source).name} is on a server, which has backups of its own")
    if not path.is_file() or path.stat().st_size == 0:
        raise DatabaseError(f"recover: {path} {'is empty' if path.is_file() else 'does not exist'}")
    if target.exists():
        raise DatabaseError(f"recover: {target} exists; give the name of a new database")
    try:
        report = _fill(path, target)
        if report["trials"] + report["playoffs"] == 0:
            raise DatabaseError(f"recover: no record can be read in {path}")
    except BaseException:
        for ending in ("", "-wal", "-shm"):
            Path(f"{target}{ending}").unlink(missing_ok=True)
        raise
    return report


def _fill(path: Path, target: Path) -> RecoveryReport:
    with explained(locate(path)), RecordStore(target) as store:
        salvage = _Salvage(store)
        if _may_be_database(path):
            _salvage_pages(path, salvage)
            report = salvage.finish()
            if report["trials"] + report["playoffs"]:
                return report
        _salvage_log(path, salvage)
        return salvage.finish()


def _may_be_database(path: Path) -> bool:
    """Whether to read a file by pages first: also where its header is lost, but not where it is text."""
    if is_database(path):
        return True
    with path.open("rb") as file:
        return any(b"\0" in piece for piece in iter(lambda: file.read(_PIECE), b""))


def _salvage_pages(path: Path, salvage: _Salvage) -> None:
    """The records in the pages of a database; tables are told apart by their numbers of columns."""
    width = len(trials.columns)
    takers = {
        width: (salvage.add_trial, -2),
        width - 1: (salvage.add_trial, -1),  # of a schema without checksums
        len(playoffs.columns): (salvage.add_playoff, -1),
    }
    for row in read_rows(path):
        take, place = takers.get(len(row), (None, 0))
        if take is None or not isinstance(line := row[place], bytes):
            continue
        try:
            take(Record.from_json(line))
        except RecordError:
            salvage.report["damaged"] += 1


def _salvage_log(path: Path, salvage: _Salvage) -> None:
    for record in _records_of_log(path):
        if record is None:
            salvage.report["damaged"] += 1
        else:
            salvage.add_trial(record)


def _records_of_log(path: Path) -> Iterator[Record | None]:
    """The records of a log; None for each piece that is none."""
    for line in read_lines(path, _split):
        yield from line.record if line.record is not None else (None,)


def _split(text: bytes) -> "Iterable[Record | None]":
    """The records of a line, or of a line of several that lost the ends between them."""
    pieces = text.strip().split(_START_OF_LINE)
    return [_read(_START_OF_LINE + piece) for piece in pieces[1:]] or [None]


def _read(text: bytes) -> Record | None:
    try:
        return Record.from_json(text.rstrip())
    except RecordError:
        return None
