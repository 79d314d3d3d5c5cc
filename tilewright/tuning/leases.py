"""Who tunes: the owner's name on leases, and giving back the leases of tuners that were killed."""

import hashlib
import os
import uuid
from pathlib import Path

from tilewright.logs.store import RecordStore

_PROC = Path("/proc")
_START_TIME = 19  # of the fields that follow the name in /proc/PID/stat


def name_owner() -> str:
    """A name for this run, from which others on this machine can tell whether its process lives."""
    pid = os.getpid()
    return f"{_machine()}:{pid}:{_start_time(pid)}:{uuid.uuid4().hex[:12]}"


def release_dead(store: RecordStore, key: str) -> int:
    """Give back the leases on a key that were held by processes which are gone; how many had no trial yet."""
    dead = [owner for owner in store.lease_owners(key) if is_dead(owner)]
    unfinished = sum(store.unfinished(key, owner) for owner in dead)
    for owner in dead:
        store.release(owner, key)
    return unfinished


def is_dead(owner: str) -> bool:
    """Whether the process that an owner's name tells of ran on this machine and is gone."""
    words = owner.split(":")
    if len(words) != 4 or words[0] != _machine() or not words[0] or not words[1].isdigit():
        return False
    return _start_time(int(words[1])) != words[2]


def _machine() -> str:
    """A name of this machine since it was started, and of the processes that it sees; empty if unknown."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text()
        namespace = os.readlink(_PROC / "self/ns/pid")
    except OSError:
        return ""
    return hashlib.sha256(f"{boot}{namespace}".encode()).hexdigest()[:16]


def _start_time(pid: int) -> str:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[_START_TIME]
