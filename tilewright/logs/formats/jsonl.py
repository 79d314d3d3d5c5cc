"""Our own format: one record a line. Appending never joins a torn line; reading never raises for one."""

import functools
import os
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING

from tilewright.logs.formats.files import replace_file
from tilewright.logs.formats.importing import ImportReport, import_records
from tilewright.logs.formats.lines import Line, append_lines, read_lines
from tilewright.logs.record import Record

if TYPE_CHECKING:
    from tilewright.logs.store import RecordStore


def read_jsonl(path: str | os.PathLike[str]) -> Iterator[Line[Record]]:
    """The lines of a file; empty ones are left out."""
    return read_lines(path, functools.partial(Record.from_json, keep_text=True))


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
    return append_lines((record.to_json() for record in records), path)
