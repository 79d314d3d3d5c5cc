"""Scripts as AutoTVM's users have them on disk, run as they would run them: only imports are renamed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))
ROOT = Path(__file__).parents[2]
THREADS = {"tune_matmul_xgb": "2", "optimize_gemm": "2"}
TIMEOUT_SECONDS = 90
# What a script may say of TVM: its imports, and nothing that names Tilewright's own parts.
OWN_IMPORT = re.compile(r"^\s*(?:import|from) tilewright(?!\.tvm\b)", re.MULTILINE)


def run(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    threads = THREADS.get(script.stem, "1")
    return subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", str(script)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "TVM_NUM_THREADS": threads},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_users_script_runs(script: Path, tmp_path: Path) -> None:
    finished = run(script, tmp_path)
    assert finished.returncode == 0, f"{script.name} ended with {finished.returncode}:\n{finished.stdout}"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_uses_the_names_of_tvm_only(script: Path) -> None:
    text = script.read_text()
    assert not OWN_IMPORT.search(text)
    assert "assert" in text
