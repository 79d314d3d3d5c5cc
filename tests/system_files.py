"""The files by which a system describes itself, laid out in a folder."""

from collections.abc import Mapping
from pathlib import Path

QUIET = {
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Quick 9000\n\nprocessor\t: 1\nmodel name\t: Quick 9000\n",
    "proc/loadavg": "0.10 0.20 0.30 1/90 4711\n",
    "proc/meminfo": "MemTotal:       8388608 kB\nMemFree:        1 kB\n",
    "proc/stat": "cpu  100 0 50 800 10 0 0 0 0 0\ncpu0 1 2\n",
    "proc/self/cgroup": "0::/\n",
    "sys/devices/system/cpu/online": "0-1\n",
    "sys/devices/system/cpu/cpu0/topology/thread_siblings_list": "0\n",
    "sys/devices/system/cpu/cpu1/topology/thread_siblings_list": "1\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
    "sys/devices/system/cpu/cpufreq/boost": "0\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
    "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
}


def write_system(root: Path, changes: Mapping[str, str]) -> Path:
    """A quiet machine of two cores, but for the changes; the root of its files."""
    for name, text in {**QUIET, **changes}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
