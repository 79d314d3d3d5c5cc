"""The command line for tests of faults."""

from tests.cli.conftest import tilewright

__all__ = ["tilewright"]
