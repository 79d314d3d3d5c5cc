"""Runs that are stopped lose nothing, leave nobody behind, and go on where they were."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.end_to_end.command import SHAPE, environment, read_json, run_tilewright, tilewright_command

TRIALS = 16
TUNE = ("tune", *SHAPE, "--trials", str(TRIALS), "--tuner", "random", "--json")
PATIENCE_SECONDS = 60


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


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def descendants(pid: int) -> set[int]:
    """The processes below a process."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found: set[int] = set()
    fresh = {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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


def test_ctrl_c_stores_the_running_trial_and_prints_the_best(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        wait_until(lambda: count_trials(tmp_path) >= 2)
        children = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 130
    finished_trials = count_trials(tmp_path)
    assert f'"trials": {finished_trials}, "reused": 0' in out
    assert '"best": {"seconds"' in out
    wait_until(lambda: not any(map(is_running, children)))
    check_resumed(tmp_path, finished_trials)
