"""Fills a small file system with records until it is full, again and again.

python -m tests.faults.full_disk FOLDER
"""

import contextlib
import sqlite3
import sys
from pathlib import Path

from tests.logs.records import make
from tilewright.logs.errors import DatabaseError
from tilewright.logs.formats.jsonl import append_jsonl, read_jsonl
from tilewright.logs.store import RecordStore

TIMES = 20


def fill_database(path: Path, first: int) -> tuple[int, str]:
    """Store records until the disk is full; how many were acknowledged, and what was said."""
    count = 0
    try:
        with RecordStore(path) as store:
            while True:
                store.add(make(config={"i": first + count, "text": "x" * 8000}))
                count += 1
    except DatabaseError as error:
        return count, str(error)


def check_database(path: Path, expected: int) -> None:
    """Whatever is full, what was acknowledged is there and sound."""
    with contextlib.closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with RecordStore(path, read_only=True) as store:
        assert len({record.id for record in store.iter_trials()}) >= expected


def check_message(message: str, path: Path) -> None:
    """It names the path and the bytes, in one line."""
    assert "disk is full" in message, message
    assert str(path) in message, message
    assert "bytes are free" in message, message
    assert "\n" not in message


def main(folder: Path) -> None:
    """Fill the disk, check, make room, and do it again."""
    filler = folder / "filler"
    for number in range(TIMES):
        path = folder / f"{number}.db"
        filler.write_bytes(b"x" * (50_000 * number))
        stored, message = fill_database(path, 0)
        check_message(message, path)
        assert stored > 0
        check_database(path, stored)
        filler.unlink()  # room is made
        with RecordStore(path) as store:
            assert store.add(make(config={"after": number}))
            assert store.count() >= stored + 1
        for left in folder.glob(f"{number}.db*"):
            left.unlink()
    fill_log(folder / "log.jsonl")
    print("done")


def fill_log(path: Path) -> None:
    """A log on a full disk keeps its lines, and takes others when there is room."""
    records, count = [make(config={"i": i, "text": "x" * 50_000}) for i in range(100)], 0
    with contextlib.suppress(DatabaseError):
        for record in records:
            append_jsonl([record], path)
            count += 1
    assert 0 < count < len(records)
    whole = [line.record for line in read_jsonl(path) if line.record is not None]
    assert whole[:count] == records[:count]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
