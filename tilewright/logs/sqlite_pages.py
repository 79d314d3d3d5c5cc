"""Rows read straight from the pages of a SQLite file, for files that SQLite itself refuses.

The layout is that of sqlite.org/fileformat2.html: leaf pages of tables, their overflow pages, and the frames
of the write-ahead log. What is read may be damaged; whoever uses it checks it.
"""

import contextlib
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

HEADER = b"SQLite format 3\x00"
DEFAULT_PAGE_SIZE = 4096
_PAGE_SIZES = tuple(1 << power for power in range(9, 17))
_LEAF = 0x0D
_FILE_HEADER_BYTES = 100
_PAGE_HEADER_BYTES = 8
_LOG_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_LARGEST_PAYLOAD = 4 << 20
_FIRST_TEXT = 13
_SIZES_OF_TYPES = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)
_FLOAT = 7

Value = int | float | bytes | None


class DamagedPage(Exception):  # noqa: N818 - it never leaves this module
    """What a page holds cannot be a row."""


def read_rows(path: Path) -> Iterator[tuple[Value, ...]]:
    """The rows of all tables that can be made out, by their numbers; a row may come more than once.

    Raises:
        OSError: the file cannot be read.
    """
    with contextlib.ExitStack() as stack:
        pages = _Pages(_map(path, stack), _map(path.with_name(path.name + "-wal"), stack))
        for _, number, version in sorted(_leaves(pages)):
            page = pages.versions(number)[version]
            for cell in _cells(page, _header_of(number)):
                with contextlib.suppress(DamagedPage, struct.error, IndexError):
                    yield _decode_row(_payload(pages, page, cell))


def _map(path: Path, stack: contextlib.ExitStack) -> "mmap.mmap | bytes":
    """The bytes of a file; none where it is empty or not there."""
    if not path.exists() or os.path.getsize(path) == 0:
        return b""
    file = stack.enter_context(path.open("rb"))
    return stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


class _Pages:
    """The pages of a file, in place of which the committed ones of its log stand."""

    def __init__(self, file: "mmap.mmap | bytes", log: "mmap.mmap | bytes") -> None:
        self.size = _page_size(file)
        self.usable = self.size - (file[20] if file[: len(HEADER)] == HEADER else 0)
        self._file = file
        self._log = log
        self._newer = _read_log(log, self.size)

    def numbers(self) -> range:
        """Those of all pages; a last one that is cut off is left out."""
        return range(1, max(len(self._file) // self.size, max(self._newer, default=0)) + 1)

    def versions(self, number: int) -> list[bytes]:
        """The page as it is in the file and in the log."""
        start = (number - 1) * self.size
        kept = [self._file[start : start + self.size]]
        if number in self._newer:
            kept.append(self._log[self._newer[number] : self._newer[number] + self.size])
        return [page for page in kept if len(page) == self.size]

    def latest(self, number: int) -> bytes:
        """The page as it was last committed."""
        found = self.versions(number) if number >= 1 else []
        if not found:
            raise DamagedPage
        return found[-1]


def _page_size(file: "mmap.mmap | bytes") -> int:
    if file[: len(HEADER)] != HEADER or len(file) < _FILE_HEADER_BYTES:
        return DEFAULT_PAGE_SIZE
    size = int.from_bytes(file[16:18], "big")
    size = 1 << 16 if size == 1 else size
    return size if size in _PAGE_SIZES else DEFAULT_PAGE_SIZE


def _read_log(log: "mmap.mmap | bytes", size: int) -> dict[int, int]:
    """Where the pages of the transactions are that a write-ahead log holds whole."""
    committed: dict[int, int] = {}
    pending: dict[int, int] = {}
    salts = log[16:24]
    step = _FRAME_HEADER_BYTES + size
    for start in range(_LOG_HEADER_BYTES, len(log) - step + 1, step):
        number, size_after = struct.unpack_from(">II", log, start)
        if log[start + 8 : start + 16] != salts:
            break  # left from before the log began anew
        pending[number] = start + _FRAME_HEADER_BYTES
        if size_after:
            committed |= pending
            pending.clear()
    return committed


def _leaves(pages: _Pages) -> Iterator[tuple[int, int, int]]:
    """The leaves of tables: the number of the first row, the page's number, and which version of it."""
    for number in pages.numbers():
        offset = _header_of(number)
        for version, page in enumerate(pages.versions(number)):
            if page[offset] != _LEAF:
                continue
            with contextlib.suppress(DamagedPage, struct.error, IndexError):
                first = next(_cells(page, offset), None)
                if first is not None:
                    _, position = _varint(page, first)
                    yield _varint(page, position)[0], number, version


def _header_of(number: int) -> int:
    """Where the header of a page begins: in the first, after that of the file."""
    return _FILE_HEADER_BYTES if number == 1 else 0


def _cells(page: bytes, offset: int) -> Iterator[int]:
    """Where the cells of a leaf begin."""
    (count,) = struct.unpack_from(">H", page, offset + 3)
    end = min(offset + _PAGE_HEADER_BYTES + 2 * count, len(page) - 1)
    for place in range(offset + _PAGE_HEADER_BYTES, end, 2):
        (cell,) = struct.unpack_from(">H", page, place)
        if _PAGE_HEADER_BYTES < cell < len(page):
            yield cell


def _payload(pages: _Pages, page: bytes, cell: int) -> bytes:
    """The row of a cell, with what overflowed to other pages."""
    length, position = _varint(page, cell)
    _, position = _varint(page, position)
    if length > _LARGEST_PAYLOAD:
        raise DamagedPage
    local = _local_bytes(length, pages.usable)
    payload = bytearray(page[position : position + local])
    follow = position + local
    while len(payload) < length:
        (number,) = struct.unpack_from(">I", page, follow)
        page, follow = pages.latest(number), 0  # the number of the next page comes first
        payload += page[4 : 4 + min(pages.usable - 4, length - len(payload))]
    return bytes(payload)


def _local_bytes(length: int, usable: int) -> int:
    most, least = usable - 35, (usable - 12) * 32 // 255 - 23
    if length <= most:
        return length
    kept = least + (length - least) % (usable - 4)
    return kept if kept <= most else least


def _decode_row(payload: bytes) -> tuple[Value, ...]:
    end, position = _varint(payload, 0)
    body, values = end, []
    while position < end:
        kind, position = _varint(payload, position)
        size = _size_of(kind)
        if body + size > len(payload):
            raise DamagedPage
        values.append(_value(kind, payload[body : body + size]))
        body += size
    return tuple(values)


def _size_of(kind: int) -> int:
    if kind < len(_SIZES_OF_TYPES):
        return _SIZES_OF_TYPES[kind]
    if kind < _FIRST_TEXT - 1:
        raise DamagedPage
    return (kind - _FIRST_TEXT + 1) // 2


def _value(kind: int, data: bytes) -> Value:
    if kind == 0:
        return None
    if kind == _FLOAT:
        return float(struct.unpack(">d", data)[0])
    if kind < len(_SIZES_OF_TYPES):
        return kind - 8 if kind >= 8 else int.from_bytes(data, "big", signed=True)
    return data


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where the next begins."""
    number = 0
    for place in range(position, position + 8):
        number = number << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return number, place + 1
    return number << 8 | data[position + 8], position + 9
