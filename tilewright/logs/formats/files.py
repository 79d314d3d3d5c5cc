"""Whole files: read within bounds, also compressed ones, and replaced only when the new one is whole."""

import contextlib
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from tilewright.logs.errors import DatabaseError, RecordError

_GZIP_HEADER = b"\x1f\x8b"
_HEAD = 1 << 20
_MAXIMUM_BYTES = 512 << 20
# Lists of measured numbers shrink tenfold; what shrinks far more was made to fill the memory.
_UNSUSPECTED_BYTES = 16 << 20
_MAXIMUM_RATIO = 50


@contextlib.contextmanager
def open_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file opened for reading, unpacked where it is gzip's.

    Raises:
        DatabaseError: it cannot be opened.
        RecordError: from reading, where the packed file is damaged or made to fill the memory.
    """
    with explained(path), open(path, "rb") as file:
        is_packed = file.read(len(_GZIP_HEADER)) == _GZIP_HEADER
        file.seek(0)
        yield io.BufferedReader(_Unpacked(file, os.fspath(path))) if is_packed else file


def read_file(path: str | os.PathLike[str]) -> bytearray:
    """The contents of a file, unpacked where it is gzip's.

    Raises:
        RecordError: it is damaged, or larger than any file of records.
        DatabaseError: it cannot be opened.
    """
    data = bytearray()
    with open_file(path) as file:
        while piece := file.read(_HEAD):
            data += piece
            if len(data) > _MAXIMUM_BYTES:
                raise RecordError(f"{os.fspath(path)}: too large for a file of records")
    return data


def read_head(path: str | os.PathLike[str]) -> bytes:
    """The first megabyte of a file, unpacked where it is gzip's."""
    with open_file(path) as file:
        return file.read(_HEAD)


def stem(path: str | os.PathLike[str]) -> str:
    """The name of a file without its folders and endings."""
    return Path(path).name.split(".")[0] or Path(path).name


def replace_file(path: str | os.PathLike[str], write: Callable[[IO[str]], int]) -> int:
    """Write a new file that replaces an old one only when it is whole; what `write` returned.

    A name that ends in `.gz` is compressed.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    with explained(path):
        try:
            with temporary.open("wb") as file:
                count = _write_text(file, write, packed=target.suffix == ".gz")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return count


@contextlib.contextmanager
def explained(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the errors of the file system into ours, which name the file."""
    try:
        yield
    except OSError as error:
        raise DatabaseError(f"{os.fspath(path)}: {error.strerror or error}") from None


def _write_text(file: IO[bytes], write: Callable[[IO[str]], int], *, packed: bool) -> int:
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0)) if packed else file
        text = io.TextIOWrapper(raw, encoding="utf-8", newline="\n")
        try:
            count = write(text)
            text.flush()
        finally:
            text.detach()
    return count


class _Unpacked(io.RawIOBase):
    """What gzip's file holds, as long as it does not hold suspiciously much for its size."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._stream = gzip.GzipFile(fileobj=file, mode="rb")
        self._name = name
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        try:
            piece = self._stream.read(len(view))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise RecordError(f"{self._name}: damaged: {error}") from None
        self._size += len(piece)
        if self._size > max(_UNSUSPECTED_BYTES, _MAXIMUM_RATIO * self._file.tell()):
            raise RecordError(f"{self._name}: too large for a file of records when it is unpacked")
        view[: len(piece)] = piece
        return len(piece)
