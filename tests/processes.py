"""What processes do, as the system tells it."""

import os
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 60
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATE, _PARENT, _GROUP, _USER_TICKS, _SYSTEM_TICKS = 0, 1, 2, 11, 12


def _fields(pid: int) -> list[str] | None:
    """The fields of a process behind its name; None where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def all_processes() -> dict[int, list[str]]:
    """Every process with its fields."""
    numbers = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return {pid: fields for pid in numbers if (fields := _fields(pid)) is not None}


def descendants(pid: int) -> set[int]:
    """The processes below a process, dead ones that nobody took note of included."""
    parents = {child: int(fields[_PARENT]) for child, fields in all_processes().items()}
    found: set[int] = set()
    fresh = {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def parent_of(pid: int) -> int:
    """The process that started a process."""
    fields = _fields(pid)
    assert fields is not None
    return int(fields[_PARENT])


def is_running(pid: int) -> bool:
    """Whether a process has not ended."""
    fields = _fields(pid)
    return fields is not None and fields[_STATE] != "Z"


def is_zombie(pid: int) -> bool:
    """Whether a process has ended and nobody took note of it."""
    fields = _fields(pid)
    return fields is not None and fields[_STATE] == "Z"


def members(group: int) -> set[int]:
    """The running processes of a group."""
    found = all_processes().items()
    return {pid for pid, fields in found if int(fields[_GROUP]) == group and fields[_STATE] != "Z"}


def busy_seconds(pids: set[int]) -> float:
    """The processor time that processes have used."""
    fields = [found for pid in pids if (found := _fields(pid)) is not None]
    return sum(int(f[_USER_TICKS]) + int(f[_SYSTEM_TICKS]) for f in fields) / _TICKS_PER_SECOND


def resident_bytes(pid: int | str = "self") -> int:
    """The memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def count_descriptors(pid: int | str = "self") -> int:
    """The open files of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Return as soon as a condition holds; fail where it does not come to hold."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come to pass within {seconds:g} s"
        time.sleep(0.01)
