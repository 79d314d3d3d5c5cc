"""Files of lines: each is read on its own, so that a bad one harms no other."""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Generic, TypeVar

import msgspec

from tilewright.logs.errors import RecordError
from tilewright.logs.formats.files import explained, open_file
from tilewright.logs.record import MAXIMUM_LINE_BYTES

T = TypeVar("T")
Path = str | os.PathLike[str]


class Line(msgspec.Struct, Generic[T], frozen=True):
    """One line of a file: what it records, or the reason why that is nothing."""

    number: int
    record: T | None
    reason: str = ""


def read_lines(
    source: Path | IO[str] | IO[bytes], decode: Callable[[bytes], T], comment: bytes | None = None
) -> Iterator[Line[T]]:
    """The lines of a file; empty ones, and those that begin with `comment`, are left out."""
    if not isinstance(source, str | os.PathLike):
        yield from _read_open(source, decode, comment)
        return
    with open_file(source) as file:
        yield from _read_open(file, decode, comment)


def append_lines(lines: Iterable[str], path: Path) -> int:
    """Append lines durably, how many they were; a torn last line, left by a crash, is ended first."""
    texts = [line.encode() + b"\n" for line in lines]
    with explained(path), open(path, "a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        is_torn = size and os.pread(file.fileno(), 1, size - 1) != b"\n"
        data = memoryview(b"\n" * bool(is_torn) + b"".join(texts))
        while len(data):
            data = data[file.write(data) :]
        os.fsync(file.fileno())
    return len(texts)


def _read_open(
    file: IO[str] | IO[bytes], decode: Callable[[bytes], T], comment: bytes | None
) -> Iterator[Line[T]]:
    number = 0
    while text := _read_piece(file, MAXIMUM_LINE_BYTES + 2):
        number += 1
        if isinstance(text, RecordError):
            yield Line(number, None, str(text))
            return
        if len(text) > MAXIMUM_LINE_BYTES and not text.endswith(b"\n"):
            _skip_rest(file)
            yield Line(number, None, f"longer than {MAXIMUM_LINE_BYTES} bytes")
        elif text.strip() and not (comment and text.startswith(comment)):
            yield _decode(number, text, decode)


def _read_piece(file: IO[str] | IO[bytes], limit: int) -> bytes | RecordError:
    """A piece of a line, or why the rest of the file cannot be had."""
    try:
        text = file.readline(limit)
    except UnicodeDecodeError as error:
        return RecordError(
            f"the open file's encoding ends here ({error.reason}); its path is read to the end"
        )
    except RecordError as error:
        return error
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def _decode(number: int, text: bytes, decode: Callable[[bytes], T]) -> Line[T]:
    try:
        return Line(number, decode(text))
    except RecordError as error:
        return Line(number, None, str(error))


def _skip_rest(file: IO[str] | IO[bytes]) -> None:
    while isinstance(text := _read_piece(file, MAXIMUM_LINE_BYTES), bytes):
        if not text or text.endswith(b"\n"):
            return
