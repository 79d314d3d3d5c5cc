"""Row 21: Ctrl-C once, while a candidate is compiled or timed; twice, while one hangs; nothing is lost."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import descendants, is_running

STOP_SECONDS = 1.0
INTERRUPTED = 130


def start(folder: Path, root: Path, phase: str) -> "subprocess.Popen[str]":
    for name in ("tests", "tilewright"):
        (folder / name).symlink_to(root / name)
    command = [sys.executable, "-m", "tests.faults.stopping", phase]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True)


def stored_trials(folder: Path) -> int:
    """How many trials there are; nobody says that another is his to measure."""
    with contextlib.closing(sqlite3.connect(folder / "tune.db")) as connection:
        assert connection.execute("select count(*) from leases").fetchone() == (0,)
        return int(connection.execute("select count(*) from trials").fetchone()[0])


@pytest.mark.parametrize("phase", ["compiling", "timing"])
def test_row_21_once_the_run_stops_within_1_second_of_its_trial(
    tmp_path: Path, root: Path, phase: str
) -> None:
    with start(tmp_path, root, phase) as tuner:
        out, err = tuner.communicate(timeout=60)
    assert tuner.returncode == INTERRUPTED, err
    told, seconds = err.splitlines()[-1].split()
    assert 2 <= int(told) < 16
    assert stored_trials(tmp_path) == int(told)
    assert float(seconds) <= STOP_SECONDS
    assert "best" in out
    assert "GFLOP/s" in out
    assert "interrupted: the same command goes on from here" in err


def test_row_21_twice_the_run_stops_at_once(tmp_path: Path, root: Path) -> None:
    with start(tmp_path, root, "hanging") as tuner:
        assert tuner.stdout is not None
        assert tuner.stderr is not None
        assert tuner.stdout.readline() == "hanging\n"
        children = descendants(tuner.pid)
        tuner.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert is_running(tuner.pid), "one Ctrl-C lets the running trial end"
        begin = time.monotonic()
        tuner.send_signal(signal.SIGINT)
        assert tuner.wait(60) == INTERRUPTED
        assert time.monotonic() - begin <= STOP_SECONDS
        err = tuner.stderr.read()
    told, _ = err.splitlines()[-1].split()
    assert stored_trials(tmp_path) == int(told) == 2
    assert not any(map(is_running, children))
    assert "Traceback" not in err
