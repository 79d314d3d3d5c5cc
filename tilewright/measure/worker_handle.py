"""The pool's view of one worker process: its channel, its end, and the job that it runs."""

import os
import socket
import time
from dataclasses import dataclass, field

from tilewright.measure.fork_server import STATUS
from tilewright.measure.machine import memory_bytes
from tilewright.measure.messages import Blob, ParentChannel, Request
from tilewright.measure.outcome import Job, Outcome, Status, describe_exit, describe_limit
from tilewright.measure.server_process import ServerProcess, anonymous_file, tail

_EXHAUSTED = ("out of memory", "bad_alloc", "cannot allocate memory", "memoryerror")


@dataclass(slots=True)
class RunningJob:
    """A job on its way through a worker.

    Attributes:
        number: its ticket.
        phase: where it is.
        deadline: when the phase has to end, on the monotonic clock; None while it waits for its turn.
        verdict: how it will be reported once the worker's end is known.
    """

    number: int
    job: Job
    phase: str
    entered: float
    deadline: float | None
    verdict: Status | None = None
    phase_seconds: dict[str, float] = field(default_factory=dict)

    def enter(self, phase: str, limit: float | None) -> None:
        """Leave the present phase for another."""
        now = time.monotonic()
        spent = self.phase_seconds.get(self.phase, 0.0)
        self.phase_seconds[self.phase] = spent + now - self.entered
        self.phase, self.entered = phase, now
        self.deadline = None if limit is None else now + limit


class WorkerHandle:
    """One worker process.

    Attributes:
        number: its name towards the fork server.
        running: its job, if it has one.
        is_ready: it has started.
        is_retired: it was told to end; its end is no event.
        jobs_done: since it started.
        wanted_phase: the exclusive phase for which it waits.
    """

    def __init__(self, number: int, server: ServerProcess) -> None:
        self.number = number
        self.running: RunningJob | None = None
        self.is_ready = False
        self.is_retired = False
        self.jobs_done = 0
        self.wanted_phase = ""
        self.exit_code: int | None = None
        self._shipped: set[str] = set()
        self._errors = anonymous_file("tilewright-worker")
        ours, theirs = socket.socketpair()
        self.status, status = os.pipe()
        self.channel = ParentChannel(ours)
        server.fork(number, [theirs.fileno(), status, self._errors.fileno()])
        theirs.close()
        os.close(status)

    def start(self, number: int, job: Job, blobs: dict[str, tuple[int, int]], threads: int) -> None:
        """Send a job, and before it the data that this worker lacks."""
        for name in job.blobs:
            if name not in self._shipped:
                descriptor, size = blobs[name]
                self.channel.send(Blob(name, size), [descriptor])
                self._shipped.add(name)
        now = time.monotonic()
        self.running = RunningJob(number, job, "start", now, now + job.deadline("start"))
        self.channel.send(Request(number, job.name, job.payload, job.cpu_seconds(threads)))

    def read_exit(self) -> None:
        """Take the exit status; without one the server itself has gone."""
        data = os.read(self.status, STATUS.size)
        self.exit_code = STATUS.unpack(data)[0] if len(data) == STATUS.size else -9

    def end(self, is_memory_kill: bool, address_bytes: int) -> Outcome:
        """The outcome of the running job, now that the worker is dead.

        Args:
            is_memory_kill: whether the kernel has ended somebody for lack of memory meanwhile.
            address_bytes: the limit under which the worker allocated.
        """
        running = self.running
        assert running is not None
        assert self.exit_code is not None
        running.enter("", None)
        phase = list(running.phase_seconds)[-1]
        signal_name, message = describe_exit(self.exit_code)
        printed = tail(self._errors)
        status: Status = "crash"
        if running.verdict is not None:
            limit = running.job.deadline(phase)
            status, message = running.verdict, f"phase {phase} took longer than {limit:g} s"
            signal_name = None
        elif signal_name == "SIGXCPU":
            status, message = "timeout", f"phase {phase} used more processor time than is allowed"
        elif is_memory_kill and signal_name == "SIGKILL":
            limit_text = describe_limit(memory_bytes())
            status, message = "out_of_memory", f"the kernel ended the worker for lack of memory{limit_text}"
        elif any(words in printed.lower() for words in _EXHAUSTED):
            limit_text = describe_limit(address_bytes)
            status, message = "out_of_memory", f"the compiler or the kernel ran out of memory{limit_text}"
        if printed and status == "crash":
            message = f"{message}: {_telling_line(printed)}"
        return Outcome(status, b"", phase, signal_name, message, running.phase_seconds)

    def errors(self) -> str:
        """The last of what the worker wrote on its standard error."""
        return tail(self._errors)

    def close(self) -> None:
        """Close what the pool holds of the worker."""
        self.channel.close()
        self._errors.close()
        os.close(self.status)


def _telling_line(printed: str) -> str:
    """The line that says what happened: the first that speaks of an error, else the last."""
    lines = printed.splitlines()
    return next((line for line in lines if "error" in line.lower()), lines[-1])
