"""Commands that compare, merge, prune, mend and repeat what is recorded."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Tilewright
from tests.logs.records import cost, make
from tilewright.compiler.target import Target
from tilewright.logs.formats.jsonl import export_jsonl
from tilewright.logs.record import Record, TemplateData, make_record, target_data
from tilewright.logs.store import RecordStore
from tilewright.measure.result import MeasureResult, failed


def fill(path: Path, *records: Record, winners: tuple[Record, ...] = ()) -> Path:
    with RecordStore(path) as store:
        store.add_all(records)
        for winner in winners:
            store.add_playoff(winner)
    return path


def contents(path: Path) -> list[Record]:
    with RecordStore(path, read_only=True) as store:
        return sorted(store.iter_trials(), key=lambda record: record.id)


def of(op: str, seconds: float, **options: Any) -> Record:
    return make(cost(seconds), workload={"op": op, "args": {}}, **options)


def test_merge_joins_databases_and_logs_and_adds_nothing_twice(
    tilewright: Tilewright, tmp_path: Path
) -> None:
    first, second, third = of("a", 1e-4), of("b", 2e-4), of("c", 3e-4)
    fill(tmp_path / "a.db", first, winners=(first,))
    fill(tmp_path / "b.db", second, first)
    export_jsonl([third, first], tmp_path / "c.jsonl")
    words = ("log", "merge", "a.db", "b.db", "c.jsonl", "--into", "all.db", "--json")
    assert tilewright(*words).json == {"trials": 3, "playoffs": 1, "known": 2, "skipped": []}
    assert tilewright(*words).json == {"trials": 0, "playoffs": 0, "known": 5, "skipped": []}
    assert contents(tmp_path / "all.db") == sorted([first, second, third], key=lambda record: record.id)


def test_merge_keeps_both_measurements_of_one_attempt(tilewright: Tilewright, tmp_path: Path) -> None:
    fill(tmp_path / "a.db", of("a", 1e-4))
    fill(tmp_path / "b.db", of("a", 2e-4))
    for _ in range(2):
        assert tilewright("log", "merge", "b.db", "--into", "a.db").status == 0
    assert sorted((r.attempt, r.seconds) for r in contents(tmp_path / "a.db")) == [(1, 1e-4), (2, 2e-4)]


def test_merge_lets_the_latest_play_off_win(tilewright: Tilewright, tmp_path: Path) -> None:
    early, late = of("a", 1e-4, config={"i": 0}), of("a", 2e-4, config={"i": 1})
    early = make_later(early, 2025)
    fill(tmp_path / "a.db", late, winners=(late,))
    fill(tmp_path / "b.db", early, winners=(early,))
    assert tilewright("log", "merge", "a.db", "b.db", "--into", "c.db").status == 0
    assert tilewright("log", "merge", "b.db", "--into", "a.db").status == 0
    for name in ("a.db", "c.db"):
        (row,) = tilewright("best", "--db", name, "--json").json["best"]
        assert row["config"] == {"i": 1}


def make_later(record: Record, year: int) -> Record:
    import msgspec

    return msgspec.structs.replace(record, at=record.at.replace(year=year))


def test_merge_refuses_its_own_target_and_wants_sources(tilewright: Tilewright, tmp_path: Path) -> None:
    fill(tmp_path / "a.db", of("a", 1e-4))
    answer = tilewright("log", "merge", "a.db", "--into", "a.db")
    assert (answer.status, "both the source and the target" in answer.err) == (1, True)
    assert tilewright("log", "merge").status == 2
    assert tilewright("log", "merge", "missing.db", "--into", "new.db").status == 1


@pytest.mark.parametrize(
    "words",
    [
        ("merge", "a.db", "missing.db", "--into", "new.db"),
        ("merge", "notes.txt", "--into", "new.db"),
        ("import", "missing.jsonl", "--db", "new.db"),
        ("import", "missing.jsonl", "--format", "jsonl", "--db", "new.db"),
        ("import", "notes.txt", "--db", "new.db"),
    ],
)
def test_a_source_that_cannot_be_read_makes_no_database(
    tilewright: Tilewright, tmp_path: Path, words: tuple[str, ...]
) -> None:
    fill(tmp_path / "a.db", of("a", 1e-4))
    (tmp_path / "notes.txt").write_text("no records, just notes")
    answer = tilewright("log", *words)
    assert (answer.status, answer.out) == (1, "")
    assert ("missing" if "missing" in " ".join(words) else "notes.txt") in answer.err
    assert not (tmp_path / "new.db").exists()


def test_a_database_that_is_there_is_looked_at_before_its_sources(
    tilewright: Tilewright, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("not a database, just notes")
    for words in (("merge", "missing.db", "--into"), ("import", "missing.jsonl", "--db")):
        answer = tilewright("log", *words, "notes.txt")
        assert (answer.status, "notes.txt is not a SQLite database" in answer.err) == (1, True)


def test_prune_keeps_the_best_the_play_offs_and_the_causes(tilewright: Tilewright, tmp_path: Path) -> None:
    valid = [of("a", 1e-4 * (i + 1), config={"i": i}) for i in range(6)]
    crashes = [
        make(failed("crash", f"message {i}", "SIGSEGV"), workload={"op": "a", "args": {}}, config={"c": i})
        for i in range(5)
    ]
    fill(tmp_path / "tune.db", *valid, *crashes, winners=(valid[5],))
    answer = tilewright("log", "prune", "--keep", "2", "--yes", "--json")
    assert answer.json == {"removed": 8, "kept": 3, "workloads": 1}
    assert [r.config["i"] for r in sorted(contents(tmp_path / "tune.db"), key=lambda r: r.seconds or 0)] == [
        0,
        1,
        5,
    ]
    stats = tilewright("log", "stats", "--json").json
    assert (stats["trials"], stats["pruned"]) == (3, 5)
    assert stats["failures"] == [
        {
            "state": "crash",
            "signal": "SIGSEGV",
            "count": 5,
            "messages": ["message 0", "message 1", "message 2"],
        }
    ]
    again = tilewright("log", "prune", "--keep", "2", "--yes", "--json")
    assert again.json == {"removed": 0, "kept": 3, "workloads": 1}
    assert b"message 4" not in (tmp_path / "tune.db").read_bytes()


def test_prune_without_a_terminal_wants_yes(tilewright: Tilewright, records: list[Record]) -> None:
    answer = tilewright("log", "prune", "--keep", "1")
    assert (answer.status, answer.out) == (2, "")
    assert "2 of 3 trials of tune.db would be removed: give --yes" in answer.err
    assert tilewright("log", "stats", "--json").json["trials"] == 3
    assert tilewright("log", "prune", "--keep", "0").status == 2
    assert tilewright("log", "prune", "--db", "missing.db", "--yes").status == 1
    assert not os.path.exists("missing.db")


@pytest.mark.parametrize(("word", "left"), [("n", 3), ("y", 1)])
def test_prune_asks_on_a_terminal(
    tilewright: Tilewright, records: list[Record], monkeypatch: pytest.MonkeyPatch, word: str, left: int
) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(f"{word}\n"))
    assert tilewright("log", "prune", "--keep", "1").status == (1 if word == "n" else 0)
    assert tilewright("log", "stats", "--json").json["trials"] == left


def test_diff_compares_what_both_know(tilewright: Tilewright, tmp_path: Path) -> None:
    fill(tmp_path / "a.db", of("both", 2e-4, config={"i": 0}), of("mine", 1e-4))
    fill(tmp_path / "b.db", of("both", 1e-4, config={"i": 1}))
    export_jsonl([of("both", 1e-4, config={"i": 1})], tmp_path / "b.jsonl")
    for other in ("b.db", "b.jsonl"):
        report = tilewright("log", "diff", "a.db", other, "--json").json
        (row,) = report["diff"]
        assert list(row) == ["op", "workload", "target", "a", "b", "ratio"]
        assert (row["op"], row["ratio"]) == ("both", 0.5)
        assert (row["a"], row["b"]) == (
            {"seconds": 2e-4, "config": {"i": 0}},
            {"seconds": 1e-4, "config": {"i": 1}},
        )
        assert [only["op"] for only in report["only_a"]] == ["mine"]
        assert report["only_b"] == []
    answer = tilewright("log", "diff", "a.db", "b.db")
    assert answer.out.splitlines()[0].split() == ["workload", "threads", "a.db", "b.db", "ratio"]
    assert "0.500" in answer.out
    assert "only in a.db: 1 workloads" in answer.err


def test_check_reads_logs_too(tilewright: Tilewright, records: list[Record], tmp_path: Path) -> None:
    lines = [record.to_json() for record in records]
    (tmp_path / "log.jsonl").write_text("\n".join([*lines, lines[0], lines[1].replace("1e-6", "0.0")]))
    answer = tilewright("log", "check", "log.jsonl", "--json")
    assert answer.status == 1
    assert answer.json["trials"] == 5
    assert [problem.split(":")[0] for problem in answer.json["problems"]] == ["duplicate", "unreadable"]


def test_check_finds_columns_that_contradict_their_record(
    tilewright: Tilewright, records: list[Record], tmp_path: Path
) -> None:
    import sqlite3

    connection = sqlite3.connect(tmp_path / "tune.db")
    connection.execute("update trials set seconds = 1e-9, op = 'other' where id = 1")
    connection.commit()
    connection.close()
    answer = tilewright("log", "check")
    assert answer.status == 1
    assert "contradiction: row 1: seconds is 1e-09, the record says 2e-06" in answer.out
    assert "contradiction: row 1: op is 'other'" in answer.out


def test_recover_writes_a_new_database_and_only_reads_the_old(
    tilewright: Tilewright, records: list[Record], tmp_path: Path
) -> None:
    before = (tmp_path / "tune.db").read_bytes()
    answer = tilewright("log", "recover", "--json")
    assert answer.json == {"trials": 3, "playoffs": 0, "damaged": 0, "into": "tune.recovered.db"}
    assert (tmp_path / "tune.db").read_bytes() == before
    assert contents(tmp_path / "tune.recovered.db") == contents(tmp_path / "tune.db")
    again = tilewright("log", "recover")
    assert (again.status, "tune.recovered.db exists" in again.err) == (1, True)
    assert tilewright("log", "recover", "missing.db").status == 1


def test_recover_of_what_holds_no_record_leaves_nothing(tilewright: Tilewright, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no record here")
    answer = tilewright("log", "recover", "notes.txt", "--into", "new.db")
    assert (answer.status, "no record can be read" in answer.err) == (1, True)
    assert os.listdir(tmp_path) == ["notes.txt"]


TEMPLATES = """
import numpy as np
import tilewright as tw
from tilewright import te


@tw.template("guarded", reference=lambda a: 2 * a)
def guarded(n: int):
    a = te.placeholder((n,), "float32", name="A")
    c = te.compute((n,), lambda i: a[i] * 2.0, name="C")
    s = te.create_schedule(c.op)
    cfg = tw.get_config()
    cfg.define_knob("end", ["right", "wrong", "crash", "refused"])
    if cfg["end"].val == "refused":
        raise ValueError("refused")
    if cfg["end"].val == "wrong":
        c = te.compute((n,), lambda i: a[i] * 3.0, name="C")
        s = te.create_schedule(c.op)
    return s, [a, c]
"""


def trial_of(end: str, state: str) -> Record:
    result = (
        MeasureResult(state="ok", costs=(1e-6,), seconds=1e-6, interval=(1e-6, 1e-6))
        if state == "ok"
        else failed(state, "why \"\"\" {not} a\n'''format''' \\", None)  # type: ignore[arg-type]
    )
    return make_record(
        result,
        workload={"op": "guarded", "args": {"n": 16}},
        template=TemplateData("guarded"),
        target=target_data(Target.host(), 1),
        config={"end": end},
    )


@pytest.mark.parametrize(
    ("end", "state", "status"),
    [("right", "ok", 0), ("wrong", "wrong_result", 0), ("refused", "invalid", 0), ("right", "crash", 1)],
)
def test_repro_writes_a_script_that_does_the_trial_again(
    tilewright: Tilewright, tmp_path: Path, root: Path, end: str, state: str, status: int
) -> None:
    (tmp_path / "own.py").write_text(TEMPLATES)
    record = trial_of(end, state)
    fill(tmp_path / "tune.db", record)
    report = tilewright("log", "repro", record.id, "--op", "own.py:guarded", "--json").json
    assert report == {"trial": record.id, "state": state, "script": f"repro_{record.id}.py"}
    run = subprocess.run(
        [sys.executable, report["script"]],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert run.returncode == status, run.stdout + run.stderr
    assert f"recorded as {state}" in run.stdout


def test_repro_tells_a_crash_by_its_signal(tilewright: Tilewright, tmp_path: Path, root: Path) -> None:
    dies = TEMPLATES.replace('raise ValueError("refused")', "import os, signal; os.kill(os.getpid(), 11)")
    (tmp_path / "own.py").write_text(dies)
    record = trial_of("refused", "crash")
    fill(tmp_path / "tune.db", record)
    script = tilewright("log", "repro", record.id, "--op", "own.py:guarded", "-o", "-").out
    (tmp_path / "again.py").write_text(script)
    run = subprocess.run(
        [sys.executable, "again.py"],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "it was ended by SIGSEGV" in run.stdout


def test_repro_wants_to_know_where_a_template_is(tilewright: Tilewright, records: list[Record]) -> None:
    answer = tilewright("log", "repro", records[0].id)
    assert (answer.status, "--op FILE.py:NAME" in answer.err) == (1, True)
    assert json.dumps(answer.out) == '""'


@pytest.mark.parametrize("name", ["merge", "prune", "diff", "check", "recover", "repro", "show"])
def test_help_names_every_command(tilewright: Tilewright, name: str) -> None:
    assert tilewright("log", name, "--help").status == 0
    assert tilewright("log", name, "--nonsense").status == 2
