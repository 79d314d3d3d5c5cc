"""The processor time that a sample was given, beside the time that passed.

A process that others push off its core, that is stopped, or whose control group is over its quota is not
slow: it does not run. The clock of its processor time tells, and the group's counter of throttled periods.
"""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Of a slice; interrupts and the kernel's own threads take less on a quiet machine.
LOST_SHARE = 0.02
_STATISTICS_BYTES = 4096
_THREADS = "/proc/self/task"
_THREAD_CLOCK = (
    6  # the clock of a thread's processor time, in the lowest bits of its number (clock_getcpuclockid)
)


@dataclass(frozen=True, slots=True)
class CoreTime:
    """What a process was given so far.

    Attributes:
        running: nanoseconds of processor time, of all its threads.
        throttled: periods in which its control group had used up its quota.
    """

    running: int
    throttled: int = 0


Meter = Callable[[], CoreTime]


@dataclass(frozen=True, slots=True)
class Share:
    """What a sample was given of the time that it took.

    Attributes:
        nanoseconds: that it ran; at most those that passed.
        is_whole: it had its core all the time.
    """

    nanoseconds: int
    is_whole: bool


def share_of(elapsed: int, before: CoreTime, after: CoreTime) -> Share:
    """What a sample of `elapsed` nanoseconds between two readings was given.

    A kernel of several threads always has one that runs: less processor time than time means that none did.
    That a neighbour took the core of one thread of several does not show here.
    """
    ran = max(1, min(elapsed, after.running - before.running))
    lost = elapsed - ran
    return Share(ran, lost <= LOST_SHARE * elapsed and after.throttled == before.throttled)


def process_meter(folders: Sequence[Path] | None = None) -> Meter:
    """A meter of this process, which reads the statistics of its control group if that has a quota.

    Args:
        folders: of the control group; by default those of this process.
    """
    if folders is None:
        from tilewright.measure.control_group import cpu_folders

        folders = cpu_folders()
    files = [found for folder in folders if (found := _open_statistics(folder / "cpu.stat")) is not None]

    def read() -> CoreTime:
        throttled = sum(parse_throttled(os.pread(file, _STATISTICS_BYTES, 0)) for file in files)
        return CoreTime(running_nanoseconds(), throttled)

    return read


def running_nanoseconds() -> int:
    """Processor time of all threads of this process, to the nanosecond.

    The clock of the process would do, but under a limit of processor time, as workers have, it steps with the
    timer of the kernel, some milliseconds at a time. Those of the threads do not.
    """
    try:
        threads = os.listdir(_THREADS)
    except OSError:
        return time.process_time_ns()
    total = 0
    for thread in threads:
        with contextlib.suppress(OSError):  # it has ended
            total += time.clock_gettime_ns((~int(thread) << 3) | _THREAD_CLOCK)
    return total


def parse_throttled(text: bytes) -> int:
    """The throttled periods of a control group's `cpu.stat`."""
    _, found, rest = text.partition(b"nr_throttled ")
    digits = rest.split(b"\n", 1)[0] if found else b"0"
    return int(digits) if digits.isdigit() else 0


def _open_statistics(path: Path) -> int | None:
    """A descriptor that is read anew for each sample; none where nobody counts."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    if b"nr_throttled" in os.pread(file, _STATISTICS_BYTES, 0):
        return file
    os.close(file)
    return None
