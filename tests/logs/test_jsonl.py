"""Logs on disk survive torn tails, flipped bytes and hostile lines."""

import io
import os
import random
from pathlib import Path

import pytest

from tests.logs.records import make
from tilewright.logs.errors import DatabaseError
from tilewright.logs.formats.jsonl import append_jsonl, export_jsonl, import_jsonl, read_jsonl, write_jsonl
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore

RECORDS = [make(config={"i": i}) for i in range(6)]


def good(path: Path) -> list[Record]:
    return [line.record for line in read_jsonl(path) if line.record is not None]


def test_a_log_goes_out_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with RecordStore(tmp_path / "a.db") as store:
        store.add_all(RECORDS)
        assert export_jsonl(store.iter_trials(), path) == 6
    with RecordStore(tmp_path / "b.db") as store:
        assert import_jsonl(store, path) == {"imported": 6, "skipped": []}
        assert import_jsonl(store, path) == {"imported": 0, "skipped": []}
        assert list(store.iter_trials()) == RECORDS
    assert sorted(os.listdir(tmp_path)) == ["a.db", "b.db", "log.jsonl"]


def test_bad_lines_are_named_and_the_rest_is_imported(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = [record.to_json() for record in RECORDS]
    lines[1] = lines[1].replace("0.0001", "0.0000")
    lines[3] = "{}"
    lines[4] = "x" * 3_000_000
    path.write_text("\n".join(["", *lines]))
    with RecordStore(tmp_path / "a.db") as store:
        report = import_jsonl(store, path)
    assert report["imported"] == 3
    assert [skipped["line"] for skipped in report["skipped"]] == [3, 5, 6]
    assert all(skipped["reason"] for skipped in report["skipped"])


def test_a_tail_torn_at_any_byte_harms_no_other_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    whole = "".join(record.to_json() + "\n" for record in RECORDS[:4]).encode()
    intact = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for size in range(intact, len(whole) + 1):
        path.write_bytes(whole[:size])
        assert append_jsonl(RECORDS[4:], path) == 2
        kept = [record for i, record in enumerate(RECORDS[:4]) if whole[:size].count(b"\n") > i]
        found = good(path)
        assert found[: len(kept)] == kept
        assert found[-2:] == RECORDS[4:]
        assert len(found) <= len(kept) + 3  # a line that lacked nothing but its end counts too


def test_flipped_bytes_never_raise_and_never_change_a_record(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    whole = "".join(record.to_json() + "\n" for record in RECORDS).encode()
    chance = random.Random(0)
    for _ in range(300):
        changed = bytearray(whole)
        changed[chance.randrange(len(whole))] = chance.randrange(256)
        path.write_bytes(changed)
        found = good(path)
        assert len(found) >= 4
        assert all(record in RECORDS for record in found)


def test_records_go_to_an_open_file() -> None:
    file = io.StringIO()
    assert write_jsonl(RECORDS, file) == 6
    assert file.getvalue().count("\n") == 6


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"nothing\.jsonl: No such file"):
        list(read_jsonl(tmp_path / "nothing.jsonl"))
    with pytest.raises(DatabaseError, match="No such file"):
        export_jsonl(RECORDS, tmp_path / "nowhere" / "log.jsonl")
