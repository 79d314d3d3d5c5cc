"""Databases that may not be written, on a file system that is mounted for reading, and folders that vanish.

python -m tests.faults.no_permission FOLDER
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.logs.records import make
from tilewright.cli.application import run
from tilewright.logs.apply import apply_best
from tilewright.logs.errors import DatabaseError
from tilewright.logs.store import RecordStore


def refused(action: Callable[[], object], path: Path) -> None:
    """Make a call that cannot work, and says so in one line that names the path."""
    with pytest.raises(DatabaseError) as caught:
        action()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def read_only_file_system(folder: Path) -> None:
    """What is stored is applied and read; what would write is refused."""
    path = folder / "tune.db"
    with RecordStore(path) as store:
        store.add(make())
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    with RecordStore(path) as store:
        assert store.read_only
        refused(lambda: store.add(make(attempt=2)), path)
    assert apply_best(path).find(make().key) == make()
    refused(lambda: RecordStore(folder / "new.db"), folder / "new.db")
    os.chdir(folder)
    assert run(["best", "--quiet"]) == 0
    assert run(["tune", "matmul", "--m", "8", "--n", "8", "--k", "8", "--trials", "1"]) == 1
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


def vanished_folder(folder: Path) -> None:
    """A folder that goes while the database in it is open, and one whose file system is unmounted."""
    inner = folder / "inner"
    inner.mkdir()
    path = inner / "tune.db"
    store = RecordStore(path)
    store.add(make())
    shutil.rmtree(inner)
    refused(lambda: RecordStore(path), path)
    store.close()
    os.chdir("/")
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    refused(lambda: RecordStore(folder / "tune.db", read_only=True), folder / "tune.db")


def main(folder: Path) -> None:
    """Both, one after the other."""
    read_only_file_system(folder)
    vanished_folder(folder)
    print("done")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
