"""Adding what was read from a file to a store."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypedDict

import msgspec

from tilewright.logs.collector import collector_paused
from tilewright.logs.formats.lines import Line
from tilewright.logs.record import MAXIMUM_LINE_BYTES, Record, digest

if TYPE_CHECKING:
    from tilewright.logs.store import RecordStore

_BATCH = 20_000
_LONGEST = MAXIMUM_LINE_BYTES - 100  # the number of an attempt may have more digits


class Skipped(TypedDict):
    """A line, or an entry of a file that is not one of lines, that was not imported, and why."""

    line: int
    reason: str


class ImportReport(TypedDict):
    """What an import did.

    `imported` counts the records that were new; those that were there are neither imported nor skipped.
    """

    imported: int
    skipped: list[Skipped]


def import_records(store: "RecordStore", lines: Iterable[Line[Record]]) -> ImportReport:
    """Add records to a store."""
    with collector_paused():
        return _import(store, lines)


def _import(store: "RecordStore", lines: Iterable[Line[Record]]) -> ImportReport:
    report = ImportReport(imported=0, skipped=[])
    records = _records(store, lines, report)
    for record in records:
        # The store makes rows of records as they come, so only one record is in memory at a time.
        batch = itertools.chain([record], itertools.islice(records, _BATCH - 1))
        report["imported"] += store.add_all(batch)
    return report


def _records(store: "RecordStore", lines: Iterable[Line[Record]], report: ImportReport) -> Iterator[Record]:
    """What there is to be added; the lines without it go to the report."""
    attempts = _Attempts(store)
    for line in lines:
        record = line.record
        if record is None:
            report["skipped"].append(Skipped(line=line.number, reason=line.reason))
        elif record.origin is None:
            yield record
        elif len(record.to_json()) > _LONGEST:
            report["skipped"].append(Skipped(line=line.number, reason="too long for a record"))
        elif (numbered := attempts.number(record)) is not None:
            yield numbered


class _Attempts:
    """Numbers the repeats of a configuration, which other programs do not.

    A record that is stored already is passed over, each as often as it is stored: importing a file twice adds
    nothing, and equal lines of one file stay as many as they are.
    """

    def __init__(self, store: "RecordStore") -> None:
        self._store = store
        self._loaded: set[str] = set()
        self._stored: Counter[str] = Counter()
        self._highest: defaultdict[tuple[str, str], int] = defaultdict(int)

    def number(self, record: Record) -> Record | None:
        """The record with the number of its attempt; None where it is stored already."""
        key = record.key
        if key not in self._loaded:
            self._loaded.add(key)
            for known in self._store.trials(key):
                self._stored[_content(known)] += 1
                place = (key, known.config_hash)
                self._highest[place] = max(self._highest[place], known.attempt)
        content = _content(record)
        if self._stored[content]:
            self._stored[content] -= 1
            return None
        place = (key, record.config_hash)
        self._highest[place] += 1
        return msgspec.structs.replace(record, attempt=self._highest[place])


def _content(record: Record) -> str:
    return digest(msgspec.structs.replace(record, attempt=1).to_json())
