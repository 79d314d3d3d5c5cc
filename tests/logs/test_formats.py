"""Formats are told by what is in a file, and records of old keep their place."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from tests.fake_measurer import FakeMeasurer
from tests.logs.autotvm_lines import CONV, MATMUL, OLD, PICKLED
from tests.logs.documents import POINTS, cache_entry, cache_text, t4_document, t4_result, write
from tests.logs.records import make
from tests.scaling import scaling
from tilewright.logs.apply import apply_best
from tilewright.logs.errors import DatabaseError, RecordError
from tilewright.logs.formats.autotvm import from_record, parse_line, read_autotvm, to_record
from tilewright.logs.formats.registry import FORMATS, SPACE, detect_format, export_file, import_file
from tilewright.logs.formats.spaces import read_recorded_space
from tilewright.logs.record import Kind, OriginData, Record, TargetData
from tilewright.logs.store import RecordStore
from tilewright.templates.knobs import KnobKind
from tilewright.tuning import tune, workers

OWN_SPACE: dict[str, Any] = {
    "space": {
        "tile": {"kind": "split", "values": [[-1, 4], [-1, 8]], "extent": 16},
        "u": {"kind": "other", "values": [1, 2]},
    },
    "trials": [
        {"config": {"tile": [-1, 4], "u": 1}, "state": "ok", "cost": 2e-3},
        {"config": {"tile": [-1, 8], "u": 1}, "state": "crash", "cost": None},
        {"config": {"tile": [-1, 8], "u": 2}, "state": "slow", "cost": 4e-3},
    ],
}
T4 = t4_document([t4_result(POINTS[0], [2.0])], timeunit="ms")
CACHE = cache_text([cache_entry(POINTS[0], 2.0)], closed=False)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "jsonl"),
        ("\n\n", "jsonl"),
        (make().to_json(), "jsonl"),
        ("torn\n" + make().to_json() + "\n", "jsonl"),
        (CONV, "autotvm"),
        ("# comment\n\n" + MATMUL[:40] + "\n" + MATMUL, "autotvm"),
        (OLD, "autotvm"),
        (PICKLED[0], "autotvm"),
        (json.dumps(T4), "t4"),
        (json.dumps(T4, indent=2), "t4"),
        (json.dumps({**T4, "metadata": {"input": "x" * 2000}}, indent=1), "t4"),
        (CACHE, "kernel-tuner"),
        (CACHE[:400], "kernel-tuner"),
        (cache_text([cache_entry(POINTS[0], 2.0)], closed=True), "kernel-tuner"),
        (json.dumps(json.loads(CACHE[:-1] + "}}")), "kernel-tuner"),
        (json.dumps(OWN_SPACE), SPACE),
        (json.dumps(OWN_SPACE, indent=1), SPACE),
    ],
)
def test_a_format_is_told_by_its_contents(tmp_path: Path, text: str, name: str) -> None:
    assert detect_format(write(tmp_path / "a.data", text)) == name
    assert detect_format(write(tmp_path / "a.gz", text)) == name


def test_a_long_document_is_told_by_its_head(tmp_path: Path) -> None:
    results = [t4_result(POINTS[0], [2.0] * 100) for _ in range(2500)]
    path = write(tmp_path / "a.json", json.dumps(t4_document(results)))
    assert path.stat().st_size > 2 << 20
    assert detect_format(path) == "t4"


def test_packed_logs_are_read(tmp_path: Path) -> None:
    for name in ("jsonl", "autotvm"):
        chosen, path = FORMATS[name], tmp_path / f"{name}.gz"
        records = [make(config={"i": i}) for i in range(300)]
        assert export_file(records, path, name) == {str(path): 300}
        assert [line.record.config["i"] for line in chosen.read(path) if line.record] == [*range(300)]
        path.write_bytes(path.read_bytes()[:-40])
        *lines, last = chosen.read(path)
        assert len(lines) > 100
        assert "damaged" in last.reason
        path.write_bytes(gzip.compress(MATMUL.encode() + b"\n" * (32 << 20)))
        *_, last = chosen.read(path)
        assert "too large" in last.reason


def test_an_open_file_in_another_encoding_is_no_exception(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(MATMUL.encode() + b"\n\xff\xfe\n" + MATMUL.encode())
    with (tmp_path / "a.log").open(encoding="utf-8") as file:
        assert [line.record for line in read_autotvm(file)][-1] is None
    assert [line.record is None for line in read_autotvm(tmp_path / "a.log")] == [False, True, False]


def test_what_is_too_long_for_a_record_is_skipped(tmp_path: Path) -> None:
    """The facts of a line are kept twice in a record, so a long line is too long for one."""
    line = MATMUL.replace("128, 128, 128", '"' + "x" * 900_000 + '"')
    path = write(tmp_path / "a.log", f"{line}\n{MATMUL}\n")
    with RecordStore(tmp_path / "a.db") as store:
        assert import_file(store, path, "autotvm") == {
            "imported": 1,
            "skipped": [{"line": 1, "reason": "too long for a record"}],
        }
        assert store.count() == len(list(store.iter_trials())) == 1


@pytest.mark.parametrize(
    "text",
    ["hello", "{}", "[1, 2]", "a,b\n1,2\n", '{"a": {"results2": 1}}', "\x00\x01", "[" * 100_000, "a\tb\tc"],
)
def test_what_is_none_of_them_is_named(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "notes.txt", text)
    with pytest.raises(RecordError, match=r"notes\.txt is in no format of records \(jsonl, autotvm"):
        detect_format(path)
    with pytest.raises(RecordError, match=r"notes\.txt"):
        read_recorded_space(path)
    with pytest.raises(DatabaseError, match="No such file"):
        detect_format(tmp_path / "missing")


def test_every_format_reads_what_it_writes(tmp_path: Path) -> None:
    for name, chosen in FORMATS.items():
        path = tmp_path / name
        with path.open("w") as file:
            assert chosen.write([make(config={"i": 1}), make(config={"i": 2})], file) == 2
        assert detect_format(path) == name
        assert [line.record.config["i"] for line in chosen.read(path) if line.record] == [1, 2]


def test_a_file_of_no_records_is_no_error(tmp_path: Path) -> None:
    for name, chosen in FORMATS.items():
        with (tmp_path / name).open("w") as file:
            assert chosen.write([], file) == 0


def test_a_space_of_ours_is_read(tmp_path: Path) -> None:
    recorded = read_recorded_space(write(tmp_path / "own.json", OWN_SPACE))
    assert (recorded.name, len(recorded.space), recorded.failures, recorded.optimum) == ("own", 3, 1, 2e-3)
    assert recorded.space.knob("tile").kind == "split"
    assert read_recorded_space(write(tmp_path / "t4.json", T4)).name == "t4"
    assert read_recorded_space(write(tmp_path / "kt.json", CACHE)).name == "kt"
    with pytest.raises(RecordError, match=r"log \(autotvm\), not a recorded space"):
        read_recorded_space(write(tmp_path / "a.log", CONV))
    with RecordStore(tmp_path / "a.db") as store, pytest.raises(RecordError, match="tilewright replay"):
        import_file(store, tmp_path / "own.json", SPACE)


@pytest.mark.parametrize(
    "changes",
    [
        {"space": {"tile": {"kind": "great", "values": []}}},
        {"space": {"tile": {"kind": "split", "values": [1, 2]}}},
        {"space": {"tile": 5}},
        {"trials": [{"config": {"tile": [-1, 5], "u": 1}, "state": "ok", "cost": 1.0}]},
        {"trials": [{"config": {"tile": [-1, 4]}, "state": "ok", "cost": 1.0}]},
        {"trials": [{"config": {"tile": [-1, 4], "u": 1}, "state": "great", "cost": 1.0}]},
        {"trials": []},
    ],
)
def test_a_wrong_space_of_ours_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match=r"own"):
        read_recorded_space(write(tmp_path / "own.json", {**OWN_SPACE, **changes}))


def test_a_record_without_the_new_fields_is_as_it_was() -> None:
    """A line from before `kinds` and `origin`, with the checksum that was computed then."""
    line = (
        '{"v":1,"id":"9f8cbbbd6d3b0c5d","workload":{"op":"f","args":{"n":4}},"template":{"name":"f","source":""},'
        '"target":{"cpu":"c","features":"x","threads":1},"config":{"i":1},"index":null,"attempt":1,'
        '"state":"invalid","signal":null,"costs":[],"seconds":null,"interval":null,"reference_ratio":null,'
        '"noisy":false,"build_seconds":0.0,"error":"why","versions":{},"at":"2026-01-02T03:04:05Z","seed":null'
    )
    fields = json.loads(line + "}")
    name = fields.pop("id")
    crc = f"{zlib.crc32(json.dumps(fields, sort_keys=True, separators=(',', ':')).encode()):08x}"
    record = make()
    assert '"kinds"' not in record.to_json()
    assert '"origin"' not in record.to_json()
    whole = f'{line},"crc":"{crc}"}}'.replace(name, _id_of(fields))
    assert Record.from_json(whole).to_json() == whole


@pytest.mark.parametrize("cost", [0.0, -1.0])
def test_an_impossible_cost_counts_as_a_failure(tmp_path: Path, cost: float) -> None:
    trials = [{"config": {"tile": [-1, 8], "u": 1}, "state": "ok", "cost": cost}, OWN_SPACE["trials"][0]]
    recorded = read_recorded_space(write(tmp_path / "own.json", {**OWN_SPACE, "trials": trials}))
    assert (recorded.failures, recorded.optimum) == (1, 2e-3)


def _id_of(fields: dict[str, Any]) -> str:
    import hashlib

    def digest(value: Any) -> str:
        return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    target = fields["target"]
    key = digest(
        [fields["workload"]["op"], fields["workload"]["args"], target["cpu"], target["features"], 1]
    )[:32]
    return digest([key, digest(fields["config"])[:32], fields["attempt"]])[:16]


def test_the_new_fields_are_kept_and_checked() -> None:
    record = make(kinds={"tile": "split", "order": "other", "unroll": "other"})
    record = msgspec.structs.replace(record, origin=OriginData("x", {"a": [1, None, {"b": 2.5}]}))
    line = record.to_json()
    assert Record.from_json(line) == record
    for old, new in (('"split"', '"other"'), ('"b":2.5', '"b":2.0')):
        assert old in line
        with pytest.raises(RecordError, match="checksum"):
            Record.from_json(line.replace(old, new))
    with pytest.raises(RecordError, match="kinds of tile"):
        make(kinds={"tile": "split"})


def test_a_run_records_the_kinds_of_its_knobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake(FakeMeasurer):
        """Counts on its own."""

    monkeypatch.setattr(workers, "Measurer", Fake)
    tune(scaling, n=64, threads=1, db=tmp_path / "tune.db", trials=2, tuner="grid")
    with RecordStore(tmp_path / "tune.db") as store:
        records = list(store.iter_trials())
    assert [record.kinds for record in records] == [{"factor": "other"}] * 2
    assert [from_record(record).entity[0][:2] for record in records] == [("factor", "ot")] * 2


def test_apply_best_says_what_to_do_with_foreign_files(tmp_path: Path) -> None:
    for text, message in (
        (CONV, r"a\.data is AutoTVM's log.*log import.*tilewright\.tvm\.autotvm\.apply_history_best"),
        (OLD, "is AutoTVM's log"),
        (json.dumps(T4), "holds T4 results, no records of ours: `tilewright log import`"),
        (CACHE, "holds Kernel Tuner's cache"),
        ("only words", "not a SQLite database and holds no record"),
    ):
        path = write(tmp_path / "a.data", text)
        with pytest.raises(DatabaseError, match=message):
            apply_best(path).find("key")


def test_imported_records_are_never_in_force_for_others(tmp_path: Path) -> None:
    """The same workload, CPU and threads: the key of an imported record is another one."""
    record = to_record(parse_line(CONV))
    own = make(workload=msgspec.to_builtins(record.workload), target=TargetData(record.target.cpu, "f", 8))
    assert apply_best([record]).find(own.key) is None
    assert apply_best([record]).find(record.key) == record


def test_the_kinds_are_the_knobs_kinds() -> None:
    assert set(get_args(Kind)) == set(get_args(KnobKind))
