"""Whole files: read within bounds, also compressed ones, and replaced only when the new one is whole."""

import contextlib
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from tilewright.logs.errors import DatabaseError, RecordError

MAXIMUM_BYTES = 512 << 20
_GZIP_HEADER = b"\x1f\x8b"
_PIECE = 1 << 20
# Lists of measured numbers shrink tenfold; what shrinks far more was made to fill the memory.
_UNSUSPECTED_BYTES = 16 << 20
_MAXIMUM_RATIO = 200


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The contents of a file, decompressed where it is gzip's.

    Raises:
        RecordError: it is larger than any file of records, or damaged.
        DatabaseError: it cannot be opened.
    """
    pieces: list[bytes] = []
    size = 0
    for piece, packed in _pieces(path):
        pieces.append(piece)
        size += len(piece)
        if size > MAXIMUM_BYTES or (size > _UNSUSPECTED_BYTES and size > _MAXIMUM_RATIO * packed):
            raise RecordError(f"{os.fspath(path)}: too large for a file of records when it is unpacked")
    return b"".join(pieces)


def read_head(path: str | os.PathLike[str]) -> bytes:
    """The first megabyte of a file, decompressed where it is gzip's."""
    return next((piece for piece, _ in _pieces(path)), b"")


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


def _pieces(path: str | os.PathLike[str]) -> Iterator[tuple[bytes, int]]:
    """Pieces of the contents, and how large the file is."""
    with explained(path), open(path, "rb") as file:
        packed = os.fstat(file.fileno()).st_size
        is_packed = file.read(len(_GZIP_HEADER)) == _GZIP_HEADER
        file.seek(0)
        stream: IO[bytes] = gzip.GzipFile(fileobj=file) if is_packed else file  # type: ignore[assignment]
        try:
            while piece := stream.read(_PIECE):
                yield piece, packed
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise RecordError(f"{os.fspath(path)}: damaged: {error}") from None
