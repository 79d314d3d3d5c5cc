"""The command line and scripts as users run them: in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SHAPE = ("matmul", "--m", "64", "--n", "64", "--k", "64", "--threads", "1")
TIMEOUT_SECONDS = 120

Finished = subprocess.CompletedProcess[str]


def environment() -> dict[str, str]:
    """That of a user who has the package installed."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    return {**os.environ, "PYTHONPATH": path}


def tilewright_command(*words: str) -> list[str]:
    """The command line of the program."""
    return [sys.executable, "-m", "tilewright", *words]


def run_tilewright(folder: Path, *words: str) -> Finished:
    """Run the program in a folder."""
    return run(folder, tilewright_command(*words))


def run_python(folder: Path, *words: str, text: str | None = None) -> Finished:
    """Run Python in a folder, with `text` on its standard input."""
    return run(folder, [sys.executable, *words], text)


def run(folder: Path, command: list[str], text: str | None = None) -> Finished:
    """Run a command in a folder."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def read_json(finished: Finished) -> Any:
    """The one object that a command printed."""
    (line,) = finished.stdout.splitlines()
    return json.loads(line, parse_constant=_refuse)


def read_log(folder: Path, db: str = "tune.db") -> list[dict[str, Any]]:
    """All trials of a database."""
    finished = run_tilewright(folder, "log", "export", "--db", db)
    assert finished.returncode == 0, finished.stderr
    return [json.loads(line) for line in finished.stdout.splitlines()]


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
