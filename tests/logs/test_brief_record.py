"""Brief records: what a search sees of a row is what the whole record says, or nothing at all."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.logs.records import OK, cost, make
from tests.logs.test_record import tamper
from tilewright.logs.brief_record import BriefRecord, line_checksum, read_brief
from tilewright.logs.errors import RecordError
from tilewright.logs.integrity import check
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.measure.result import MeasureResult, failed

RECORDS = [
    make(OK, config={"i": 0}),
    make(cost(2e-4, 40.0), config={"i": 1, "tile": [4, [8]]}, attempt=3, index=None),
    make(failed("crash", "ended by SIGSEGV", "SIGSEGV"), config={"text": 'a,"config":b'}),
    make(MeasureResult(state="slow", seconds=1e-3), config={}),
    make(workload={"op": "f", "args": {"a": {"b": 1, "config": 2}}}),  # its head is not easily found
]


def is_brief_of(brief: BriefRecord, record: Record) -> bool:
    return all(getattr(brief, name) == getattr(record, name) for name in BriefRecord.__struct_fields__)


def spoil(path: str, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        assert raw.execute(statement, values).rowcount == 1


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with RecordStore(tmp_path / "tune.db") as made:
        made.add_all(make(cost(1e-4 * (i + 1)), config={"i": i}) for i in range(3))
        yield made


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.id)
@pytest.mark.parametrize("has_checksum", [False, True])
def test_a_brief_says_what_the_record_says(record: Record, has_checksum: bool) -> None:
    line = record.to_json().encode()
    key, brief = read_brief(line, line_checksum(line) if has_checksum else None)
    assert key == record.key
    assert is_brief_of(brief, record)


def test_an_altered_byte_is_refused_or_harmless() -> None:
    line = make().to_json().encode()
    _, brief = read_brief(line, line_checksum(line))
    for position in range(len(line)):
        for bit in (0x01, 0x04, 0x10):
            changed = bytearray(line)
            changed[position] ^= bit
            try:
                assert read_brief(bytes(changed), line_checksum(line)) == (make().key, brief)
            except RecordError:
                continue


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": 1e-12},
        {"seconds": None},
        {"seconds": "1e-4"},
        {"interval": [0.0, 1e-4]},
        {"state": "crash"},
        {"state": "great"},
        {"at": "2026-01-02T03:04:05"},
        {"config": [1]},
        {"target": {"cpu": "", "features": "", "threads": 1}},
    ],
)
def test_checksums_that_fit_make_no_nonsense_a_trial(changes: dict[str, Any]) -> None:
    line = tamper(**changes).encode()
    with pytest.raises(RecordError):
        read_brief(line, line_checksum(line))


def test_a_line_nested_too_deeply_is_refused() -> None:
    line = make().to_json().replace('"config":{', '"config":{"x":' + "[" * 5000 + "]" * 5000 + ",").encode()
    with pytest.raises(RecordError):
        read_brief(line, line_checksum(line))


def test_rows_of_a_key_come_in_their_order(store: RecordStore) -> None:
    store.add(make(workload={"op": "softmax", "args": {}}))
    records = store.trials(make().key)
    briefs = store.briefs(make().key)
    assert all(map(is_brief_of, briefs, records))
    assert [brief.config["i"] for brief in briefs] == [0, 1, 2]
    assert store.briefs("other") == []


def test_a_damaged_row_is_skipped_with_a_warning(
    store: RecordStore, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(store.name, "UPDATE trials SET line = replace(line, '0.0001', '0.00001') WHERE id = 1")
    assert [brief.config["i"] for brief in store.briefs(make().key)] == [1, 2]
    assert "skipped a damaged row: checksum" in caplog.text


def test_a_row_of_another_key_is_passed_over(store: RecordStore) -> None:
    line = make(cost(1e-6), workload={"op": "softmax", "args": {}}).to_json()
    for checksum in (line_checksum(line), None):
        spoil(store.name, "UPDATE trials SET line = ?, checksum = ? WHERE id = 1", line, checksum)
        assert [brief.config["i"] for brief in store.briefs(make().key)] == [1, 2]


def test_a_row_without_or_with_a_wrong_checksum_is_judged_by_its_line(store: RecordStore) -> None:
    before = store.briefs(make().key)
    spoil(store.name, "UPDATE trials SET checksum = NULL WHERE id = 1")
    spoil(store.name, "UPDATE trials SET checksum = 5 WHERE id = 2")
    assert store.briefs(make().key) == before
    assert check(store.name)["problems"] == ["contradiction: row 2: checksum is 5, not that of the line"]


def test_only_trials_that_are_not_known_are_read(store: RecordStore) -> None:
    records = store.trials(make().key)
    assert store.new_trials(make().key, {records[1].id}) == [records[0], records[2]]
    assert store.new_trials(make().key, {record.id for record in records}) == []


def test_lines_that_are_not_as_we_write_them_are_read(store: RecordStore) -> None:
    fields = json.loads(make(config={"i": 0}).to_json())
    turned = msgspec.json.encode(dict(reversed(fields.items()))).decode()
    spoil(
        store.name,
        "UPDATE trials SET line = ?, checksum = ? WHERE id = 1",
        turned,
        line_checksum(turned),
    )
    assert [brief.config["i"] for brief in store.briefs(make().key)] == [0, 1, 2]
