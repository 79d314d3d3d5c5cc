"""Merging databases and logs into one: every trial once, however often it is done."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypedDict

import msgspec

from tilewright.logs.formats.importing import Skipped
from tilewright.logs.formats.lines import Line
from tilewright.logs.record import Record
from tilewright.logs.sources import PathArgument, opened, refuse_same
from tilewright.logs.store import RecordStore

_BATCH = 500


class MergeReport(TypedDict):
    """What a merge did.

    `trials` and `playoffs` count what was new; `known` the trials that were there already; `skipped` names
    what could not be read of each source.
    """

    trials: int
    playoffs: int
    known: int
    skipped: list[Skipped]


def merge_into(store: RecordStore, sources: Sequence[PathArgument]) -> MergeReport:
    """Add the trials and play-offs of databases and logs to a store.

    A trial that is there under the same number of its attempt but is another measurement, as of two machines
    of one kind, becomes a further attempt. Of play-offs only those are taken that are later than all that
    the store has of their workload: the others were superseded.

    Raises:
        TilewrightError: a source cannot be read; what was merged before it stays.
    """
    report = MergeReport(trials=0, playoffs=0, known=0, skipped=[])
    winners: list[Record] = []
    for source in sources:
        refuse_same(source, store.name, "merge")
        with opened(source) as (lines, playoffs):
            _merge_trials(store, lines, report)
            winners += playoffs
    report["playoffs"] = _merge_playoffs(store, winners)
    return report


def _merge_trials(store: RecordStore, lines: Iterable[Line[Record]], report: MergeReport) -> None:
    for batch in _batches(lines, report):
        fresh = [numbered for record in batch if (numbered := _number(store, record)) is not None]
        report["trials"] += store.add_all(fresh)
        report["known"] += len(batch) - len(fresh)


def _batches(lines: Iterable[Line[Record]], report: MergeReport) -> Iterator[list[Record]]:
    """Records by many, of which no two are of one configuration."""
    batch: list[Record] = []
    places: set[tuple[str, str]] = set()
    for line in lines:
        record = line.record
        if record is None:
            report["skipped"].append(Skipped(line=line.number, reason=line.reason))
            continue
        place = (record.key, record.config_hash)
        if place in places or len(batch) == _BATCH:
            yield batch
            batch, places = [], set()
        batch.append(record)
        places.add(place)
    if batch:
        yield batch


def _number(store: RecordStore, record: Record) -> Record | None:
    """The record with an attempt of its own; None where the store has it."""
    known = store.attempts_of(record.key, record.config_hash)
    if any(_is_same(record, other) for other in known):
        return None
    if all(other.attempt != record.attempt for other in known):
        return record
    return msgspec.structs.replace(record, attempt=max(other.attempt for other in known) + 1)


def _is_same(record: Record, other: Record) -> bool:
    """Whether two are one measurement, whatever the number of the attempt."""
    return msgspec.structs.replace(record, attempt=other.attempt) == other


def _merge_playoffs(store: RecordStore, winners: Sequence[Record]) -> int:
    latest = {key: [r.at for r in store.playoffs(key)] for key in {record.key for record in winners}}
    fresh = [record for record in winners if not latest[record.key] or record.at > max(latest[record.key])]
    # The sort is stable: the two rows of one play-off stay side by side.
    for record in sorted(fresh, key=lambda record: record.at):
        store.add_playoff(record)
    return len(fresh)
