"""Facts about the machine that decide whether a measurement on it can be trusted."""

import os
from dataclasses import dataclass
from pathlib import Path

from tilewright.measure.control_group import memory_limit_bytes

_CGROUP = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
_CPUS = Path("/sys/devices/system/cpu")
_GOVERNOR = _CPUS / "cpu0" / "cpufreq" / "scaling_governor"


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What was found; None where the system does not tell.

    Attributes:
        cores: granted to this process by its affinity.
        load: runnable processes, averaged over one minute.
        governor: of the first core's frequency.
        quota_cores: the limit of the control group, in cores.
        steal_fraction: time since boot that the hypervisor gave to others.
        memory_bytes: the memory that this process may use.
    """

    cores: int
    load: float | None
    governor: str | None
    quota_cores: float | None
    steal_fraction: float | None
    memory_bytes: int | None

    def warnings(self) -> tuple[str, ...]:
        """What makes this machine a bad place to measure, a line each."""
        found: list[str] = []
        if self.load is not None and self.load > 0.5 * self.cores:
            found.append(
                f"load is {self.load:.1f} on {self.cores} cores: other processes disturb the samples"
            )
        if self.governor is not None and self.governor != "performance":
            found.append(f"frequency governor is {self.governor}: set it to performance")
        if self.quota_cores is not None and self.quota_cores < self.cores:
            found.append(
                f"control group grants {self.quota_cores:g} of {self.cores} cores: kernels are throttled"
            )
        if self.steal_fraction is not None and self.steal_fraction > 0.01:
            found.append(f"hypervisor took {self.steal_fraction:.0%} of the time: samples are unstable")
        return tuple(found)


def read_machine() -> MachineFacts:
    """Collect the facts; nothing raises where a file is absent."""
    return MachineFacts(
        cores=granted_cores(),
        load=_load(),
        governor=_read(_GOVERNOR),
        quota_cores=parse_quota(_read(_CGROUP / "cpu.max")),
        steal_fraction=parse_steal(_read(_PROC / "stat")),
        memory_bytes=memory_bytes(),
    )


def granted_cores() -> int:
    """The number of cores on which this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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


def parse_quota(text: str | None) -> float | None:
    """Read `cpu.max`: quota and period in microseconds, or `max` for none."""
    words = (text or "").split()
    if len(words) != 2 or not all(word.isdigit() for word in words) or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])


def parse_steal(text: str | None) -> float | None:
    """Read the steal column of the first line of `/proc/stat`."""
    words = (text or "").partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu":
        return None
    ticks = [int(word) for word in words[1:9]]
    return ticks[7] / sum(ticks) if sum(ticks) else None


def parse_memory(text: str | None) -> int | None:
    """Read `MemTotal` of `/proc/meminfo`, in bytes."""
    for line in (text or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
