"""Importing the package and asking for help load nothing that takes long."""

from pathlib import Path

import pytest

from tests.end_to_end.command import run_python

HEAVY = ("xgboost", "numba", "sqlalchemy", "llvmlite", "scipy", "torch", "numpy", "rich")

CHECK = """
import sys
{code}
loaded = [name for name in {heavy!r} if name in sys.modules]
assert not loaded, loaded
"""
HELP = """
from tilewright.cli.application import run
assert run({words!r}) == 0
"""


@pytest.mark.parametrize(
    "code",
    [
        "import tilewright",
        *(HELP.format(words=words) for words in (["--help"], ["--version"], ["log", "--help"])),
    ],
)
def test_little_is_loaded(tmp_path: Path, code: str) -> None:
    finished = run_python(tmp_path, "-c", CHECK.format(code=code, heavy=HEAVY))
    assert finished.returncode == 0, finished.stderr


def test_help_of_an_operator_compiles_nothing(tmp_path: Path) -> None:
    code = HELP.format(words=["tune", "matmul", "--help"])
    heavy = ("xgboost", "numba", "torch")
    finished = run_python(tmp_path, "-c", CHECK.format(code=code, heavy=heavy))
    assert finished.returncode == 0, finished.stderr
