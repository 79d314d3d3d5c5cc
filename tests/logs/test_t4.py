"""T4 documents: both spellings, both ways, within bounds."""

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.logs.documents import POINTS, configuration, t4_document, t4_result, write
from tests.logs.records import cost, make
from tilewright.logs.errors import DatabaseError, RecordError
from tilewright.logs.formats.registry import export_file, import_file
from tilewright.logs.formats.t4 import (
    INVALIDITY_OF_STATE,
    STATE_OF_INVALIDITY,
    read_space,
    read_t4,
)
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.measure.result import STATES, MeasureResult

INVALIDITIES = {
    "timeout": "run_timeout",
    "compile": "compile_error",
    "runtime": "crash",
    "correctness": "wrong_result",
    "constraints": "invalid",
    "correct": "ok",
}


def records(path: Path) -> list[Record]:
    lines = list(read_t4(path))
    assert not [line.reason for line in lines if line.record is None]
    return [line.record for line in lines if line.record is not None]


@pytest.fixture
def document(tmp_path: Path) -> Path:
    results = [t4_result(point, [2.0, 4.0 + place]) for place, point in enumerate(POINTS[:4])]
    failed = [
        t4_result(point, None, invalidity)
        for point, invalidity in zip(POINTS[4:], INVALIDITIES, strict=False)
    ]
    return write(tmp_path / "scale.t4.json", t4_document([*results, *failed[:5]]))


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [
        ({}, 3e-3),
        ({"timeunit": "miliseconds"}, 3e-3),
        ({"timeunit": "seconds"}, 3.0),
        ({"timeunit": "us"}, 3e-6),
    ],
)
def test_the_cost_is_the_mean_of_the_runs_in_its_unit(
    tmp_path: Path, unit: dict[str, str], seconds: float
) -> None:
    path = write(tmp_path / "a.json", t4_document([t4_result(POINTS[0], [2.0, 4.0])], **unit))
    (record,) = records(path)
    assert record.seconds == pytest.approx(seconds)
    assert record.costs == pytest.approx((seconds * 2 / 3, seconds * 4 / 3))
    assert record.build_seconds == pytest.approx(seconds * 250 / 3)
    assert record.config == configuration(POINTS[0])
    assert record.at.isoformat() == "2026-03-04T05:06:07.000089+00:00"
    assert read_space(path).optimum == pytest.approx(seconds)


def test_both_spellings_are_read(tmp_path: Path) -> None:
    entry = t4_result(POINTS[0], [2.0])
    entry["times"]["compilation"] = entry["times"].pop("compilation_time")
    entry["times"]["benchmark"] = 5.0
    (record,) = records(write(tmp_path / "a.json", t4_document([entry])))
    assert record.build_seconds == 0.25


def test_the_measured_time_serves_where_no_runs_are_listed(tmp_path: Path) -> None:
    entry = t4_result(POINTS[0], [2.0])
    del entry["times"]["runtimes"]
    (record,) = records(write(tmp_path / "a.json", t4_document([entry])))
    assert record.seconds == pytest.approx(2.5e-3)
    entry["measurements"][0]["unit"] = "us"
    (record,) = records(write(tmp_path / "a.json", t4_document([entry])))
    assert record.seconds == pytest.approx(2.5e-6)


@pytest.mark.parametrize(("invalidity", "state"), INVALIDITIES.items())
def test_invalidity_is_a_state(tmp_path: Path, invalidity: str, state: str) -> None:
    runs = [2.0] if invalidity == "correct" else None
    (record,) = records(write(tmp_path / "a.json", t4_document([t4_result(POINTS[0], runs, invalidity)])))
    assert record.state == state
    assert (record.seconds is None) == (state != "ok")


def test_every_state_goes_out_as_an_invalidity() -> None:
    assert set(INVALIDITY_OF_STATE) == set(STATES)
    assert {name: STATE_OF_INVALIDITY[name] for name in STATE_OF_INVALIDITY} == INVALIDITIES
    assert set(INVALIDITY_OF_STATE.values()) == set(INVALIDITIES)


def test_a_document_comes_back(document: Path, tmp_path: Path) -> None:
    packed, again = tmp_path / "scale.json.gz", tmp_path / "again.json"
    with RecordStore(tmp_path / "a.db") as store:
        assert import_file(store, document, "t4") == {"imported": 9, "skipped": []}
        assert import_file(store, document, "t4") == {"imported": 0, "skipped": []}
        assert export_file(store.iter_trials(), packed, "t4") == {str(packed): 9}
    back = json.loads(gzip.decompress(packed.read_bytes()))
    assert back["results"] == json.loads(document.read_text())["results"]
    with RecordStore(tmp_path / "b.db") as store:
        assert import_file(store, packed, "t4")["imported"] == 9
        assert import_file(store, document, "t4")["imported"] == 0  # the same records
        export_file(store.iter_trials(), again, "t4")
    assert again.read_bytes() == gzip.decompress(packed.read_bytes())


def test_trials_of_ours_go_out_after_the_schema_and_come_back(tmp_path: Path) -> None:
    results = [cost(3e-3), MeasureResult(state="slow", seconds=0.5), MeasureResult(state="slow")]
    results += [MeasureResult(state=state, error="x") for state in STATES if state not in ("ok", "slow")]
    own = [make(result, config={"i": i}) for i, result in enumerate(results)]
    path = tmp_path / "own.json"
    assert export_file(own, path, "t4") == {str(path): len(own)}
    data = json.loads(path.read_text())
    assert data["schema_version"] == "1.0.0"
    for entry, record in zip(data["results"], own, strict=True):
        assert {"configuration", "times", "invalidity", "correctness"} <= entry.keys()
        assert entry["invalidity"] in INVALIDITIES
        assert entry["configuration"] == record.config
        assert isinstance(entry["times"]["compilation_time"], float)
    assert data["results"][0]["times"]["runtimes"] == [3.0]
    assert data["results"][1]["times"]["runtimes"] == [500.0]
    assert data["results"][2]["invalidity"] == "timeout"
    back = records(path)
    assert back[0].seconds == pytest.approx(3e-3)
    assert (back[0].workload, back[0].config, back[0].at) == (own[0].workload, own[0].config, own[0].at)
    assert back[0].key != own[0].key  # never in force here by accident


def test_several_workloads_have_a_file_each(tmp_path: Path) -> None:
    own = [make(workload={"op": op, "args": {"n": n}}) for op, n in (("f", 1), ("f", 2), ("../../g", 1))]
    written = export_file(
        [*own, make(workload={"op": "f", "args": {"n": 1}}, attempt=2)], tmp_path / "x.json", "t4"
    )
    assert sorted(written.values()) == [1, 1, 2]
    assert {Path(name).parent for name in written} == {tmp_path}
    assert sorted(Path(name).name.split("-")[1] for name in written) == ["_g", "f", "f"]
    assert {record.workload.op for name in written for record in records(Path(name))} == {"f", "../../g"}


def test_bad_results_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    good = t4_result(POINTS[0], [2.0])
    bad: list[Any] = [
        7,
        {},
        {**good, "invalidity": "great"},
        {**good, "configuration": [1]},
        {**good, "times": {"runtimes": ["x"]}},
        {**good, "times": {"runtimes": [True]}},
        {**good, "times": {"runtimes": [1e-9]}},
        {**good, "times": {}, "measurements": []},
        {**good, "timestamp": "yesterday"},
        {**good, "configuration": {"block": 10**30}},
        {**good, "configuration": {"block": json.loads("[" * 40 + "]" * 40)}},
    ]
    path = write(tmp_path / "a.json", t4_document([*bad, good]))
    lines = list(read_t4(path))
    assert [line.record is not None for line in lines] == [False] * len(bad) + [True]
    assert all(line.reason for line in lines[:-1])
    assert [line.number for line in lines] == list(range(1, len(bad) + 2))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        '{"results": 5}',
        '{"results": [}',
        '{"results":' + "[" * 100_000,
        "\x80",
        '{"results": [NaN]}',
        '{"schema_version": "2.0.0", "results": []}',
        '{"results": [], "metadata": {"timeunit": "fortnights"}}',
    ],
)
def test_what_is_no_document_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "a.json", text)
    with pytest.raises(RecordError, match=r"a\.json"):
        list(read_t4(path))
    with pytest.raises(RecordError, match=r"a\.json"):
        read_space(path)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 3000), st.binary(max_size=4))
def test_an_altered_document_raises_nothing_but_our_errors(
    tmp_path_factory: pytest.TempPathFactory, place: int, noise: bytes
) -> None:
    text = json.dumps(t4_document([t4_result(point, [2.0]) for point in POINTS[:3]], timeunit="ms")).encode()
    path = tmp_path_factory.mktemp("t4") / "a.json"
    place %= len(text)
    path.write_bytes(text[:place] + noise + text[place + len(noise) :])
    for read in (lambda: list(read_t4(path)), lambda: read_space(path)):
        try:
            read()
        except RecordError:
            continue


def test_a_bomb_and_a_torn_archive_are_refused(tmp_path: Path) -> None:
    bomb, torn = tmp_path / "bomb.json.gz", tmp_path / "torn.json.gz"
    bomb.write_bytes(gzip.compress(b'{"results": [' + b" " * (64 << 20), 9))
    with pytest.raises(RecordError, match=r"bomb\.json\.gz: too large"):
        list(read_t4(bomb))
    torn.write_bytes(gzip.compress(json.dumps(t4_document([])).encode())[:-12])
    with pytest.raises(RecordError, match=r"torn\.json\.gz: damaged"):
        list(read_t4(torn))
    with pytest.raises(DatabaseError, match=r"none\.json: No such file"):
        list(read_t4(tmp_path / "none.json"))


def test_a_space_has_the_recorded_points_only(document: Path) -> None:
    recorded = read_space(document)
    assert (recorded.name, recorded.failures) == ("scale", 5)
    assert recorded.space.names == ("block", "order", "vector")
    assert recorded.space.dims == (3, 2, 2)
    assert len(recorded.space) == len(recorded.costs) == 9
    for place, point in enumerate(POINTS[:9]):
        index = recorded.space.from_values(configuration(point)).index
        expected = (2.0 + 4.0 + place) / 2 * 1e-3 if place < 4 else None
        assert recorded.costs[index] == (None if expected is None else pytest.approx(expected))


def test_expressions_are_words(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    value = f"__import__('pathlib').Path({str(ran)!r}).touch()"
    entry = t4_result((value, value, value), [2.0])
    path = write(tmp_path / "a.json", t4_document([entry], workload={"op": value, "args": {}}))
    (record,) = records(path)
    assert (record.workload.op, record.config["block"]) == (value, value)
    assert len(read_space(path).space) == 1
    assert not ran.exists()


def test_a_space_without_a_success_or_with_too_many_points_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", t4_document([t4_result(POINTS[0], None, "runtime")]))
    with pytest.raises(RecordError, match="no configuration ran"):
        read_space(path)
    wide = [
        {**t4_result(POINTS[0], [2.0]), "configuration": {f"k{k}": i for k in range(70)}} for i in range(2)
    ]
    with pytest.raises(RecordError, match="too large to be searched"):
        read_space(write(path, t4_document(wide)))
    odd = {**t4_result(POINTS[0], [2.0]), "configuration": {"k": {"a": 1}}}
    with pytest.raises(RecordError, match="'k'"):
        read_space(write(path, t4_document([odd])))


def test_configurations_with_other_knobs_are_left_out_of_a_space(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = {**t4_result(POINTS[0], [2.0]), "configuration": {"else": 1}}
    path = write(tmp_path / "a.json", t4_document([t4_result(POINTS[0], [2.0]), other]))
    assert len(read_space(path).costs) == 1
    assert "1 configurations are left out" in caplog.text


def test_most_results_say_what_the_knobs_are(tmp_path: Path) -> None:
    results = [t4_result(point, [2.0]) for point in POINTS]
    results[0]["configuration"] = {**results[0]["configuration"], "else": 1}
    assert len(POINTS) > 2
    assert len(read_space(write(tmp_path / "a.json", t4_document(results))).costs) == len(POINTS) - 1


def test_an_origin_that_is_not_t4s_is_named(document: Path, tmp_path: Path) -> None:
    record = records(document)[0]
    assert record.origin is not None
    broken = msgspec.structs.replace(record, origin=msgspec.structs.replace(record.origin, facts={}))
    with pytest.raises(RecordError, match="its origin is not T4's"):
        export_file([broken], tmp_path / "x.json", "t4")
    assert not (tmp_path / "x.json").exists()
