"""Commands about records: best and log."""

import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Tilewright
from tilewright.logs.record import Record


def test_best_has_the_keys_of_the_contract(tilewright: Tilewright, records: list[Record]) -> None:
    (row,) = tilewright("best", "--json").json["best"]
    assert list(row) == ["op", "workload", "seconds", "gflops", "config", "index", "target"]
    assert (row["op"], row["workload"]) == ("scaling", {"n": 64, "fails": ""})
    assert (row["seconds"], row["config"], row["index"]) == (1e-6, {"factor": 2}, 1)
    assert row["gflops"] == pytest.approx(64 / 1e-6 / 1e9)


def test_best_is_a_table_for_people(tilewright: Tilewright, records: list[Record]) -> None:
    answer = tilewright("best")
    header, row = answer.out.splitlines()
    assert header.split() == ["workload", "threads", "time", "GFLOP/s", "configuration"]
    assert "scaling(n=64" in row
    assert "factor=2" in row


def test_best_of_another_operator_is_empty(tilewright: Tilewright, records: list[Record]) -> None:
    assert tilewright("best", "matmul", "--json").json == {"best": []}
    answer = tilewright("best", "matmul")
    assert (answer.status, answer.out) == (0, "")
    assert "no valid record of matmul" in answer.err
    assert tilewright("best", "matmul", "--quiet").err == ""


def test_best_of_an_unknown_template_has_no_gflops(tilewright: Tilewright, records: list[Record]) -> None:
    from tilewright.templates import registry

    template = registry._registered.pop("scaling")
    try:
        (row,) = tilewright("best", "--json").json["best"]
    finally:
        registry._registered["scaling"] = template
    assert row["gflops"] is None


@pytest.mark.parametrize("words", [("best",), ("log", "stats"), ("log", "export"), ("log", "check")])
def test_a_missing_database_is_an_error(tilewright: Tilewright, words: tuple[str, ...]) -> None:
    answer = tilewright(*words)
    assert (answer.status, answer.out, answer.err) == (1, "", "error: tune.db does not exist\n")


def test_what_is_no_database_is_an_error(tilewright: Tilewright, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, just notes")
    for words in (("best",), ("tune", "scaling", "--n", "64"), ("log", "import", "notes.txt")):
        answer = tilewright(*words, "--db", "notes.txt")
        assert (answer.status, answer.out) == (1, "")
        assert "notes.txt is not a SQLite database" in answer.err


@pytest.mark.parametrize("db", ["nowhere/tune.db", "."])
def test_a_wrong_place_for_a_database_is_an_error(tilewright: Tilewright, db: str) -> None:
    answer = tilewright("tune", "scaling", "--n", "64", "--db", db)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.startswith("error: ")
    assert len(answer.err.splitlines()) == 1


def test_export_and_import_give_the_same_records(
    tilewright: Tilewright, records: list[Record], tmp_path: Path
) -> None:
    assert tilewright("log", "export", "log.jsonl").status == 0
    lines = (tmp_path / "log.jsonl").read_text()
    assert tilewright("log", "export").out == lines
    assert [Record.from_json(line) for line in lines.splitlines()] == records
    answer = tilewright("log", "import", "log.jsonl", "--db", "new.db", "--json")
    assert answer.json == {"imported": 3, "skipped": []}
    assert tilewright("log", "import", "log.jsonl", "--db", "new.db", "--json").json["imported"] == 0
    assert tilewright("log", "export", "--db", "new.db").out == lines


def test_import_names_the_lines_that_it_skips(
    tilewright: Tilewright, records: list[Record], tmp_path: Path
) -> None:
    (tmp_path / "log.jsonl").write_text(records[0].to_json() + "\nnonsense\n")
    report = tilewright("log", "import", "log.jsonl", "--db", "new.db", "--json").json
    assert report["imported"] == 1
    assert [line["line"] for line in report["skipped"]] == [2]
    answer = tilewright("log", "import", "log.jsonl", "--db", "other.db")
    assert "1 records imported into other.db, 1 lines skipped" in answer.out
    assert "warning: line 2:" in answer.err


def test_stats_count_states_and_causes(tilewright: Tilewright, records: list[Record]) -> None:
    stats = tilewright("log", "stats", "--json").json
    assert (stats["trials"], stats["workloads"]) == (3, 1)
    assert stats["failed"] == {"crash": 1}
    assert stats["failures"][0]["messages"] == ["the worker was ended by SIGSEGV"]
    assert "crash (SIGSEGV)" in tilewright("log", "stats").out


def test_a_trial_is_shown_by_the_start_of_its_id(tilewright: Tilewright, records: list[Record]) -> None:
    crash = records[2]
    assert tilewright("log", "show", crash.id[:10], "--json").json["error"] == crash.error
    assert "SIGSEGV" in tilewright("log", "show", crash.id).out
    assert "has no trial 'zzz'" in tilewright("log", "show", "zzz").err
    assert "3 trials of tune.db begin with ''" in tilewright("log", "show", "").err


def test_check_finds_damage(tilewright: Tilewright, records: list[Record], tmp_path: Path) -> None:
    answer = tilewright("log", "check")
    assert (answer.status, answer.out) == (0, "tune.db: sound, 3 trials\n")
    connection = sqlite3.connect(tmp_path / "tune.db")
    connection.execute("update trials set line = replace(line, 'ok', 'oK') where id = 1")
    connection.commit()
    connection.close()
    answer = tilewright("log", "check", "--json", "--quiet")
    assert answer.status == 1
    assert answer.json["problems"] == ["unreadable: row 1: Invalid enum value 'oK' - at `$.state`"]
