"""Row 31: malicious files; no code runs, nothing is written elsewhere, no time or memory runs out."""

import os
import subprocess
import sys
from pathlib import Path

from tests.faults.malicious import MEBIBYTES, SECONDS, corpus

FILES = 60
HARMLESS = 4
UNPACKED = ("bomb.json.gz", "bomb_of_bombs.json.gz")


def test_row_31_of_60_malicious_files_none_runs_code_or_writes_elsewhere(tmp_path: Path, root: Path) -> None:
    assert (SECONDS, MEBIBYTES) == (2, 200)
    before = set(os.listdir(root))
    command = [sys.executable, "-m", "tests.faults.malicious", str(tmp_path)]
    run = subprocess.run(
        command, cwd=root, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    assert set(os.listdir(root)) == before
    assert len(os.listdir(tmp_path / "files")) - HARMLESS >= FILES


def test_row_31_the_corpus_has_what_it_promises() -> None:
    files = corpus()
    assert len(files) >= FILES
    assert max(len(data) for data in files.values()) >= 10_000_000
    assert all(len(files[name]) < 1 << 20 for name in UNPACKED)
