"""A job that misbehaves on demand, by which the pool's promises are checked."""

import ctypes
import os
import signal
import time
from collections.abc import Callable

from tilewright.measure.worker import JobContext


def fault_job(payload: bytes, context: JobContext) -> bytes:
    """Do what the payload's first word says, with the rest as argument."""
    name, _, argument = payload.partition(b" ")
    return _FAULTS[name.decode()](argument, context)


def _echo(argument: bytes, _: JobContext) -> bytes:
    return argument


def _pid(_: bytes, __: JobContext) -> bytes:
    return str(os.getpid()).encode()


def _signal(argument: bytes, _: JobContext) -> bytes:
    os.kill(os.getpid(), int(argument))
    time.sleep(10)
    return b""


def _segfault(_: bytes, __: JobContext) -> bytes:
    ctypes.memset(8, 0, 8)
    return b""


def _exit(argument: bytes, _: JobContext) -> bytes:
    os._exit(int(argument))


def _raise(argument: bytes, _: JobContext) -> bytes:
    raise ValueError(argument.decode())


def _sleep(argument: bytes, context: JobContext) -> bytes:
    context.phase("sleeping")
    time.sleep(float(argument))
    return b"slept"


def _deaf(_: bytes, __: JobContext) -> bytes:
    """Ignore every signal that a process may ignore, and stay."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(60)


def _hold(argument: bytes, _: JobContext) -> bytes:
    """Keep the interpreter lock inside a native call."""
    ctypes.PyDLL(None).sleep(int(argument))
    return b""


def _spin(_: bytes, __: JobContext) -> bytes:
    while True:
        pass


def _allocate(argument: bytes, _: JobContext) -> bytes:
    return str(len(bytearray(int(argument)))).encode()


def _blob(argument: bytes, context: JobContext) -> bytes:
    return bytes(context.blob(argument.decode())[:16])


def _alone(argument: bytes, context: JobContext) -> bytes:
    context.exclusive_phase("alone")
    start = time.monotonic()
    time.sleep(float(argument))
    return f"{start} {time.monotonic()}".encode()


_FAULTS: dict[str, Callable[[bytes, JobContext], bytes]] = {
    "echo": _echo,
    "pid": _pid,
    "signal": _signal,
    "segfault": _segfault,
    "exit": _exit,
    "raise": _raise,
    "sleep": _sleep,
    "deaf": _deaf,
    "hold": _hold,
    "spin": _spin,
    "allocate": _allocate,
    "blob": _blob,
    "alone": _alone,
}
