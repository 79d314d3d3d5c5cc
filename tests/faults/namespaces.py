"""Running a test in a user and mount namespace of its own, where it may mount what it likes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NO_NAMESPACES = "needs the privilege to make user and mount namespaces"


def run_mounted(module: str, folder: Path, root: Path, options: str = "size=2m") -> str:
    """Run `python -m module FOLDER` with a fresh file system in memory at the folder; its standard output."""
    if not _may_mount():
        pytest.skip(NO_NAMESPACES)
    script = 'mount -t tmpfs -o "$2" tmpfs "$1" && exec "$3" -m "$4" "$1"'
    command = ["unshare", "-Urm", "sh", "-c", script, "sh", str(folder), options, sys.executable, module]
    run = subprocess.run(
        command, cwd=root, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def _may_mount() -> bool:
    try:
        probe = ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
        return subprocess.run(probe, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
