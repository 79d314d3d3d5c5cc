"""A PostgreSQL server of the tests' own: a fresh folder, a socket in it, no network."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

NO_SERVER = "needs a PostgreSQL server, which only root can install: apt-get install postgresql"
NO_USER = "needs a user without privileges to run a PostgreSQL server"
_USERS = ("postgres", "nobody")
_SETTINGS = "-c listen_addresses='' -c fsync=off -c shared_buffers=16MB"


@contextlib.contextmanager
def running_server() -> Iterator[str]:
    """The URL of an empty database on a server that ends with the block."""
    programs = _find_programs()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    prefix = _as_unprivileged(folder)
    data = str(folder / "data")
    try:
        _run(
            [*prefix, str(programs / "initdb"), "-D", data, "-U", "tuner", "-A", "trust", "--no-sync"], folder
        )
        control = [*prefix, str(programs / "pg_ctl"), "-D", data, "-w"]
        _run([*control, "-l", str(folder / "log"), "-o", f"-k {folder} {_SETTINGS}", "start"], folder)
        try:
            yield f"postgresql+psycopg://tuner@/postgres?host={folder}"
        finally:
            _run([*control, "-m", "immediate", "stop"], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _find_programs() -> Path:
    """The folder of initdb and pg_ctl; the test is skipped where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        folder = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True).stdout
        if (Path(folder.strip()) / "initdb").exists():
            return Path(folder.strip())
    pytest.skip(NO_SERVER)


def _as_unprivileged(folder: Path) -> list[str]:
    """What goes before a command: the server refuses to run as root."""
    if os.geteuid() != 0:
        return []
    for name in _USERS:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            os.chown(folder, user.pw_uid, user.pw_gid)
            if shutil.which("runuser"):
                return ["runuser", "-u", name, "--"]
    pytest.skip(NO_USER)


def _run(command: Sequence[str], folder: Path) -> None:
    with (folder.parent / f"{folder.name}.out").open("w+") as output:
        status = subprocess.run(command, cwd="/", stdout=output, stderr=subprocess.STDOUT).returncode
        output.seek(0)
        text = output.read()
    Path(output.name).unlink()
    assert status == 0, text
