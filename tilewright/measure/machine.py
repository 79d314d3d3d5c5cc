"""What this process was granted: cores and memory."""

import os
from pathlib import Path

from tilewright.measure.control_group import memory_limit_bytes
from tilewright.settings import within_pool

_PROC = Path("/proc")
_CPUS = Path("/sys/devices/system/cpu")


def granted_cores() -> int:
    """The number of cores on which this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def usable_cores() -> int:
    """The number of threads that parallel loops get: of the granted cores, what Numba's pool may use."""
    return within_pool(granted_cores())


def physical_cores() -> int:
    """The number of granted cores that share no execution units with another."""
    if not hasattr(os, "sched_getaffinity"):
        return granted_cores()
    names = {
        _read(_CPUS / f"cpu{number}" / "topology" / "thread_siblings_list") or str(number)
        for number in os.sched_getaffinity(0)
    }
    return len(names)


def memory_bytes() -> int | None:
    """The smaller of the machine's memory and the control group's limit."""
    found = [parse_memory(_read(_PROC / "meminfo")), memory_limit_bytes()]
    return min((size for size in found if size is not None), default=None)


def parse_memory(text: str | None) -> int | None:
    """Read `MemTotal` of `/proc/meminfo`, in bytes."""
    for line in (text or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
