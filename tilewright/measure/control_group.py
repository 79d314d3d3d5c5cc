"""The control group of this process, of either version: its quota of time, its limit of memory."""

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_MOUNT = Path("sys/fs/cgroup")
_ROOT = Path("/")
_UNLIMITED_BYTES = 1 << 60  # version 1 writes a number about 2**63 where there is no limit


def cpu_folders(root: Path | None = None) -> tuple[Path, ...]:
    """The folders of the groups that limit this process' processor time, its own first."""
    return folders("cpu", root)


def quota_cores(root: Path | None = None) -> float | None:
    """The processor time that the groups grant for each second; None where there is no limit."""
    quotas = [quota for folder in cpu_folders(root) if (quota := _quota(folder)) is not None]
    return min(quotas, default=None)


def throttled_share(root: Path | None = None) -> float | None:
    """The part of the periods so far in which a group was throttled; None where nobody counts."""
    shares = []
    for folder in cpu_folders(root):
        counts = parse_counts(read_text(folder / "cpu.stat"))
        if counts.get("nr_periods"):
            shares.append(counts.get("nr_throttled", 0) / counts["nr_periods"])
    return max(shares, default=None)


def memory_limit_bytes(root: Path | None = None) -> int | None:
    """The least limit of the group and those that it is part of; None without one."""
    limits = [
        parse_limit(read_text(folder / name))
        for folder in folders("memory", root)
        for name in ("memory.max", "memory.limit_in_bytes")
    ]
    return min((limit for limit in limits if limit is not None), default=None)


def out_of_memory_kills(root: Path | None = None) -> int:
    """How many processes the kernel has killed for lack of memory: in this group, or without one, at all."""
    counters = [
        folder / name
        for folder in folders("memory", root)
        for name in ("memory.events", "memory.oom_control")
    ]
    for path in (*counters, (root or _ROOT) / "proc/vmstat"):
        kills = parse_counts(read_text(path)).get("oom_kill")
        if kills is not None:
            return kills
    return 0


def parse_quota(text: str | None) -> float | None:
    """Read `cpu.max`: quota and period in microseconds, or `max` for none."""
    words = (text or "").split()
    if len(words) != 2 or not all(word.isdigit() for word in words) or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])


def parse_limit(text: str | None) -> int | None:
    """Read a limit in bytes; `max` is none."""
    if text is None or not text.isdigit() or int(text) >= _UNLIMITED_BYTES:
        return None
    return int(text)


def parse_counts(text: str | None) -> dict[str, int]:
    """Read lines of a name and a number."""
    pairs = (line.split() for line in (text or "").splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def read_text(path: Path) -> str | None:
    """A file of the system, without the blanks at its ends; None where it cannot be read."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


def _quota(folder: Path) -> float | None:
    second = parse_quota(read_text(folder / "cpu.max"))
    if second is not None:
        return second
    words = (read_text(folder / "cpu.cfs_quota_us"), read_text(folder / "cpu.cfs_period_us"))
    first = parse_quota(" ".join(word or "" for word in words))  # version 1 has -1 for none
    return None if first is None or math.isclose(first, 0) else first


def folders(controller: str, root: Path | None = None) -> tuple[Path, ...]:
    """The folders of the group of a controller and of those around it, innermost first.

    A container may see its group as the root, under the path that the group has outside.
    """
    found: dict[Path, None] = {}
    for mount, path in _places(root or _ROOT, controller):
        for part in (path, *path.parents):
            folder = mount / part.relative_to("/")
            if folder.is_dir():
                found[folder] = None
    return tuple(found)


def _places(root: Path, controller: str) -> Iterator[tuple[Path, PurePosixPath]]:
    """Where the hierarchies that may have the controller are, and the path of this process in each."""
    base = root / _MOUNT
    for line in (read_text(root / "proc/self/cgroup") or "0::/").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if not path.startswith("/") or ".." in path:
            path = "/"
        if controller in names.split(","):
            yield base / controller, PurePosixPath(path)
        elif number == "0" and not names and (base / "cgroup.controllers").exists():
            yield base, PurePosixPath(path)
