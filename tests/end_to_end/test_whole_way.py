"""From tuning to a built kernel that gives the right result, in processes of their own."""

import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tilewright as tw
from tests.end_to_end.command import (
    SHAPE,
    environment,
    read_json,
    read_log,
    run_tilewright,
    tilewright_command,
)

TUNE = ("tune", *SHAPE, "--trials", "6")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder with `tune.db`, and what tuning printed."""
    folder = tmp_path_factory.mktemp("tuned")
    finished = run_tilewright(folder, *TUNE, "--json")
    assert finished.returncode == 0, finished.stderr
    return folder, read_json(finished)


def test_tune_prints_the_keys_of_the_contract(tuned: tuple[Path, Any]) -> None:
    result = tuned[1]
    assert list(result)[:4] == ["op", "workload", "best", "default"]
    assert list(result)[4:] == ["trials", "reused", "failed", "elapsed_seconds", "trials_per_second"]
    assert list(result["best"]) == ["seconds", "gflops", "config", "index"]
    assert list(result["default"]) == ["seconds", "gflops"]
    assert (result["op"], result["trials"], result["reused"]) == ("matmul", 6, 0)
    assert {"m": 64, "n": 64, "k": 64}.items() <= result["workload"].items()
    flops = 2 * 64**3
    assert result["best"]["gflops"] == pytest.approx(flops / result["best"]["seconds"] / 1e9)
    assert result["best"]["seconds"] <= result["default"]["seconds"]


def test_the_first_trial_is_the_default(tuned: tuple[Path, Any]) -> None:
    task_default = tw.build("matmul", m=64, n=64, k=64, threads=1, config="default").config
    assert read_log(tuned[0])[0]["config"] == task_default.to_json()


def test_every_trial_has_a_state_and_every_failure_a_message(tuned: tuple[Path, Any]) -> None:
    trials = read_log(tuned[0])
    assert len(trials) == 6
    for trial in trials:
        assert trial["state"]
        assert (trial["seconds"] is not None) or trial["error"]


def test_the_same_command_again_measures_nothing(tuned: tuple[Path, Any]) -> None:
    folder, first = tuned
    again = read_json(run_tilewright(folder, *TUNE, "--json"))
    assert (again["trials"], again["reused"]) == (0, 6)
    for key in ("op", "workload", "best", "default", "failed"):
        assert again[key] == first[key]
    assert len(read_log(folder)) == 6


def test_best_agrees_with_tune(tuned: tuple[Path, Any]) -> None:
    folder, first = tuned
    (row,) = read_json(run_tilewright(folder, "best", "matmul", "--json"))["best"]
    assert {key: row[key] for key in first["best"]} == first["best"]
    assert row["target"]["threads"] == 1


def test_the_best_is_built_and_right(tuned: tuple[Path, Any]) -> None:
    folder, first = tuned
    with tw.apply_best(folder / "tune.db"):
        kernel = tw.build("matmul", m=64, n=64, k=64, threads=1)
    assert kernel.config.to_json() == first["best"]["config"]
    a, b = (np.random.default_rng(seed).random((64, 64), dtype=np.float32) for seed in (0, 1))
    assert np.allclose(kernel(a, b), a @ b, rtol=1e-5)


def test_progress_is_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    finished = run_tilewright(tmp_path, *TUNE[:-1], "2", "--tuner", "random")
    assert finished.returncode == 0
    assert "trial 1/2: " in finished.stderr
    assert "\x1b" not in finished.stderr + finished.stdout
    for words in ("best", "config", "default", "gain", "over the untuned default", str(tmp_path / "tune.db")):
        assert words in finished.stdout
    quiet = run_tilewright(tmp_path, *TUNE[:-1], "2", "--quiet")
    assert (quiet.stderr, "2 reused" in quiet.stdout) == ("", True)


def test_progress_is_live_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        tilewright_command(*TUNE[:-1], "3", "--tuner", "grid", "--json"),
        cwd=tmp_path,
        env={**environment(), "TERM": "xterm", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    ) as process:
        os.close(theirs)
        shown = _read_all(ours)
        assert process.stdout is not None
        out = process.stdout.read()
    os.close(ours)
    assert "trial 3/3" in shown
    assert "GFLOP/s" in shown
    assert out.startswith("{")
    assert len(out.splitlines()) == 1


def _read_all(descriptor: int) -> str:
    chunks = []
    while True:
        try:
            chunk = os.read(descriptor, 4096)
        except OSError:  # the other end of a terminal is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    return b"".join(chunks).decode()
