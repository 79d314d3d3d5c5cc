"""A run that is killed loses nothing, leaves nobody behind, and goes on where it was."""

import os
import signal
import sqlite3
import subprocess
from pathlib import Path

from tests.end_to_end.command import SHAPE, environment, read_json, run_tilewright, tilewright_command
from tests.processes import descendants, is_running, wait_until

TRIALS = 16
TUNE = ("tune", *SHAPE, "--trials", str(TRIALS), "--tuner", "random", "--json")


def start(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        tilewright_command(*TUNE),
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def count_trials(folder: Path) -> int:
    try:
        with sqlite3.connect(f"file:{folder}/tune.db?mode=ro", uri=True) as connection:
            return int(connection.execute("select count(*) from trials").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def check_resumed(folder: Path, finished_trials: int) -> None:
    """The same command goes on: every trial is reused, none is measured again."""
    result = read_json(run_tilewright(folder, *TUNE))
    assert (result["trials"], result["reused"]) == (TRIALS - finished_trials, finished_trials)
    with sqlite3.connect(folder / "tune.db") as connection:
        rows = connection.execute(
            "select count(*), count(distinct key || config_hash) from trials"
        ).fetchone()
        leases = connection.execute("select count(*) from leases").fetchone()
    assert rows == (TRIALS, TRIALS)
    assert leases == (0,)


def test_a_killed_run_is_resumed(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        wait_until(lambda: count_trials(tmp_path) >= 3)
        children = descendants(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert children
    wait_until(lambda: not any(map(is_running, children)))
    finished_trials = count_trials(tmp_path)
    assert 3 <= finished_trials < TRIALS
    check_resumed(tmp_path, finished_trials)
