"""Cache files of Kernel Tuner: closed, left unclosed, torn, and back."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.logs.documents import (
    KNOBS,
    POINTS,
    cache_entry,
    cache_header,
    cache_text,
    configuration,
    write,
)
from tests.logs.records import cost, make
from tilewright.logs.errors import RecordError
from tilewright.logs.formats.kernel_tuner import ERROR_OF_STATE, read_cache, read_space
from tilewright.logs.formats.registry import export_file, import_file
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.measure.result import STATES, MeasureResult

FAILURES = {
    "InvalidConfig": "invalid",
    "CompilationFailedConfig": "compile_error",
    "RuntimeFailedConfig": "crash",
}
TIMES = [1.0, 2.0, 3.0, 4.0, *FAILURES]
ENTRIES = [cache_entry(point, time) for point, time in zip(POINTS, TIMES, strict=False)]


def records(path: Path) -> list[Record]:
    return [line.record for line in read_cache(path) if line.record is not None]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
@pytest.mark.parametrize("closed", [True, False])
def test_entries_are_records(tmp_path: Path, closed: bool, name: str) -> None:
    found = records(write(tmp_path / name, cache_text(ENTRIES, closed=closed)))
    assert [record.config for record in found] == [configuration(point) for point in POINTS[:7]]
    assert [record.state for record in found] == ["ok"] * 4 + list(FAILURES.values())
    assert [record.seconds for record in found] == pytest.approx([2e-3, 3e-3, 4e-3, 5e-3, None, None, None])
    assert found[0].costs == pytest.approx((1e-3, 3e-3))
    assert found[0].workload.op == "scale"
    assert found[0].workload.args == {"problem_size": [4096, 64]}
    assert (found[0].target.cpu, found[0].build_seconds) == ("Device X", 0.5)
    assert found[0].at.isoformat() == "2026-03-04T05:06:07.000089+00:00"


@pytest.mark.parametrize("indent", [None, 4])
def test_a_cache_in_one_line_or_in_many_is_the_same(tmp_path: Path, indent: int | None) -> None:
    data = json.loads(cache_text(ENTRIES, closed=True))
    path = write(tmp_path / "a.json", json.dumps(data, indent=indent))
    assert records(path) == records(write(tmp_path / "b.json", cache_text(ENTRIES, closed=True)))


def test_a_tail_torn_at_any_byte_loses_that_entry_only(tmp_path: Path) -> None:
    whole = cache_text(ENTRIES[:3], closed=False)
    expected = records(write(tmp_path / "whole.json", whole))
    second = cache_text(ENTRIES[:2], closed=False)
    for size in range(len(second), len(whole), 7):
        path = write(tmp_path / "torn.json", whole[:size])
        lines = list(read_cache(path))
        assert [line.record for line in lines[:2]] == expected[:2]
        assert len(lines) <= 3
        assert all(line.record in (None, expected[2]) for line in lines[2:])
        assert read_space(path).costs.keys() <= read_space(tmp_path / "whole.json").costs.keys()


def test_a_torn_line_in_the_middle_loses_that_entry_only(tmp_path: Path) -> None:
    text = cache_text(ENTRIES, closed=True).replace(
        '"block": 16, "order": "ji", "vector": true', '"block": 16, "or'
    )
    lines = list(read_cache(write(tmp_path / "a.json", text)))
    assert [line.record is None for line in lines] == [False, False, True] + [False] * 4
    assert (lines[2].number, lines[2].reason) == (3, "the line is torn or malformed")


def test_bad_entries_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    bad: list[dict[str, Any]] = [
        {**cache_entry(POINTS[0], 1.0), "time": "GreatConfig"},
        {**cache_entry(POINTS[1], 1.0), "time": None},
        {**cache_entry(POINTS[2], 1.0), "time": True},
        {**cache_entry(POINTS[3], 1.0), "timestamp": "yesterday"},
        {**cache_entry(POINTS[4], 1.0), "time": 1e-12},
        {**cache_entry(POINTS[5], 1.0), "GFLOP/s": 10**40},
    ]
    missing, good = cache_entry(POINTS[6], 1.0), cache_entry(POINTS[7], 1.0)
    text = cache_text([*bad, missing, good], closed=True)
    lacking = text.replace('"block": 32, "order": "ji", "vector": true', '"order": "ji", "vector": true')
    assert lacking != text
    lines = list(read_cache(write(tmp_path / "a.json", lacking)))
    assert [line.record is None for line in lines] == [True] * 7 + [False]
    assert [line.number for line in lines] == [*range(1, 9)]
    assert all(line.reason for line in lines[:7])
    assert "'block' is missing" in lines[6].reason


def test_early_versions_wrote_a_time_for_failures(tmp_path: Path) -> None:
    (record,) = records(write(tmp_path / "a.json", cache_text([cache_entry(POINTS[0], 1e20)], closed=True)))
    assert (record.state, record.seconds) == ("invalid", None)


def test_a_cache_comes_back(tmp_path: Path) -> None:
    path, back = write(tmp_path / "a.json", cache_text(ENTRIES, closed=False)), tmp_path / "b.json"
    with RecordStore(tmp_path / "a.db") as store:
        assert import_file(store, path, "kernel-tuner") == {"imported": 7, "skipped": []}
        assert import_file(store, path, "kernel-tuner") == {"imported": 0, "skipped": []}
        assert export_file(store.iter_trials(), back, "kernel-tuner") == {str(back): 7}
    assert json.loads(back.read_text()) == json.loads(cache_text(ENTRIES, closed=True))
    assert back.read_text().rstrip()[-3:] == "}\n}"  # how Kernel Tuner tells a closed file
    with RecordStore(tmp_path / "b.db") as store:
        assert import_file(store, back, "kernel-tuner")["imported"] == 7
        assert import_file(store, path, "kernel-tuner")["imported"] == 0


def test_trials_of_ours_go_out_and_come_back(tmp_path: Path) -> None:
    results = [cost(3e-3), MeasureResult(state="slow", seconds=0.5), MeasureResult(state="slow")]
    results += [MeasureResult(state=state, error="x") for state in STATES if state not in ("ok", "slow")]
    own = [make(result, config={"i": i, "tile": [4, i]}) for i, result in enumerate(results)]
    path = tmp_path / "own.json"
    export_file([*own, make(cost(2e-3), config={"i": 0, "tile": [4, 0]}, attempt=2)], path, "kernel-tuner")
    data = json.loads(path.read_text())
    assert data["tune_params_keys"] == ["i", "tile"]
    assert data["tune_params"]["i"] == list(range(len(own)))
    assert data["cache"]["0,[4, 0]"]["time"] == 2.0  # the better of two attempts
    assert set(ERROR_OF_STATE) == set(STATES)
    for entry in data["cache"].values():
        assert isinstance(entry["time"], float) or entry["time"] in FAILURES
        assert {"compile_time", "verification_time", "benchmark_time", "timestamp"} <= entry.keys()
    back = records(path)
    assert [record.config for record in back] == [record.config for record in own]
    assert back[0].key != own[0].key


def test_a_space_keeps_the_order_of_its_choices(tmp_path: Path) -> None:
    recorded = read_space(write(tmp_path / "conv.json", cache_text(ENTRIES, closed=False)))
    assert (recorded.name, recorded.failures) == ("conv", 3)
    assert recorded.optimum == pytest.approx(2e-3)
    assert recorded.space.names == KNOBS
    assert [entity.to_json() for entity in recorded.space.knob("block").entities] == [64, 32, 16]
    assert len(recorded.space) == len(recorded.costs) == 7
    index = recorded.space.from_values(configuration(POINTS[1])).index
    assert recorded.costs[index] == pytest.approx(3e-3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        '{"cache": {',
        '{"cache": ' * 50_000,
        "[" * 100_000,
        '{"device_name": "x", "cache": {}}',
        json.dumps({**cache_header(), "tune_params_keys": "block", "cache": {}}),
        json.dumps({**cache_header(), "problem_size": 10**40, "cache": {}}),
        cache_text(ENTRIES, closed=False)[:200],
    ],
)
def test_what_is_no_cache_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "a.json", text)
    for read in (lambda: list(read_cache(path)), lambda: read_space(path)):
        with pytest.raises(RecordError, match=r"a\.json is not a cache file"):
            read()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 5000), st.binary(max_size=4), st.booleans())
def test_an_altered_cache_raises_nothing_but_our_errors(
    tmp_path_factory: pytest.TempPathFactory, place: int, noise: bytes, closed: bool
) -> None:
    text = cache_text(ENTRIES, closed=closed).encode()
    path = tmp_path_factory.mktemp("cache") / "a.json"
    place %= len(text)
    path.write_bytes(text[:place] + noise + text[place + len(noise) :])
    for read in (lambda: list(read_cache(path)), lambda: read_space(path)):
        try:
            read()
        except RecordError:
            continue


def test_an_origin_that_is_not_kernel_tuners_is_named(tmp_path: Path) -> None:
    record = records(write(tmp_path / "a.json", cache_text(ENTRIES, closed=True)))[0]
    assert record.origin is not None
    broken = msgspec.structs.replace(record, origin=msgspec.structs.replace(record.origin, facts={}))
    with pytest.raises(RecordError, match="its origin is not Kernel Tuner's"):
        export_file([broken], tmp_path / "x.json", "kernel-tuner")
