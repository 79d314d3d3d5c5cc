"""Rows 1 to 9: the causes are summed up at the end; a failed trial is shown, and a script does it again."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Tilewright
from tests.faults.crashing import QuickMeasurer
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.tuning import workers as workers_module

ENDS = ("right", "address 0", "outside", "abort")


def tune_to_all_ends(tilewright: Tilewright, op: str) -> str:
    """What a run said on standard error."""
    words = ("--n", "4000", "--ends", ",".join(ENDS), "--trials", str(len(ENDS)), "--tuner", "grid")
    answer = tilewright("tune", op, *words, "--threads", "1")
    assert answer.status == 0, answer.err
    return answer.err


def read_trials(folder: Path) -> dict[str, Record]:
    with RecordStore(folder / "tune.db", read_only=True) as store:
        return {ENDS[record.config["number"]]: record for record in store.iter_trials()}


def do_again(script: Path, root: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment)


def test_rows_01_to_09_causes_are_told_shown_and_reproduced(
    tilewright: Tilewright, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "Measurer", QuickMeasurer)
    op = f"{root}/tests/faults/crashing.py:crashing"
    err = tune_to_all_ends(tilewright, op)
    told = re.findall(r"^failed: (\d+) crash \((SIG\w+)\), such as trial (\w+): while verifying: ", err, re.M)
    trials = read_trials(tmp_path)
    assert [(count, signal) for count, signal, _ in told] == [("2", "SIGSEGV"), ("1", "SIGABRT")]
    assert told[1][2] == trials["abort"].id
    for end, signal in (("outside", "SIGSEGV"), ("abort", "SIGABRT")):
        record = trials[end]
        shown = tilewright("log", "show", record.id).out
        assert str(record.error) in shown
        assert signal in shown
        assert tilewright("log", "repro", record.id, "--op", op, "-o", "again.py").status == 0
        again = do_again(tmp_path / "again.py", root)
        assert again.returncode == 0, again.stdout + again.stderr
        assert f"it was ended by {signal}; recorded as crash" in again.stdout
        os.unlink(tmp_path / "again.py")
