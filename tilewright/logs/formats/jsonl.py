"""Our own format: one record a line. Appending never joins a torn line; reading never raises for one."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING

from tilewright.logs.formats.files import explained, replace_file
from tilewright.logs.formats.importing import ImportReport, import_records
from tilewright.logs.formats.lines import Line, read_lines
from tilewright.logs.record import Record

if TYPE_CHECKING:
    from tilewright.logs.store import RecordStore


def read_jsonl(path: str | os.PathLike[str]) -> Iterator[Line[Record]]:
    """The lines of a file; empty ones are left out."""
    return read_lines(path, Record.from_json)


def import_jsonl(store: "RecordStore", path: str | os.PathLike[str]) -> ImportReport:
    """Add the records of a file to a store."""
    return import_records(store, read_jsonl(path))


def write_jsonl(records: Iterable[Record], file: IO[str]) -> int:
    """Write records to an open text file; how many there were."""
    count = 0
    for record in records:
        file.write(record.to_json() + "\n")
        count += 1
    return count


def export_jsonl(records: Iterable[Record], path: str | os.PathLike[str]) -> int:
    """Write records to a new file that replaces an old one only when it is whole."""
    return replace_file(path, lambda file: write_jsonl(records, file))


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
