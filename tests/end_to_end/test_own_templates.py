"""Templates of users' own: from a file, a script, `python -c` and standard input; and faulty ones."""

from pathlib import Path

import pytest

from tests.end_to_end.command import Finished, read_json, read_log, run_python, run_tilewright
from tests.end_to_end.own_templates import FAULTY, PRODUCT, SCRIPT

TUNE = ("--threads", "1", "--trials", "4", "--tuner", "random", "--json", "--quiet")


def tune_faulty(folder: Path, name: str) -> Finished:
    (folder / "faulty.py").write_text(FAULTY)
    return run_tilewright(folder, "tune", f"./faulty.py:{name}", "--n", "64", *TUNE)


def test_the_command_tunes_and_benches_a_template_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "my_ops.py").write_text(PRODUCT)
    result = read_json(run_tilewright(tmp_path, "tune", "./my_ops.py:my_product", "--n", "32", *TUNE))
    assert (result["op"], result["workload"]) == ("my_product", {"n": 32, "dtype": "float32"})
    assert result["trials"] == 4
    (row,) = read_json(run_tilewright(tmp_path, "best", "./my_ops.py:my_product", "--json"))["best"]
    assert row["config"] == result["best"]["config"]
    assert row["gflops"] == result["best"]["gflops"]


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    first = run_python(tmp_path, "script.py")
    assert first.stdout.split() == ["my_product", "3", "0", "__main__"], first.stderr
    again = run_python(tmp_path, "script.py")
    assert again.stdout.split() == ["my_product", "0", "3", "__main__"], again.stderr


@pytest.mark.parametrize("form", ["-c", "stdin"])
def test_a_prompt_will_do(tmp_path: Path, form: str) -> None:
    finished = run_python(tmp_path, "-c", SCRIPT) if form == "-c" else run_python(tmp_path, "-", text=SCRIPT)
    assert finished.stdout.split() == ["my_product", "3", "0", "__main__"], finished.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("at_once", "faulty.py:11: broken from the start (RuntimeError)"),
        ("no_space", "no valid configuration"),
        ("returns_nothing", "must return (schedule, tensors), not NoneType"),
        ("missing", "has no template 'missing'"),
    ],
)
def test_a_faulty_template_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    finished = tune_faulty(tmp_path, name)
    assert (finished.returncode, finished.stdout) == (1, "")
    (line,) = finished.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise OSError('no such thing')", "broken.py:1: OSError: no such thing"),
        ("def f(:", "broken.py:1: SyntaxError"),
        ("x = 1", "defines no template"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "broken.py").write_text(text)
    finished = run_tilewright(tmp_path, "tune", "./broken.py:f", "--n", "64")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert len(finished.stderr.splitlines()) == 1
    assert message in finished.stderr


def test_a_template_that_raises_sometimes_loses_only_those_trials(tmp_path: Path) -> None:
    result = read_json(tune_faulty(tmp_path, "sometimes"))
    assert result["best"] is not None
    assert result["failed"] == {"invalid": 1}
    (failed,) = (trial for trial in read_log(tmp_path) if trial["state"] == "invalid")
    assert "no four" in failed["error"]


def test_without_a_valid_configuration_the_json_says_so(tmp_path: Path) -> None:
    finished = tune_faulty(tmp_path, "never_valid")
    assert finished.returncode == 1
    result = read_json(finished)
    assert (result["best"], result["default"], result["failed"]) == (None, None, {"invalid": 4})
    assert len(finished.stderr.splitlines()) == 1
    assert "never valid" in finished.stderr
