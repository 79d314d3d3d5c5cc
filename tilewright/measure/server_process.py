"""Starting the fork server, whatever started this process: a script, a notebook, a prompt or `python -c`."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import tilewright
from tilewright.measure.fork_server import COMMAND, FORK, KILL
from tilewright.measure.result import MeasureSetupError
from tilewright.settings import child_environment

# Imports nothing but the standard library before the path is that of this process.
_BOOTSTRAP = (
    "import sys, json; a = json.loads(sys.argv[1]); sys.path[:] = a['path']; "
    "from tilewright.measure.fork_server import main; main(*a['arguments'])"
)
_EXIT_SECONDS = 2.0
_MAXIMUM_TEXT_BYTES = 16_000  # a crash of Python writes its message before all frames


class ServerProcess:
    """A running fork server and the socket that commands it."""

    def __init__(self, preload: Sequence[str], memory_bytes: int) -> None:
        if not sys.executable or getattr(sys, "frozen", False):
            reason = "a frozen application is none" if sys.executable else "sys.executable names none"
            raise MeasureSetupError(
                f"workers need a Python interpreter, and {reason}: tune with Python itself"
            )
        self._control, theirs = socket.socketpair()
        self._errors = anonymous_file("tilewright-server")
        arguments = [theirs.fileno(), os.getpid(), memory_bytes, list(preload)]
        command = [sys.executable, "-P", "-c", _BOOTSTRAP]
        try:
            self._process = subprocess.Popen(
                [*command, json.dumps({"path": worker_path(), "arguments": arguments})],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is for the tuner, which ends its workers in order
                env=child_environment(OPENBLAS_NUM_THREADS="1"),  # no threads in a process that forks
            )
        except OSError as error:
            raise MeasureSetupError(f"cannot start {sys.executable} for the workers: {error}") from error
        finally:
            theirs.close()
        self.close = weakref.finalize(self, _stop, self._control, self._errors, self._process, os.getpid())

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def fork(self, number: int, descriptors: Sequence[int]) -> None:
        """Start worker `number` with its connection, the place for its status and its standard error."""
        self._command(FORK, number, descriptors)

    def kill(self, number: int) -> None:
        """End worker `number` at once; nothing happens when it has ended."""
        self._command(KILL, number, ())

    def errors(self) -> str:
        """The last of what the server wrote on its standard error."""
        return tail(self._errors)

    def _command(self, command: bytes, number: int, descriptors: Sequence[int]) -> None:
        try:
            socket.send_fds(
                self._control, [COMMAND.pack(command, number)], list(descriptors), socket.MSG_NOSIGNAL
            )
        except OSError:
            return  # the server is gone, and its workers with it; the pool sees their ends


def worker_path() -> list[str]:
    """`sys.path` without the user's script folder, where a file may shadow a module; with ours."""
    main_file = getattr(sys.modules.get("__main__"), "__file__", None)
    excluded = {"", os.getcwd()}
    if main_file:
        excluded.add(os.path.dirname(os.path.abspath(main_file)))
    root = str(Path(tilewright.__file__).resolve().parent.parent)
    path = [entry for entry in sys.path if entry not in excluded]
    return path if root in path else [*path, root]


def anonymous_file(name: str) -> BinaryIO:
    """A file without a path, gone when its last descriptor closes."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create(name), "w+b", buffering=0)
    return tempfile.TemporaryFile("w+b", buffering=0)


def tail(file: BinaryIO) -> str:
    """The end of what a child wrote into `file`."""
    size = os.fstat(file.fileno()).st_size
    start = max(0, size - _MAXIMUM_TEXT_BYTES)
    return os.pread(file.fileno(), _MAXIMUM_TEXT_BYTES, start).decode(errors="replace").strip()


def _stop(
    control: socket.socket, errors: BinaryIO, process: "subprocess.Popen[bytes]", owner_pid: int
) -> None:
    control.close()
    errors.close()
    if os.getpid() != owner_pid:
        return  # a fork of the tuner: the server is not its child
    try:
        process.wait(_EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
