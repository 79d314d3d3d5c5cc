"""The memory limit of this process's control group, of either version, and how often it was enforced."""

from collections.abc import Iterator
from pathlib import Path

_MEMBERSHIP = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")
_EVENTS_OF_ALL = Path("/proc/vmstat")
_NO_LIMIT_BYTES = 1 << 60  # version 1 says so with a number that no machine has


def memory_limit_bytes() -> int | None:
    """The least limit of the group and those that it is part of; None without one."""
    found = [
        _number(folder / name) for folder in _folders() for name in ("memory.max", "memory.limit_in_bytes")
    ]
    return min((size for size in found if size is not None and size < _NO_LIMIT_BYTES), default=None)


def out_of_memory_kills() -> int:
    """How many processes the kernel has killed for lack of memory: in this group, or without one, at all."""
    for folder in _folders():
        for name in ("memory.events", "memory.oom_control"):
            count = _counter(folder / name)
            if count is not None:
                return count
    return _counter(_EVENTS_OF_ALL) or 0


def _folders() -> Iterator[Path]:
    """The folders of the group that counts this process's memory, and of those around it, innermost first."""
    for line in (_read(_MEMBERSHIP) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            mount = _MOUNT / "memory"
        elif controllers == "" and (_MOUNT / "cgroup.controllers").exists():
            mount = _MOUNT
        else:
            continue
        folder = mount / path.lstrip("/")
        # A container may see its group as the root, under the path that the group has outside.
        yield from (
            place for place in (folder, *folder.parents) if place.is_relative_to(mount) and place.is_dir()
        )


def _counter(path: Path) -> int | None:
    for line in (_read(path) or "").splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.isdigit():
            return int(value)
    return None


def _number(path: Path) -> int | None:
    text = _read(path)
    return int(text) if text is not None and text.isdigit() else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
