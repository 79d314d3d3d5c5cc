"""The command line, and workers with a faulty compiler, for tests of faults."""

import pytest

from tests.cli.conftest import tilewright
from tests.faults.mutated_nests import PRELOAD
from tilewright.measure import measurer, pool

__all__ = ["tilewright"]


@pytest.fixture
def faulty_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers whose compiler makes mutants of programs that ask for it."""
    monkeypatch.setattr(measurer, "PRELOAD", (*pool.PRELOAD, PRELOAD))
