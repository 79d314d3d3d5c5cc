"""What came of trying records here, kept between processes beside the cache of machine code."""

import contextlib
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tilewright.compiler.cache import cache_directory
from tilewright.logs.host import name_host
from tilewright.logs.record import Record, digest, installed_versions

if TYPE_CHECKING:
    from tilewright.templates.task import Task

SUFFIX = ".verdict"
_log = logging.getLogger(__name__)


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is wrong with a record's kernel, or nothing."""

    fault: str | None


def known_verdict(record: Record, task: "Task") -> Verdict | None:
    """What came of trying the record with the code and on the machine of today."""
    path = _place(record, task)
    if path is None:
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Verdict)
    except (OSError, msgspec.MsgspecError):
        return None


def keep_verdict(record: Record, task: "Task", verdict: Verdict) -> None:
    """Keep what came of trying the record, where there is a place for it."""
    path = _place(record, task)
    if path is None:
        return
    name = ""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(verdict))
        os.replace(name, path)
    except OSError as error:
        _log.debug("no verdict was kept: %s", error)
        with contextlib.suppress(OSError):
            os.unlink(name)


def _place(record: Record, task: "Task") -> Path | None:
    directory = cache_directory()
    if directory is None:
        return None
    target = task.target
    here = [name_host(), target.cpu, target.feature_hash, task.threads, dict(installed_versions())]
    return directory / (digest([record.id, record.crc, task.template_hash, here]) + SUFFIX)
