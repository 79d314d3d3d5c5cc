"""Row 27: torn and garbled logs; every intact line and every later append is read."""

import random
from pathlib import Path

import pytest

from tests.logs.records import make
from tilewright.logs.formats.jsonl import append_jsonl, import_jsonl, read_jsonl
from tilewright.logs.record import Record
from tilewright.logs.recovery import recover
from tilewright.logs.store import RecordStore

TORN_LINES = 3
APPENDED = 2
FLIPS = 1000
RECORDS = [make(config={"i": i}) for i in range(6)]
LATER = [make(config={"later": i}) for i in range(APPENDED)]


def good(path: Path) -> list[Record]:
    return [line.record for line in read_jsonl(path) if line.record is not None]


def tear(path: Path, step: int) -> None:
    """Cut a log within its last lines, append to it, and read it."""
    lines = [f"{record.to_json()}\n".encode() for record in RECORDS]
    whole = b"".join(lines)
    first = len(b"".join(lines[:-TORN_LINES]))
    for size in sorted({*range(first, len(whole) + 1, step), *range(len(whole) - 3, len(whole) + 1)}):
        path.write_bytes(whole[:size])
        assert append_jsonl(LATER, path) == APPENDED
        intact = RECORDS[: whole[:size].count(b"\n")]
        found = good(path)
        assert found[: len(intact)] == intact
        assert found[-APPENDED:] == LATER
        assert len(found) <= len(intact) + APPENDED + 1  # a line that lacked nothing but its end counts too


def test_row_27_a_log_torn_within_its_last_3_lines_takes_2_more(tmp_path: Path) -> None:
    tear(tmp_path / "log.jsonl", step=11)


@pytest.mark.slow
def test_row_27_a_log_torn_at_every_byte_of_its_last_3_lines_takes_2_more(tmp_path: Path) -> None:
    tear(tmp_path / "log.jsonl", step=1)


def test_row_27_of_1000_flipped_bytes_none_raises_and_none_changes_a_record(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    whole = b"".join(f"{record.to_json()}\n".encode() for record in RECORDS)
    chance = random.Random(27)
    for _ in range(FLIPS):
        changed = bytearray(whole)
        changed[chance.randrange(len(whole))] = chance.randrange(256)
        path.write_bytes(changed)
        found = good(path)
        assert len(found) >= len(RECORDS) - 2  # a flipped end of a line joins two
        assert all(record in RECORDS for record in found)


def test_row_27_1000_bytes_flipped_at_once_spoil_their_own_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    records = [make(config={"i": i}) for i in range(4000)]
    changed = bytearray(b"".join(f"{record.to_json()}\n".encode() for record in records))
    chance = random.Random(28)
    for _ in range(FLIPS):
        changed[chance.randrange(len(changed))] ^= 0x01  # never makes an end of a line
    path.write_bytes(changed)
    with RecordStore(tmp_path / "tune.db") as store:
        report = import_jsonl(store, path)
        assert len(records) - report["imported"] <= 2 * FLIPS
        assert set(map(Record.to_json, store.iter_trials())) <= set(map(Record.to_json, records))
    assert all(skipped["reason"] for skipped in report["skipped"])


@pytest.mark.parametrize("glue", [b"", b"\x00", b"garbage"])
def test_row_27_records_whose_lines_lost_their_ends_are_recovered(tmp_path: Path, glue: bytes) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(glue.join(record.to_json().encode() for record in RECORDS) + b'{"v":1,"id":"torn')
    report = recover(path, tmp_path / "new.db")
    expected = len(RECORDS) if glue == b"" else 1
    assert report["trials"] == expected
    assert report["damaged"] == 1 + len(RECORDS) - expected
