"""What the operating system tells of this machine that matters to measuring: on Linux; elsewhere little.

Everything is read below a root, so that the files of any machine can be laid out in a folder.
"""

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tilewright.measure.control_group import memory_limit_bytes, quota_cores, read_text, throttled_share
from tilewright.measure.machine import granted_cores, parse_memory

_ROOT = Path("/")
_CPUS = Path("sys/devices/system/cpu")
_HUGE_PAGES = Path("sys/kernel/mm/transparent_hugepage/enabled")
_CLOCK = Path("sys/devices/system/clocksource/clocksource0/current_clocksource")
_IDLE, _WAITING, _STOLEN = 3, 4, 7  # columns of /proc/stat
_WATCH_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What was found; None where the system does not tell.

    Attributes:
        model: the processor's name for people.
        cores: granted to this process by its affinity.
        online: the machine's cores.
        sibling_sets: of granted cores, those that share execution units.
        governor: of the first core's frequency.
        turbo: the frequency may rise above the nominal one.
        load: runnable processes, averaged over one minute.
        quota_cores: the limit of the control group, in cores.
        throttled: the share of the control group's periods in which it was stopped.
        memory_bytes: the machine's memory.
        memory_limit: of the control group.
        huge_pages: when the kernel uses large pages by itself.
        clock: that the kernel reads.
    """

    model: str | None
    cores: int
    online: int
    sibling_sets: int
    governor: str | None = None
    turbo: bool | None = None
    load: float | None = None
    quota_cores: float | None = None
    throttled: float | None = None
    memory_bytes: int | None = None
    memory_limit: int | None = None
    huge_pages: str | None = None
    clock: str | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """How the cores were used for a while in which this process slept.

    Attributes:
        stolen: the share of all cores' time that the hypervisor gave to others.
        busy_cores: that other processes used.
    """

    stolen: float
    busy_cores: float


def read_machine(root: Path = _ROOT, granted: frozenset[int] | None = None) -> MachineFacts:
    """Collect the facts; nothing raises where a file is absent.

    Args:
        root: under which the system's files are.
        granted: the cores of this process; by default those of its affinity.
    """
    cpus, granted = root / _CPUS, _affinity() if granted is None else granted
    return MachineFacts(
        model=parse_model(read_text(root / "proc/cpuinfo")) or platform.processor() or None,
        cores=len(granted) or granted_cores(),
        online=len(parse_list(read_text(cpus / "online"))) or os.cpu_count() or 1,
        sibling_sets=len({_siblings(cpus, core) for core in granted}) or granted_cores(),
        governor=read_text(cpus / "cpu0/cpufreq/scaling_governor"),
        turbo=_turbo(cpus),
        load=parse_load(read_text(root / "proc/loadavg")),
        quota_cores=quota_cores(root),
        throttled=throttled_share(root),
        memory_bytes=parse_memory(read_text(root / "proc/meminfo")),
        memory_limit=memory_limit_bytes(root),
        huge_pages=parse_choice(read_text(root / _HUGE_PAGES)),
        clock=read_text(root / _CLOCK),
    )


def watch(root: Path = _ROOT, sleep: Callable[[float], None] = time.sleep) -> Watched | None:
    """How the cores are used for half a second; None where the system does not tell."""
    before = parse_ticks(read_text(root / "proc/stat"))
    sleep(_WATCH_SECONDS)
    after = parse_ticks(read_text(root / "proc/stat"))
    spent = [b - a for a, b in zip(before, after, strict=False)]
    if len(spent) <= _STOLEN or sum(spent) <= 0:
        return None
    cores = len(parse_list(read_text(root / _CPUS / "online"))) or os.cpu_count() or 1
    busy = sum(spent) - spent[_IDLE] - spent[_WAITING] - spent[_STOLEN]
    return Watched(spent[_STOLEN] / sum(spent), busy / sum(spent) * cores)


def parse_model(text: str | None) -> str | None:
    """The first `model name` of `/proc/cpuinfo`."""
    for line in (text or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return None


def parse_list(text: str | None) -> frozenset[int]:
    """Read a list of cores such as `0-3,8`."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit() and (last or first).isdigit():
            found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def parse_load(text: str | None) -> float | None:
    """The average over one minute of `/proc/loadavg`."""
    try:
        return float((text or "").split()[0])
    except (IndexError, ValueError):
        return None


def parse_ticks(text: str | None) -> list[int]:
    """The columns user, nice, system, idle, iowait, irq, softirq and steal of `/proc/stat`."""
    words = (text or "").partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu" or not all(word.isdigit() for word in words[1:9]):
        return []
    return [int(word) for word in words[1:9]]


def parse_choice(text: str | None) -> str | None:
    """The word in brackets of `always [madvise] never`."""
    _, opened, rest = (text or "").partition("[")
    return rest.partition("]")[0] if opened else None


def _affinity() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def _siblings(cpus: Path, core: int) -> frozenset[int]:
    return parse_list(read_text(cpus / f"cpu{core}/topology/thread_siblings_list")) or frozenset({core})


def _turbo(cpus: Path) -> bool | None:
    """Intel's driver says whether turbo is off, the others whether boost is on."""
    switches: Mapping[Path, str] = {cpus / "intel_pstate/no_turbo": "0", cpus / "cpufreq/boost": "1"}
    for path, on in switches.items():
        if (text := read_text(path)) is not None:
            return text == on
    return None
