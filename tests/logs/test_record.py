"""Records: their line of JSON, their key, and everything that is refused."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.logs.records import make
from tilewright.logs.errors import RecordError
from tilewright.logs.record import Record, record_key
from tilewright.measure.result import STATES, MeasureResult

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.text(), json_values, max_size=4), st.dictionaries(st.text(), json_values, max_size=4)
)
def test_a_record_survives_its_line(args: dict[str, Any], config: dict[str, Any]) -> None:
    record = make(workload={"op": "op", "args": args}, config=config)
    line = record.to_json()
    assert "\n" not in line
    back = Record.from_json(line)
    assert back == record
    assert (back.key, back.id, back.to_json()) == (record.key, record.id, line)


def test_the_line_has_the_documented_fields() -> None:
    line = json.loads(make().to_json())
    assert list(line)[:2] == ["v", "id"]
    assert list(line)[-1] == "crc"
    assert set(line) >= {
        *("v", "id", "workload", "template", "target", "config", "index", "state", "signal", "costs"),
        *("interval", "build_seconds", "error", "versions", "at", "crc"),
    }
    assert line["target"] == {"cpu": "znver5", "features": "f00", "threads": 1}
    assert line["workload"]["op"] == "matmul"


def test_tuples_are_lists_from_the_start() -> None:
    assert make(config={"tile": (4, 8)}) == make(config={"tile": [4, 8]})


def test_the_key_ignores_order_and_sees_every_part() -> None:
    workload = {"op": "f", "args": {"a": 1, "b": 2}}
    key = record_key(workload, "cpu", "features", 1)
    assert key == record_key({"args": {"b": 2, "a": 1}, "op": "f"}, "cpu", "features", 1)
    others = [
        record_key({"op": "g", "args": workload["args"]}, "cpu", "features", 1),
        record_key({"op": "f", "args": {"a": 1}}, "cpu", "features", 1),
        record_key(workload, "other", "features", 1),
        record_key(workload, "cpu", "other", 1),
        record_key(workload, "cpu", "features", 2),
    ]
    assert len({key, *others}) == 6


def test_versions_are_facts_and_not_part_of_the_key() -> None:
    record = make()
    assert {"python", "numpy"} <= set(record.versions)
    assert record.key == msgspec.structs.replace(record, versions={}).key


@pytest.mark.parametrize("state", [state for state in STATES if state not in ("ok", "slow")])
def test_a_failure_has_no_cost(state: Any) -> None:
    record = make(MeasureResult(state=state, error="why"))
    assert Record.from_json(record.to_json()).error == "why"
    with pytest.raises(ValueError, match="cannot have a cost"):
        MeasureResult(state=state, seconds=1.0)


BAD_COSTS = [0, 0.0, -1e-3, 1e-12, 1e9, "0.1", None, [], {}, True, float("nan"), float("inf")]


def tamper(**changes: Any) -> str:
    """A line with other values and a checksum that fits them."""
    line = {**json.loads(make().to_json()), **changes}
    line.pop("crc")
    fields = {name: value for name, value in line.items() if name != "id"}
    import zlib

    try:
        checksum = zlib.crc32(msgspec.json.encode(fields, order="sorted"))
    except (TypeError, ValueError, OverflowError):
        checksum = 0
    return json.dumps({**line, "crc": f"{checksum:08x}"})


def test_the_forger_of_these_tests_can_forge() -> None:
    assert Record.from_json(tamper(seed=5)).seed == 5


@pytest.mark.parametrize("value", BAD_COSTS)
@pytest.mark.parametrize("field", ["seconds", "costs", "interval"])
def test_impossible_costs_are_refused(field: str, value: Any) -> None:
    changed = value if field == "seconds" else [value, value]
    with pytest.raises(RecordError):
        Record.from_json(tamper(**{field: changed}))


@pytest.mark.parametrize(
    "changes",
    [
        {"interval": [2e-4, 1e-4]},
        {"costs": []},
        {"seconds": 1e-8},
        {"reference_ratio": 0.0},
        {"reference_ratio": -1},
        {"build_seconds": -1},
        {"attempt": 0},
        {"index": -1},
        {"index": "7"},
        {"state": "great"},
        {"state": "crash"},
        {"v": 2},
        {"at": "2026-01-02T03:04:05"},
        {"at": 5},
        {"target": {"cpu": "", "features": "", "threads": 1}},
        {"target": {"cpu": "a", "features": "b", "threads": 0}},
        {"workload": {"op": "", "args": {}}},
        {"workload": {"op": "x"}},
        {"config": [1]},
        {"config": {"a": float("inf")}},
        {"surprise": 1},
        {"id": "0123456789abcdef"},
    ],
)
def test_nonsense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        Record.from_json(tamper(**changes))


def test_an_altered_byte_is_refused_or_harmless() -> None:
    record = make()
    line = record.to_json().encode()
    for position in range(len(line)):
        for bit in (0x01, 0x04, 0x10):
            changed = bytearray(line)
            changed[position] ^= bit
            try:
                assert Record.from_json(bytes(changed)) == record
            except RecordError:
                continue


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"null",
        b"[" * 100_000,
        b'{"config":' * 50_000,
        b"\xff\xfe\x00",
        b"x" * 2_000_000,
        b'{"v":1,"config":' + b"9" * 5000 + b"}",
        b"cos\nsystem\n(S'echo'\ntR.",
    ],
)
def test_hostile_lines_are_refused(line: bytes) -> None:
    with pytest.raises(RecordError):
        Record.from_json(line)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_noise_is_refused(line: bytes) -> None:
    with pytest.raises(RecordError):
        Record.from_json(line)


def test_a_config_that_is_not_plain_data_is_refused() -> None:
    with pytest.raises(RecordError, match="matmul"):
        make(config={"tile": object()})
    with pytest.raises(RecordError):
        make(config={"tile": float("nan")})


HARD_TO_ENCODE = [
    {"kinds": None, "noisy": False},
    {"origin": None, "reference_ratio": 1.5},
    {"a": '"kinds":null,"noisy":', "b": {"kinds": None, "noisy": True}},
    {"v": 1, "id": "x", "crc": "y"},
    {"a": ',"kinds":null,"origin":null}'},
    {"flushes_denormals": None, "host": None, "index": 1},
    {"é": '\u2028\n\t"', "n": [1.0, -0.0, 1e16]},
]


@pytest.mark.parametrize("config", HARD_TO_ENCODE, ids=str)
@pytest.mark.parametrize("kinds", [False, True])
def test_the_quick_way_to_encode_gives_what_the_plain_way_gives(config: dict[str, Any], kinds: bool) -> None:
    import zlib

    record = make(config=config, kinds=dict.fromkeys(config, "other") if kinds else None)
    fields = {
        name: value
        for name, value in msgspec.to_builtins(record).items()
        if value is not None or name not in ABSENT
    }
    crc = f"{zlib.crc32(msgspec.json.encode(fields, order='sorted')):08x}"
    version = fields.pop("v")
    assert record.crc == crc
    assert (
        record.to_json()
        == msgspec.json.encode({"v": version, "id": record.id, **fields, "crc": crc}).decode()
    )
    assert Record.from_json(record.to_json()) == record


ABSENT = ("kinds", "origin")


def test_fields_of_a_line_may_come_in_any_order() -> None:
    line = json.loads(make().to_json())
    turned = json.dumps(dict(reversed(line.items())))
    for keep_text in (False, True):
        record = Record.from_json(turned, keep_text=keep_text)
        assert record == make()
        assert record.to_json() == make().to_json()


def test_a_record_with_its_text_is_the_same_record() -> None:
    line = f"{make().to_json()}\n"
    kept, plain_record = Record.from_json(line, keep_text=True), Record.from_json(line)
    assert kept == plain_record == make()
    assert kept.to_json() == line.strip()
    assert msgspec.structs.replace(kept, attempt=2).to_json() == make(attempt=2).to_json()
