"""Our own format: one record a line. Appending never joins a torn line; reading never raises for one."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypedDict

from tilewright.logs.formats.lines import Line, explained, read_lines
from tilewright.logs.record import Record

if TYPE_CHECKING:
    from tilewright.logs.store import RecordStore

_BATCH = 500


class Skipped(TypedDict):
    """A line that was not imported, and why."""

    line: int
    reason: str


class ImportReport(TypedDict):
    """What an import did.

    `imported` counts the records that were new; those that were there are neither imported nor skipped.
    """

    imported: int
    skipped: list[Skipped]


def read_jsonl(path: str | os.PathLike[str]) -> Iterator[Line[Record]]:
    """The lines of a file; empty ones are left out."""
    return read_lines(path, Record.from_json)


def import_jsonl(store: "RecordStore", path: str | os.PathLike[str]) -> ImportReport:
    """Add the records of a file to a store."""
    report = ImportReport(imported=0, skipped=[])
    batch: list[Record] = []
    for line in read_jsonl(path):
        if line.record is None:
            report["skipped"].append(Skipped(line=line.number, reason=line.reason))
            continue
        batch.append(line.record)
        if len(batch) == _BATCH:
            report["imported"] += store.add_all(batch)
            batch.clear()
    report["imported"] += store.add_all(batch)
    return report


def write_lines(records: Iterable[Record], file: IO[str]) -> int:
    """Write records to an open text file; how many there were."""
    count = 0
    for record in records:
        file.write(record.to_json() + "\n")
        count += 1
    return count


def export_jsonl(records: Iterable[Record], path: str | os.PathLike[str]) -> int:
    """Write records to a new file that replaces an old one only when it is whole."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    with explained(path):
        try:
            with temporary.open("w", encoding="utf-8") as file:
                count = write_lines(records, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return count


def append_jsonl(records: Iterable[Record], path: str | os.PathLike[str]) -> int:
    """Append records durably; a torn last line, left by a crash, is ended first."""
    lines = [record.to_json().encode() + b"\n" for record in records]
    with explained(path), open(path, "a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
            lines.insert(0, b"\n")
        data = memoryview(b"".join(lines))
        while len(data):
            data = data[file.write(data) :]
        os.fsync(file.fileno())
        if lines and lines[0] == b"\n":
            return len(lines) - 1
    return len(lines)
