"""Jobs of the worker pool, and how they end."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from tilewright.measure.machine import granted_cores, memory_bytes
from tilewright.measure.result import MeasureResult, State, failed

Status = Literal["done", "error", "timeout", "crash", "out_of_memory"]

_GIB = 1 << 30
_BUILDING = ("start", "run", "compiling")


@dataclass(frozen=True, slots=True)
class Job:
    """Work for one worker.

    Attributes:
        name: of the function, in the worker's table.
        payload: its argument.
        deadlines: seconds that each phase may take.
        other_deadline: seconds for a phase that `deadlines` does not name.
        blobs: names of the data that the job reads.
    """

    name: str
    payload: bytes = b""
    deadlines: Mapping[str, float] = field(default_factory=dict)
    other_deadline: float = 30.0
    blobs: tuple[str, ...] = ()

    def deadline(self, phase: str) -> float:
        """Seconds that `phase` may take; what follows a colon tells phases of one kind apart."""
        return self.deadlines.get(_base(phase), self.other_deadline)

    def cpu_seconds(self, threads: int) -> int:
        """Processor time that no honest run of the job needs; the kernel ends the worker there."""
        return int(4 * threads * (sum(self.deadlines.values()) + self.other_deadline)) + 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: `done` with a payload, or what went wrong.
        payload: the job's answer.
        phase: the phase in which it ended.
        signal: the name of the signal that ended the worker.
        message: one line for people.
        phase_seconds: how long each phase took.
    """

    status: Status
    payload: bytes = b""
    phase: str = ""
    signal: str | None = None
    message: str = ""
    phase_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """When a worker is replaced, and what it may use.

    Attributes:
        jobs: after this many it is replaced.
        resident_bytes: it is replaced when it holds more after a job.
        address_bytes: allocations beyond fail in it.
        start_seconds: within which it must have started.
        threads: that a job may run.
    """

    jobs: int = 500
    resident_bytes: int = 2 * _GIB
    address_bytes: int = 0
    start_seconds: float = 60.0
    threads: int = 1


def default_limits(threads: int = 1) -> WorkerLimits:
    """Limits that fit this machine's memory."""
    memory = memory_bytes() or 8 * _GIB
    # Thread pools and allocators reserve address space that they never touch.
    reserve = 4 * _GIB + granted_cores() * (_GIB // 8)
    return WorkerLimits(
        resident_bytes=max(_GIB, memory // 4), address_bytes=memory * 3 // 4 + reserve, threads=threads
    )


def describe_exit(code: int) -> tuple[str | None, str]:
    """The signal's name, if one ended the worker, and a line for people."""
    if code >= 0:
        return None, f"the worker exited with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"SIG{-code}"
    return name, f"the worker was ended by {name}"


def describe_limit(size_bytes: int | None) -> str:
    """The rest of a line on exhausted memory: how much there was."""
    return f"; the limit is {size_bytes / _GIB:.3g} GiB" if size_bytes else ""


def to_result(outcome: Outcome) -> MeasureResult:
    """The result of a trial whose job ended so."""
    if outcome.status == "done":
        return msgspec.msgpack.decode(outcome.payload, type=MeasureResult)
    building = _base(outcome.phase) in _BUILDING
    states: dict[str, State] = {
        "timeout": "compile_timeout" if building else "run_timeout",
        "out_of_memory": "out_of_memory",
        "crash": "crash",
        "error": "compile_error" if building else "crash",
    }
    message = f"while {_base(outcome.phase)}: {outcome.message}"
    if outcome.signal in ("SIGSEGV", "SIGBUS") and not building:
        message += " (did the kernel access memory out of bounds?)"
    result = failed(states[outcome.status], message, outcome.signal)
    spent = {_base(name): seconds for name, seconds in outcome.phase_seconds.items()}
    return msgspec.structs.replace(
        result,
        build_seconds=spent.get("compiling", 0.0),
        verify_seconds=spent.get("verifying", 0.0),
        run_seconds=spent.get("timing", 0.0),
    )


def _base(phase: str) -> str:
    return phase.partition(":")[0]
