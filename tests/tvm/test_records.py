"""Logs, databases and what they put in force, under AutoTVM's names."""

import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tvm.gemm import sample_records, sample_task
from tilewright.logs.errors import RecordError
from tilewright.tvm import autotvm
from tilewright.tvm.autotvm import record
from tilewright.tvm.autotvm.database import Database, DummyDatabase
from tilewright.tvm.target import Target

GOOD = (
    '{"input": ["llvm -keys=cpu", "testing/matmul", [128, 128, 128, "float32"], {}], "config": {"index": 12, '
    '"code_hash": null, "entity": [["tile_y", "sp", [-1, 16]], ["tile_x", "sp", [-1, 2]]]}, "result": '
    '[[0.0012, 0.0013], 0, 1.42, 1659468884.7], "version": 0.2, "tvm_version": "0.18.0"}'
)


def lines(pairs: Any) -> list[str]:
    return [record.encode(*pair) for pair in pairs]


def test_30_a_line_goes_and_comes_back() -> None:
    for inp, result in sample_records(5):
        again, other = record.decode(record.encode(inp, result)) or (None, None)
        assert again is not None
        assert other is not None
        assert record.measure_str_key(again) == record.measure_str_key(inp)
        assert (other.costs, other.error_no, other.timestamp) == (result.costs, 0, result.timestamp)
    task = sample_task()
    inp = autotvm.MeasureInput(task.target, task, task.config_space.get(3))
    failure = autotvm.MeasureResult((ValueError("x"),), autotvm.MeasureErrorNo.RUN_TIMEOUT, 1.5, 2.5)
    text = record.encode(inp, failure)
    assert json.loads(text)["result"] == [[1e9], 7, 1.5, 2.5]
    assert (record.decode(text) or (None, failure))[1].error_no == autotvm.MeasureErrorNo.RUN_TIMEOUT


def test_30_what_autotvm_wrote_is_read() -> None:
    inp, result = record.decode(GOOD) or (None, None)
    assert inp is not None
    assert result is not None
    assert str(inp.target) == "llvm -keys=cpu"
    assert inp.task.workload == ("testing/matmul", 128, 128, 128, "float32")
    assert (inp.config.index, inp.config["tile_y"].size) == (12, [-1, 16])
    assert result == ((0.0012, 0.0013), 0, 1.42, 1659468884.7)
    _, args = inp.task.instantiate(inp.config)
    assert [tensor.name for tensor in args] == ["A", "B", "C"]


def test_30_comments_and_old_lines_are_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old = json.dumps({"i": [["llvm"], "x"], "r": [[0.1], 0, 0.2, 3], "v": 0.1})
    (tmp_path / "x.log").write_text(f"# a comment\n{old}\n{GOOD}\n{old}\n")
    assert len(list(record.load_from_file(tmp_path / "x.log"))) == 1
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1
    assert record.decode("# a comment") is None


def test_pickles_are_refused_with_the_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ((inp, result),) = sample_records(1)
    for call in (lambda: record.encode(inp, result, "pickle"), lambda: record.decode("x", "pickle")):
        with pytest.raises(RecordError, match="would run code"):
            call()
    (tmp_path / "x.log").write_text("llvm\tgASVIQ==\tgASVIQ==\tgASVIQ==\t0.2\t0.18\n")
    assert list(record.load_from_file(tmp_path / "x.log")) == []
    assert "would run code" in caplog.text


def test_31_logs_take_paths_and_open_files(tmp_path: Path) -> None:
    pairs = sample_records(4)
    inputs, results = zip(*pairs, strict=True)
    buffer = io.StringIO()
    for place in (tmp_path / "a.log", str(tmp_path / "b.log"), buffer):
        callback = autotvm.callback.log_to_file(place)
        callback(None, inputs[:2], results[:2])  # type: ignore[arg-type]
        callback(None, inputs[2:], results[2:])  # type: ignore[arg-type]
    expected = "".join(line + "\n" for line in lines(pairs))
    assert (
        (tmp_path / "a.log").read_text() == (tmp_path / "b.log").read_text() == buffer.getvalue() == expected
    )


def test_31_a_bad_line_harms_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = lines(sample_records(3))
    corrupt = good[1].replace('"sp"', '"xx"')
    (tmp_path / "x.log").write_text("\n".join([good[0], corrupt, good[2], good[1][:80]]))
    assert [inp.config.index for inp, _ in record.load_from_file(tmp_path / "x.log")] == [0, 2]
    assert "line 2 is passed over" in caplog.text
    assert "line 4 is passed over" in caplog.text
    # What is appended begins a line of its own.
    inputs, results = zip(*sample_records(2), strict=True)
    autotvm.callback.log_to_file(tmp_path / "x.log")(None, inputs, results)  # type: ignore[arg-type]
    assert len(list(record.load_from_file(tmp_path / "x.log"))) == 4


def test_32_every_kind_of_records_gives_the_same_best(tmp_path: Path) -> None:
    pairs = sample_records(5)
    text = "".join(line + "\n" for line in lines(pairs))
    path = tmp_path / "x.log"
    path.write_text(text)
    other = tmp_path / "y.log"
    other.write_text(lines(pairs)[1] + "\n")
    inputs, results = zip(*pairs, strict=True)
    task = sample_task()
    kinds: list[Any] = [
        path, str(path), io.StringIO(text), pairs, iter(pairs), [path, other], (other, str(path)),
        zip(inputs, results, strict=True),
        [zip(inputs, results, strict=True), pairs[:1]],
    ]  # fmt: skip
    for records in kinds:
        best = autotvm.task.ApplyHistoryBest(records).query(task.target, task.workload)
        assert best is not None
        assert best.index == 2


def test_32_failures_are_ignored() -> None:
    pairs = sample_records(5)
    inp, result = pairs[2]
    pairs[2] = (inp, result._replace(error_no=autotvm.MeasureErrorNo.WRONG_ANSWER))
    task = sample_task()
    best = autotvm.task.ApplyHistoryBest(pairs).query(task.target, task.workload)
    assert best is not None
    assert best.index == 0


def test_33_pick_best_keeps_one_line_a_workload(tmp_path: Path) -> None:
    pairs = sample_records(5)
    other_task = autotvm.task.create("testing/matmul", (64, 64, 64, "float32"), "llvm")
    other = autotvm.MeasureInput(other_task.target, other_task, other_task.config_space.get(1))
    mixed = [*pairs, (other, autotvm.MeasureResult((3.0,), 0, 0.1, 5.0))]
    (tmp_path / "in.log").write_text("".join(line + "\n" for line in lines(mixed)))
    record.pick_best(tmp_path / "in.log", tmp_path / "best.log")
    best = (tmp_path / "best.log").read_text().splitlines()
    assert best == [lines(pairs)[2], lines(mixed)[-1]]
    # Merging with what is there keeps the better of both.
    better = (other, autotvm.MeasureResult((2.0,), 0, 0.1, 6.0))
    worse = (pairs[3][0], autotvm.MeasureResult((0.7,), 0, 0.1, 6.0))
    (tmp_path / "in.log").write_text("".join(line + "\n" for line in lines([better, worse])))
    record.pick_best(tmp_path / "in.log", tmp_path / "best.log")
    assert sorted((tmp_path / "best.log").read_text().splitlines()) == sorted(
        [lines(pairs)[2], *lines([better])]
    )


def test_33_pick_best_as_a_command(tmp_path: Path) -> None:
    pairs = sample_records(3)
    (tmp_path / "in.log").write_text("".join(line + "\n" for line in lines(pairs)))
    command = [sys.executable, "-m", "tilewright.tvm.autotvm.record", "--mode", "pick", "--i", "in.log"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert (tmp_path / "in.log.best.log").read_text() == lines(pairs)[1] + "\n"


def test_34_a_database(tmp_path: Path) -> None:
    for db in (DummyDatabase(), Database(tmp_path / "x.db")):
        pairs = sample_records(5)
        inp, result = pairs[0]
        assert db.load(inp) is None
        later = result._replace(costs=(4.0,), timestamp=result.timestamp + 1)
        db.save(inp, result)
        db.save(inp, later)
        assert db.load(inp) == later
        assert db.load(inp, get_all=True) == [later]
        db.save(inp, result, extend=True)
        assert db.load(inp) == later
        assert db.load(inp, get_all=True) == [later, result]
        hashed = inp._replace(config=autotvm.ConfigEntity.of(inp.config, code_hash="abc"))
        assert db.load(hashed) is None
        db.save(hashed, result)
        assert db.load(hashed) == result
        db.flush()
        for pair in pairs:
            db.save(*pair)
        assert len(db.filter(lambda inp, res: res.costs[0] < 2)) == 2
        db.close()


def test_34_a_database_comes_back(tmp_path: Path) -> None:
    pairs = sample_records(3)
    first = Database(tmp_path / "x.db")
    for pair in pairs:
        first.save(*pair)
    first.close()
    again = Database(tmp_path / "x.db")
    assert [again.load(inp) for inp, _ in pairs] == [result for _, result in pairs]
    assert len(again.filter(lambda inp, res: True)) == 3
    again.close()


def test_37_a_record_of_another_target_is_never_used(caplog: pytest.LogCaptureFixture) -> None:
    text = "\n".join(
        GOOD.replace("llvm -keys=cpu", target)
        for target in ("llvm -keys=cpu -mcpu=skylake-avx512", "llvm -mattr=+avx2", "cuda -model=v100")
    )
    history = autotvm.task.ApplyHistoryBest(io.StringIO(text))
    task = sample_task()
    host = history.query("llvm", task.workload)
    assert host is not None
    assert host == task.core.default_config
    assert host.is_fallback
    exact = history.query("llvm -mcpu=skylake-avx512", task.workload)
    assert exact is not None
    assert (exact.index, exact.is_fallback) == (12, False)
    assert "compiles for CPUs only" in caplog.text


def test_what_is_in_force_is_asked_through_the_context(tmp_path: Path) -> None:
    task = sample_task()
    (tmp_path / "x.log").write_text(GOOD + "\n")
    current = autotvm.task.DispatchContext.current
    assert current.query(task.target, task.workload) == task.core.default_config
    with autotvm.apply_history_best(tmp_path / "x.log"), Target("llvm"):
        config = autotvm.task.DispatchContext.current.query(task.target, task.workload)
        assert config is not None
        assert config["tile_y"].size == [-1, 16]
        chosen = task.config_space.get(5)
        with autotvm.task.ApplyConfig(chosen):
            assert current.query(task.target, task.workload) == chosen
    history = autotvm.task.ApplyHistoryBest(None)
    history.update(task.target, task.workload, task.config_space.get(7))
    assert (history.query(task.target, task.workload) or chosen).index == 7
