"""Our own format: one record a line. Appending never joins a torn line; reading never raises for one."""

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypedDict

from tilewright.logs.errors import DatabaseError, RecordError
from tilewright.logs.record import MAXIMUM_LINE_BYTES, Record

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


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file: a record, or the reason why it is none."""

    number: int
    record: Record | None
    reason: str = ""


def read_jsonl(path: str | os.PathLike[str]) -> Iterator[Line]:
    """The lines of a file; empty ones are left out."""
    with _explained(path), open(path, "rb") as file:
        yield from read_lines(file)


def read_lines(file: IO[bytes]) -> Iterator[Line]:
    """The lines of an open file; empty ones are left out."""
    number = 0
    while text := file.readline(MAXIMUM_LINE_BYTES + 2):
        number += 1
        if len(text) > MAXIMUM_LINE_BYTES and not text.endswith(b"\n"):
            _skip_rest(file)
            yield Line(number, None, f"longer than {MAXIMUM_LINE_BYTES} bytes")
        elif text.strip():
            yield _decode(number, text)


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
    with _explained(path):
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
    with _explained(path), open(path, "a+b", buffering=0) as file:
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


def _decode(number: int, text: bytes) -> Line:
    try:
        return Line(number, Record.from_json(text))
    except RecordError as error:
        return Line(number, None, str(error))


def _skip_rest(file: IO[bytes]) -> None:
    while (text := file.readline(MAXIMUM_LINE_BYTES)) and not text.endswith(b"\n"):
        continue


@contextlib.contextmanager
def _explained(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatabaseError(f"{os.fspath(path)}: {error.strerror or error}") from None
