"""A worker process: takes jobs from the pool, by name from a fixed table, and answers them one by one.

It never imports the user's code and never unpickles.
"""

import gc
import importlib
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from tilewright.measure.messages import Blob, Failure, Go, Phase, Ready, Reply, Request, WorkerChannel

JOBS = {
    "measure": "tilewright.measure.runner:measure_job",
    "playoff": "tilewright.measure.runner:playoff_job",
    "reference": "tilewright.measure.builder:reference_job",
    "calibrate": "tilewright.measure.runner:calibrate_job",
    "fault": "tilewright.measure.faults:fault_job",
}
_MAXIMUM_FILE_BYTES = 64 << 20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class JobContext:
    """What a job may ask of its worker.

    Attributes:
        cache: kept from job to job in this worker.
    """

    def __init__(self, channel: WorkerChannel) -> None:
        self._channel = channel
        self._blobs: dict[str, mmap.mmap] = {}
        self._number = 0
        self.cache: dict[str, object] = {}

    def start(self, request: Request) -> None:
        """Begin the job of `request`."""
        self._number = request.number
        self.phase("run")

    def phase(self, name: str) -> None:
        """Enter a phase: its deadline starts."""
        self._channel.send(Phase(self._number, name, exclusive=False))

    def exclusive_phase(self, name: str) -> None:
        """Wait until no other worker is in an exclusive phase, then enter one until the job ends."""
        self._channel.send(Phase(self._number, name, exclusive=True))
        while not isinstance(message := self._channel.receive(), Go):
            self.accept(message)

    def accept(self, message: Blob | Go | Request) -> None:
        """Keep the data that came with a message."""
        if not isinstance(message, Blob):
            raise RuntimeError(f"unexpected {type(message).__name__} in a running job")
        descriptor = self._channel.take_descriptor()
        try:
            self._blobs[message.name] = mmap.mmap(descriptor, message.size_bytes, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)

    def blob(self, name: str) -> mmap.mmap:
        """The data that the pool shipped under `name`."""
        return self._blobs[name]


def run_worker(connection: socket.socket, memory_bytes: int) -> None:
    """Answer jobs until the pool closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_files()
    _limit_memory(memory_bytes)
    channel = WorkerChannel(connection)
    context = JobContext(channel)
    channel.send(Ready(os.getpid()))
    while True:
        try:
            message = channel.receive()
        except (EOFError, ConnectionError):
            return
        if isinstance(message, Request):
            context.start(message)
            channel.send(_answer(message, context))
        else:
            context.accept(message)


def _answer(request: Request, context: JobContext) -> Reply | Failure:
    try:
        _limit_cpu(request.cpu_seconds)
        payload = _find_job(request.job)(request.payload, context)
    except MemoryError as error:
        gc.collect()
        return Failure(request.number, "out_of_memory", str(error) or "memory is exhausted")
    except Exception as error:
        return Failure(request.number, "error", f"{type(error).__name__}: {error}"[:2000])
    return Reply(request.number, payload, _resident_bytes())


def _find_job(name: str) -> Callable[[bytes, JobContext], bytes]:
    module, _, function = JOBS[name].partition(":")
    job: Callable[[bytes, JobContext], bytes] = getattr(importlib.import_module(module), function)
    return job


def _limit_memory(size_bytes: int) -> None:
    """Make allocations beyond `size_bytes` of address space fail, before the machine swaps."""
    if size_bytes <= 0:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        size_bytes = min(size_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (size_bytes, hard))


def _limit_cpu(seconds: int) -> None:
    """Let the kernel end this process if the pool's deadline does not."""
    if seconds <= 0:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + seconds + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


def _limit_files() -> None:
    """No core files, and no message of a crash that fills the memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    if hard == resource.RLIM_INFINITY or hard >= _MAXIMUM_FILE_BYTES:
        resource.setrlimit(resource.RLIMIT_FSIZE, (_MAXIMUM_FILE_BYTES, hard))


def _resident_bytes() -> int:
    if sys.platform.startswith("linux"):
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
