"""AutoTVM's log: to the byte in and out, and nothing in it is ever run."""

import io
import json
import logging
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.logs.autotvm_lines import (
    CONV,
    FAILED,
    GOOD,
    INTEGERS,
    MATMUL,
    OLD,
    PICKLED,
    REFUSED,
    UNICODE,
    result,
)
from tests.logs.records import cost, make
from tilewright.logs.errors import DatabaseError, RecordError
from tilewright.logs.formats.autotvm import (
    ERROR_OF_STATE,
    STATE_OF_ERROR,
    AutoTVMLine,
    format_line,
    from_record,
    parse_line,
    read_autotvm,
    to_record,
)
from tilewright.logs.formats.registry import export_file, import_file
from tilewright.logs.record import Record, TargetData, target_data
from tilewright.logs.store import RecordStore
from tilewright.measure.result import STATES, MeasureResult
from tilewright.templates.registry import _registered, find_template
from tilewright.templates.template import Template, template
from tilewright.templates.workload import bind_workload

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
numbers = st.integers(0, 10**6) | st.floats(0, 1e12)
integers = st.lists(st.integers(-1, 4096), max_size=4)
entities = st.one_of(
    st.tuples(st.just("sp"), integers),
    st.tuples(st.just("re"), integers),
    st.tuples(
        st.just("an"), st.lists(st.sampled_from(["none", "unroll", "vec"]) | st.integers(0, 3), max_size=3)
    ),
    st.tuples(st.just("ot"), json_values),
)


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """A line as AutoTVM's own writer would build it, before `json.dumps`."""
    error = draw(st.integers(0, 8))
    costs = draw(st.lists(st.floats(1e-9, 1e4) | st.integers(1, 9), min_size=1, max_size=4))
    knobs = draw(st.dictionaries(names, entities, max_size=4))
    return {
        "input": [
            draw(st.sampled_from(["llvm", "llvm -mcpu=znver3", "cuda -x"])),
            draw(names),
            draw(st.lists(json_values, max_size=3)),
            draw(st.dictionaries(st.sampled_from(["layout", "unit"]), json_values, max_size=2)),
        ],
        "config": {
            "index": draw(st.none() | st.integers(0, 2**62)),
            "code_hash": draw(st.none() | names),
            "entity": [[name, kind, value] for name, (kind, value) in knobs.items()],
        },
        "result": [
            costs if error == 0 else [1e9],
            error,
            draw(numbers),
            draw(st.integers(0, 2**31) | st.floats(0, 2e9)),
        ],
        "version": 0.2,
        "tvm_version": draw(names),
    }


@pytest.mark.parametrize("text", GOOD)
def test_a_line_comes_back_to_the_byte(text: str) -> None:
    assert format_line(parse_line(text)) == text == format_line(parse_line(text.encode() + b"\r\n"))
    assert json.dumps(json.loads(text)) == text  # so the samples are what Python's json writes


@pytest.mark.parametrize("text", GOOD)
def test_a_line_comes_back_to_the_byte_through_a_record(text: str) -> None:
    record = Record.from_json(to_record(parse_line(text)).to_json())
    assert format_line(from_record(record)) == text


@settings(max_examples=200, deadline=None)
@given(rows())
def test_whatever_autotvm_writes_comes_back_to_the_byte(row: dict[str, Any]) -> None:
    text = json.dumps(row)
    line = parse_line(text)
    assert format_line(line) == text
    record = Record.from_json(to_record(line).to_json())
    assert format_line(from_record(record)) == text


def test_the_fields_are_autotvms() -> None:
    line = parse_line(FAILED)
    assert (line.target, line.task) == ("cuda -keys=cuda,gpu -max_num_threads=1024", "dense.cuda")
    assert line.args == (["TENSOR", [8, 8], "int8"], None)
    assert line.kwargs == {"units": 8, "nested": {"a": [1, [2, "x"]]}}
    assert (line.index, line.code_hash, line.entity) == (3, "0f3a", (("tile_k", "sp", [8, 1]),))
    assert (line.costs, line.error_no, line.all_cost, line.timestamp) == ((1e9,), 4, 0.25, 1659468885.1)
    assert (line.version, line.tvm_version) == (0.2, "0.8.dev0")
    assert [type(cost) for cost in parse_line(INTEGERS).costs] == [int, float, int]


@pytest.mark.parametrize(("text", "reason"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_is_no_line_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse_line(text)
    assert reason in str(caught.value)
    assert 0 < len(str(caught.value)) < 400


@pytest.mark.parametrize("text", PICKLED)
def test_pickles_are_refused_for_what_they_are(text: str) -> None:
    with pytest.raises(RecordError, match="pickle protocol: reading it would run code"):
        parse_line(text)


def test_old_lines_and_our_own_have_reasons_of_their_own() -> None:
    with pytest.raises(RecordError, match=r"version 0\.1"):
        parse_line(OLD)
    with pytest.raises(RecordError, match="its format is jsonl"):
        parse_line(make().to_json())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300), st.integers(0, len(MATMUL)))
def test_noise_raises_nothing_but_our_error(noise: bytes | str, place: int) -> None:
    data = noise if isinstance(noise, bytes) else noise.encode("utf-8", "surrogatepass")
    for text in (data, MATMUL[:place].encode() + data + MATMUL[place:].encode()):
        try:
            to_record(parse_line(text))
        except RecordError:
            continue


def test_hostile_lines_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[str] = []
    watched = ("exec", "compile", "os.system", "subprocess.Popen", "pickle.find_class", "import")

    def watch(event: str, _: Any) -> None:
        if active and event in watched:
            seen.append(event)

    active = False
    sys.addaudithook(watch)
    parse_line(MATMUL)
    texts = [*REFUSED, *PICKLED, OLD]
    active = True
    for text in texts:
        with pytest.raises(RecordError):
            parse_line(text)
    active = False
    assert not seen
    assert not list(tmp_path.iterdir())


def test_a_file_is_read_with_its_numbers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "\n".join(["# a comment", "", CONV, OLD, "corrupt", PICKLED[0], OLD, MATMUL, FAILED[:100]])
    path = tmp_path / "a.log"
    path.write_text(text)
    for source in (path, str(path), io.StringIO(text), io.BytesIO(text.encode())):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            lines = list(read_autotvm(source))
        assert [line.number for line in lines] == [3, 5, 6, 8, 9]
        assert [line.record is not None for line in lines] == [True, False, False, True, False]
        assert [bool(line.reason) for line in lines] == [False, True, True, False, True]
        assert ["0.1" in record.getMessage() for record in caplog.records] == [True]
    with pytest.raises(DatabaseError, match=r"b\.log: No such file"):
        list(read_autotvm(tmp_path / "b.log"))


def test_a_tail_torn_at_any_byte_loses_no_other_line() -> None:
    whole = CONV + "\n" + UNICODE
    for size in range(len(CONV) + 2, len(whole)):
        first, second = read_autotvm(io.StringIO(whole[:size]))
        assert first.record == parse_line(CONV)
        assert (second.record, second.number) == (None, 2)


def test_a_store_gives_a_log_back_to_the_byte(tmp_path: Path) -> None:
    """Repeats of a configuration, and equal lines, stay as many as they are."""
    again, last = MATMUL.replace("0.0013", "0.0014"), result("[[2.0], 0, 1.0, 7]")
    lines = [CONV, MATMUL, FAILED, again, UNICODE, MATMUL, INTEGERS, FAILED, last]
    path, back = tmp_path / "a.log", tmp_path / "b.log"
    path.write_text("# head\n" + "\n".join(lines) + "\n")
    with RecordStore(tmp_path / "a.db") as store:
        assert import_file(store, path, "autotvm") == {"imported": len(lines), "skipped": []}
        assert import_file(store, path, "autotvm") == {"imported": 0, "skipped": []}
        assert export_file(store.iter_trials(), back, "autotvm") == {str(back): len(lines)}
        assert back.read_text() == path.read_text().removeprefix("# head\n")
        path.write_text(last + "\n" + MATMUL + "\n" + MATMUL + "\n" + MATMUL + "\n")
        assert import_file(store, path, "autotvm")["imported"] == 1


def test_lines_that_no_trial_can_have_are_named_and_the_rest_imported(tmp_path: Path) -> None:
    bad = [result("[[0.0], 0, 1.0, 1.0]"), result("[[], 0, 1.0, 1.0]"), result("[[1.0], 0, 1.0, 1e300]"), OLD]
    path = tmp_path / "a.log"
    path.write_text("\n".join([*bad, MATMUL]))
    with RecordStore(tmp_path / "a.db") as store:
        report = import_file(store, path, "autotvm")
    assert report["imported"] == 1
    assert [skipped["line"] for skipped in report["skipped"]] == [1, 2, 3, 4]
    assert "cost" in report["skipped"][0]["reason"]
    assert "0.1" in report["skipped"][3]["reason"]


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (0, "ok"),
        (1, "invalid"),
        (2, "compile_error"),
        (3, "compile_error"),
        (4, "crash"),
        (5, "wrong_result"),
        (6, "compile_timeout"),
        (7, "run_timeout"),
        (8, "crash"),
    ],
)
def test_error_numbers_are_states(number: int, state: str) -> None:
    costs = "[0.5]" if number == 0 else "[1000000000.0]"
    record = to_record(parse_line(result(f"[{costs}, {number}, 1.0, 1.0]")))
    assert record.state == state
    assert (record.seconds, bool(record.error)) == ((0.5, False) if number == 0 else (None, True))
    assert from_record(record).error_no == number


def test_every_state_has_an_error_number_and_goes_out() -> None:
    assert set(ERROR_OF_STATE) == set(STATES)
    assert len(STATE_OF_ERROR) == 9
    for state in STATES:
        if state in ("ok", "slow"):
            continue
        line = from_record(make(MeasureResult(state=state, error="why")))
        assert line.costs == (1e9,)
        assert STATE_OF_ERROR[line.error_no] == state or state in ("out_of_memory", "stale")


def test_a_slow_trial_goes_out_with_its_time() -> None:
    line = from_record(make(MeasureResult(state="slow", seconds=0.25)))
    assert (line.error_no, line.costs) == (0, (0.25,))
    without = from_record(make(MeasureResult(state="slow")))
    assert (without.error_no, without.costs) == (7, (1e9,))


def test_the_target_names_the_cpu_and_the_cores() -> None:
    def target(text: str) -> TargetData:
        return to_record(msgspec.structs.replace(parse_line(MATMUL), target=text)).target

    assert to_record(parse_line(CONV)).target.cpu == "skylake-avx512"
    assert to_record(parse_line(CONV)).target.threads == 8
    assert (target("llvm").cpu, target("llvm").threads) == ("unknown", 1)
    assert target("llvm -mcpu znver3 -num-cores=4x").cpu == "znver3"
    assert target('{"kind": "llvm", "mcpu": "apple-m1"}').cpu == "apple-m1"
    assert target("llvm -mcpu=a").features != target("llvm -mcpu=a -keys=cpu").features


def test_an_imported_record_never_has_a_key_of_this_host() -> None:
    from tilewright.compiler.target import Target

    host = target_data(Target.host(), 1)
    line = msgspec.structs.replace(parse_line(MATMUL), target=f"llvm -mcpu={host.cpu} -num-cores=1")
    record = to_record(line)
    assert (record.target.cpu, record.target.threads) == (host.cpu, host.threads)
    own = make(cost(1e-3), workload=msgspec.to_builtins(record.workload), target=host)
    assert record.key != own.key


def test_positions_become_names() -> None:
    @template("autotvm_names")
    def made(n: int, m: int, dtype: str = "float32") -> Any:
        """Never called."""

    try:
        line = msgspec.structs.replace(parse_line(MATMUL), task="autotvm_names", args=(1, 2))
        assert to_record(line).workload.args == {"n": 1, "m": 2}
        too_many = msgspec.structs.replace(line, args=(1, 2, "x", 4))
        assert list(to_record(too_many).workload.args) == ["arg0", "arg1", "arg2", "arg3"]
        assert to_record(parse_line(CONV)).workload.args["arg2"] == [1, 1]
        assert isinstance(made, Template)
        given = msgspec.structs.replace(line, task="other", kwargs={"layout": "x"})
        assert to_record(given, made).workload.args == {"n": 1, "m": 2, "layout": "x"}
        twice = msgspec.structs.replace(given, kwargs={"n": 5})
        with pytest.raises(RecordError, match="'n' is given twice"):
            to_record(twice, made)
    finally:
        del _registered["autotvm_names"]


def test_a_task_named_like_a_file_runs_no_file(tmp_path: Path) -> None:
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    line = msgspec.structs.replace(parse_line(MATMUL), task=f"{evil}:matmul")
    assert to_record(line).workload.op == f"{evil}:matmul"
    assert not (tmp_path / "ran").exists()


def test_a_trial_of_ours_goes_out() -> None:
    config = {"tile": [-1, 8], "order": [1, 0], "ann": ["none", "vec"], "pair": [4, 8], "flag": True}
    kinds = {"tile": "split", "order": "reorder", "ann": "annotate", "pair": "other", "flag": "other"}
    record = Record.from_json(make(config=config, kinds=kinds).to_json())
    line = from_record(record)
    assert line.entity == (
        ("tile", "sp", [-1, 8]),
        ("order", "re", [1, 0]),
        ("ann", "an", ["none", "vec"]),
        ("pair", "ot", [4, 8]),
        ("flag", "ot", True),
    )
    assert (line.task, line.args) == ("matmul", (64, 32, 16, "float32"))
    assert line.target == "llvm -keys=cpu -mcpu=znver5 -num-cores=1"
    assert (line.index, line.code_hash, line.costs) == (7, "abc", (1e-4, 1.1e-4))
    assert line.timestamp == record.at.timestamp()
    assert line.tvm_version.startswith("tilewright-")
    assert parse_line(format_line(line)) == line
    back = to_record(parse_line(format_line(line)))
    assert (back.config, back.kinds, back.costs) == (record.config, kinds, record.costs)


def test_a_workload_of_ours_comes_back_with_its_names() -> None:
    workload = bind_workload(find_template("matmul"), {"m": 8, "n": 16, "k": 32}).to_json()
    line = parse_line(format_line(from_record(make(workload=workload))))
    assert msgspec.to_builtins(to_record(line).workload) == workload


def test_a_device_of_several_words_is_one_word_of_the_target() -> None:
    line = from_record(make(target=TargetData("Device X  2", "f", 4), config={}))
    assert line.target == "llvm -keys=cpu -mcpu=Device-X-2 -num-cores=4"
    assert to_record(line).target.threads == 4


def test_without_kinds_the_values_tell() -> None:
    config = {"a": [-1, 8], "b": [2, 0, 1], "c": ["none", 1], "d": [True], "e": [], "f": "x", "g": [1.5]}
    kinds = [kind for _, kind, _ in from_record(make(config=config)).entity]
    assert kinds == ["sp", "re", "an", "ot", "ot", "ot", "ot"]


def test_a_line_that_is_not_plain_data_is_named() -> None:
    for value in (object(), float("nan"), b"x"):
        with pytest.raises(RecordError, match="testing/matmul"):
            format_line(msgspec.structs.replace(parse_line(MATMUL), args=(value,)))


def test_an_impossible_error_number_or_kind_is_no_record() -> None:
    line = parse_line(MATMUL)
    for changes in ({"error_no": 99}, {"entity": (("a", "zz", 1),)}, {"timestamp": float("inf")}):
        with pytest.raises(RecordError):
            to_record(msgspec.structs.replace(line, **changes))


def test_an_origin_that_is_not_autotvms_is_named() -> None:
    record = to_record(parse_line(MATMUL))
    assert record.origin is not None
    for facts in ({}, {**record.origin.facts, "costs": "x"}):
        origin = msgspec.structs.replace(record.origin, facts=facts)
        with pytest.raises(RecordError, match="its origin is not AutoTVM's"):
            from_record(msgspec.structs.replace(record, origin=origin))


def test_a_line_is_made_by_its_names() -> None:
    line = AutoTVMLine(
        target="llvm",
        task="t",
        args=(1, [2]),
        kwargs={},
        index=0,
        code_hash=None,
        entity=(("a", "sp", [1]),),
        costs=(1.0,),
        error_no=0,
        all_cost=1.0,
        timestamp=1.0,
        tvm_version="x",
    )
    assert parse_line(format_line(line)) == line
