"""The list of reasons for which continuous integration lets a test be skipped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.allowed_skips import is_allowed

TEST = """
import pytest

def test_it():
    pytest.skip("{reason}")
"""


@pytest.mark.parametrize(
    ("reason", "ci", "status"),
    [
        ("this machine cannot run code for x86-64 with AVX2", "true", 0),
        ("I do not feel like it", "true", 1),
        ("I do not feel like it", "", 0),
    ],
)
def test_a_skip_for_another_reason_fails_the_run(
    tmp_path: Path, root: Path, reason: str, ci: str, status: int
) -> None:
    (tmp_path / "conftest.py").write_text((root / "tests" / "conftest.py").read_text())
    (tmp_path / "test_skip.py").write_text(TEST.format(reason=reason))
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(root)}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "test_skip.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == status, run.stdout
    assert (reason in run.stdout) == (status == 1)


def test_reasons_are_matched_from_their_start() -> None:
    assert is_allowed("needs avx512_vnni")
    assert not is_allowed("no reason, but needs avx512_vnni")
