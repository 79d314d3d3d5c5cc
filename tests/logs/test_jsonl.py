"""Logs on disk go out and come back; what is wrong with them is named."""

import io
import os
from pathlib import Path

import pytest

from tests.logs.records import make
from tilewright.logs.errors import DatabaseError
from tilewright.logs.formats.jsonl import export_jsonl, import_jsonl, read_jsonl, write_jsonl
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


def test_records_go_to_an_open_file() -> None:
    file = io.StringIO()
    assert write_jsonl(RECORDS, file) == 6
    assert file.getvalue().count("\n") == 6


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"nothing\.jsonl: No such file"):
        list(read_jsonl(tmp_path / "nothing.jsonl"))
    with pytest.raises(DatabaseError, match="No such file"):
        export_jsonl(RECORDS, tmp_path / "nowhere" / "log.jsonl")
