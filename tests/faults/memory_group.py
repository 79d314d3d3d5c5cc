"""A control group with little memory, for a process that tunes."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tilewright.measure import control_group

NO_GROUPS = "needs the privilege to make a memory control group"
LIMITS = ("memory.max", "memory.limit_in_bytes")


@contextlib.contextmanager
def memory_group(size_bytes: int) -> Iterator[Path]:
    """A group inside this process's own; it is removed at the end, when its processes are gone."""
    own = next(iter(control_group.folders("memory")), None)
    folder = None if own is None else own / f"tilewright-test-{os.getpid()}"
    try:
        if folder is None:
            pytest.skip(NO_GROUPS)
        folder.mkdir()
        limit = next((folder / name for name in LIMITS if (folder / name).exists()), None)
        if limit is None:
            pytest.skip(NO_GROUPS)
        limit.write_text(str(size_bytes))
        yield folder
    except PermissionError:
        pytest.skip(NO_GROUPS)
    finally:
        if folder is not None and folder.exists():
            folder.rmdir()


def join(folder: Path) -> None:
    """Move this process into a group; its children are born there."""
    (folder / "cgroup.procs").write_text(str(os.getpid()))
