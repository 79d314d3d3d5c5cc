"""`log import` and `log export` in the formats of other programs."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tilewright
from tests.logs.autotvm_lines import CONV, FAILED, MATMUL, OLD, PICKLED
from tests.logs.documents import POINTS, cache_entry, cache_text, t4_document, t4_result, write
from tilewright.logs.record import Record


def test_an_autotvm_log_comes_back_to_the_byte(tilewright: Tilewright, tmp_path: Path) -> None:
    lines = [CONV, "# a comment", MATMUL, OLD, PICKLED[0], FAILED, CONV[:70]]
    (tmp_path / "a.log").write_text("\n".join(lines))
    answer = tilewright("log", "import", "a.log", "--json")
    assert answer.json["imported"] == 3
    assert [line["line"] for line in answer.json["skipped"]] == [4, 5, 7]
    assert "run code" in answer.json["skipped"][1]["reason"]
    assert set(answer.json) == {"imported", "skipped"}
    expected = f"{CONV}\n{MATMUL}\n{FAILED}\n"
    assert tilewright("log", "export", "--format", "autotvm").out == expected
    assert tilewright("log", "export", "b.log", "--format", "autotvm").status == 0
    assert (tmp_path / "b.log").read_text() == expected


def test_the_format_that_was_found_is_named(tilewright: Tilewright, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(CONV)
    write(tmp_path / "t4.json", t4_document([t4_result(POINTS[0], [1.0])]))
    write(tmp_path / "kt.json", cache_text([cache_entry(POINTS[0], 1.0)], closed=False))
    for name, title in (
        ("a.log", "AutoTVM's log"),
        ("t4.json", "T4 results"),
        ("kt.json", "Kernel Tuner's cache"),
    ):
        answer = tilewright("log", "import", name)
        assert answer.out == f"1 records imported into tune.db, 0 lines skipped ({title})\n"


def test_trials_of_ours_go_out_in_every_format(
    tilewright: Tilewright, records: list[Record], tmp_path: Path
) -> None:
    for name in ("jsonl", "autotvm", "t4", "kernel-tuner"):
        assert tilewright("log", "export", f"out.{name}", "--format", name).status == 0
        assert tilewright("log", "export", "--format", name).out == (tmp_path / f"out.{name}").read_text()
        answer = tilewright("log", "import", f"out.{name}", "--db", f"{name}.db", "--json")
        assert answer.json == {"imported": 3, "skipped": []}
        assert tilewright("log", "stats", "--db", f"{name}.db", "--json").json["states"] == {
            "ok": 2,
            "crash": 1,
        }
        best = tilewright("best", "--db", f"{name}.db", "--json").json["best"][0]
        assert best["config"] == {"factor": 2}
        assert best["seconds"] == pytest.approx(1e-6)


def test_a_document_holds_one_workload(tilewright: Tilewright, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(f"{CONV}\n{MATMUL}\n")
    tilewright("log", "import", "a.log")
    answer = tilewright("log", "export", "--format", "t4")
    assert (answer.status, answer.out) == (1, "")
    assert "trials of several workloads" in answer.err
    answer = tilewright("log", "export", "all.json", "--format", "t4")
    names = [line.split()[-1] for line in answer.err.splitlines()]
    assert len(names) == 2
    for name in names:
        assert len(json.loads((tmp_path / name).read_text())["results"]) == 1


def test_a_format_may_be_given(tilewright: Tilewright, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(CONV)
    report = tilewright("log", "import", "a.log", "--format", "jsonl", "--json").json
    assert (report["imported"], len(report["skipped"])) == (0, 1)
    answer = tilewright("log", "import", "a.log", "--format", "t4")
    assert (answer.status, answer.out) == (1, "")
    assert "a.log is not a T4 document" in answer.err
    assert tilewright("log", "import", "a.log", "--format", "great").status == 2


def test_what_is_in_no_format_is_an_error(tilewright: Tilewright, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("only words")
    answer = tilewright("log", "import", "notes.txt")
    assert (answer.status, answer.out) == (1, "")
    assert "notes.txt is in no format of records" in answer.err
