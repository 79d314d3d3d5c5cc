"""A process of its own that imports what workers need once, then forks them in milliseconds.

It runs no kernel and starts no thread, so forking is safe, and it never imports the user's main module.
It is the parent of all workers: when the tuner is gone it kills them, and when it is gone the kernel does.
"""

import contextlib
import ctypes
import gc
import importlib
import os
import selectors
import signal
import socket
import struct
import sys
import traceback
from dataclasses import dataclass, field

FORK, KILL = b"F", b"K"
COMMAND = struct.Struct("<cI")
STATUS = struct.Struct("<i")
_PARENT_CHECK_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class _Server:
    control: socket.socket
    parent_pid: int
    wakeup: int
    memory_bytes: int
    prctl: object
    pids: dict[int, int] = field(default_factory=dict)  # pid -> the worker's number
    status: dict[int, int] = field(default_factory=dict)  # the worker's number -> where its end is written


def main(descriptor: int, parent_pid: int, memory_bytes: int, preload: list[str]) -> None:
    """Serve the pool at the other end of `descriptor` until it closes or its process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=descriptor)
    for name in preload:
        _preload(name)
    gc.collect()
    gc.freeze()  # keeps the collector from copying the pages that the workers share
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.set_blocking(reader, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    server = _Server(control, parent_pid, reader, memory_bytes, _find_prctl())
    try:
        _serve(server)
    finally:
        _kill_all(server)


def _preload(name: str) -> None:
    """Import a module, or call `module:function` once, so that every worker inherits the effect."""
    module, _, function = name.partition(":")
    try:
        loaded = importlib.import_module(module)
        if function:
            getattr(loaded, function)()
    except Exception as error:  # the job that needs the module reports it
        print(f"preload of {name} failed: {error}", file=sys.stderr)


def _serve(server: _Server) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(server.control, selectors.EVENT_READ)
        selector.register(server.wakeup, selectors.EVENT_READ)
        while os.getppid() == server.parent_pid:
            for key, _ in selector.select(_PARENT_CHECK_SECONDS):
                if key.fileobj is server.control:
                    if not _obey(server):
                        return
                else:
                    os.read(server.wakeup, 4096)
            _reap(server)


def _obey(server: _Server) -> bool:
    """Carry out one command; false when there will be no more."""
    try:
        data, descriptors, _, _ = socket.recv_fds(server.control, COMMAND.size, 3)
    except ConnectionError:
        return False
    if len(data) < COMMAND.size:
        return False
    command, number = COMMAND.unpack(data)
    if command == FORK:
        _fork(server, number, descriptors)
    elif command == KILL:
        for pid, owner in server.pids.items():
            if owner == number:
                os.kill(pid, signal.SIGKILL)
    return True


def _fork(server: _Server, number: int, descriptors: list[int]) -> None:
    connection, status, errors = descriptors
    server_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _become_worker(server, server_pid, connection, status, errors)
            code = 0
        except Exception:
            traceback.print_exc()  # into the file from which the pool explains a worker's end
        finally:
            os._exit(code)
    server.pids[pid] = number
    server.status[number] = status
    os.close(connection)
    os.close(errors)


def _become_worker(server: _Server, server_pid: int, connection: int, status: int, errors: int) -> None:
    if server.prctl is not None:
        server.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # type: ignore[operator]
    if os.getppid() != server_pid:
        return
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    server.control.close()
    for descriptor in (server.wakeup, status, *server.status.values()):
        os.close(descriptor)
    os.dup2(errors, 2)
    os.close(errors)
    from tilewright.measure.worker import run_worker

    run_worker(socket.socket(fileno=connection), server.memory_bytes)


def _reap(server: _Server) -> None:
    while server.pids:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        number = server.pids.pop(pid, None)
        if number is None:
            continue
        descriptor = server.status.pop(number)
        with contextlib.suppress(OSError):
            os.write(descriptor, STATUS.pack(os.waitstatus_to_exitcode(status)))
        os.close(descriptor)


def _kill_all(server: _Server) -> None:
    for pid in server.pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in server.pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _find_prctl() -> object:
    if not sys.platform.startswith("linux"):
        return None
    return ctypes.CDLL(None, use_errno=True).prctl
