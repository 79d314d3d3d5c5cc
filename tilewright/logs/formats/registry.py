"""The formats of records by name, and how a file of each is recognised."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from tilewright.logs.errors import RecordError
from tilewright.logs.formats.autotvm import read_autotvm_records, write_autotvm
from tilewright.logs.formats.files import read_head, replace_file
from tilewright.logs.formats.importing import ImportReport, import_records
from tilewright.logs.formats.jsonl import read_jsonl, write_jsonl
from tilewright.logs.formats.kernel_tuner import read_cache, write_cache
from tilewright.logs.formats.lines import Line
from tilewright.logs.formats.t4 import read_t4, write_t4
from tilewright.logs.record import Record

if TYPE_CHECKING:
    from tilewright.logs.store import RecordStore


@dataclass(frozen=True, slots=True)
class Format:
    """How records are read and written; a document holds those of one workload."""

    title: str
    read: Callable[[str | os.PathLike[str]], Iterator[Line[Record]]]
    write: Callable[[Iterable[Record], IO[str]], int]
    is_document: bool = False


FORMATS = {
    "jsonl": Format("Tilewright's log", read_jsonl, write_jsonl),
    "autotvm": Format("AutoTVM's log", read_autotvm_records, write_autotvm),
    "t4": Format("T4 results", read_t4, write_t4, is_document=True),
    "kernel-tuner": Format("Kernel Tuner's cache", read_cache, write_cache, is_document=True),
}
SPACE = "space"  # tuners search it, but there is no record in it

# The names by which a JSON object is told; the first format all of whose names it has is its own.
_NAMES = {
    "jsonl": {"v", "crc"},
    "autotvm": {"input", "config", "result"},
    "kernel-tuner": {"tune_params_keys"},
    "t4": {"results"},
    SPACE: {"space", "trials"},
}
_OLD_AUTOTVM = {"i", "r", "v"}
_PICKLE = re.compile(rb"[^\t{]+(\t[A-Za-z0-9+/=.]+){4,}")


def detect_format(path: str | os.PathLike[str]) -> str:
    """The format of a file, from its contents: a key of `FORMATS`, or `SPACE`.

    Raises:
        RecordError: it is none of them.
    """
    head = read_head(path)
    if not head.strip():
        return "jsonl"
    for line in head.splitlines():
        found = _format_of_line(line)
        if found is not None:
            return found
    names = {name.decode("ascii", "replace") for name in re.findall(rb'"(\w+)"\s*:', head)}
    found = (
        _format_of_names(names - _NAMES["jsonl"] - _NAMES["autotvm"]) if head.lstrip()[:1] == b"{" else None
    )
    if found is None:
        raise RecordError(
            f"{os.fspath(path)} is in no format of records ({', '.join(FORMATS)}): is it the right file?"
        )
    return found


def import_file(store: "RecordStore", path: str | os.PathLike[str], name: str) -> ImportReport:
    """Add the records of a file in a format of `FORMATS` to a store.

    Raises:
        RecordError: the file as a whole cannot be read as this format.
    """
    if name == SPACE:
        raise RecordError(
            f"{os.fspath(path)} holds a recorded space, not records: `tilewright replay` takes it"
        )
    return import_records(store, FORMATS[name].read(path))


def export_file(records: Iterable[Record], path: str | os.PathLike[str], name: str) -> dict[str, int]:
    """Write records to files that replace old ones only when they are whole; the records in each.

    A document holds one workload: of several, each has a file of its own, with the operator and the start of
    the key in its name.
    """
    chosen = FORMATS[name]
    if not chosen.is_document:
        return {os.fspath(path): replace_file(path, lambda file: chosen.write(records, file))}
    groups = group_by_workload(records)
    if len(groups) <= 1:
        only = [record for group in groups.values() for record in group]
        return {os.fspath(path): replace_file(path, lambda file: chosen.write(only, file))}
    counts = {}
    for key, group in groups.items():
        place = _place_of(Path(path), group[0].workload.op, key)
        counts[os.fspath(place)] = _replace(place, group, chosen)
    return counts


def group_by_workload(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records by their key, each group in its order."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.key, []).append(record)
    return groups


def _replace(place: Path, group: list[Record], chosen: Format) -> int:
    return replace_file(place, lambda file: chosen.write(group, file))


def _place_of(path: Path, op: str, key: str) -> Path:
    """A file beside `path`; an operator's name from a foreign file cannot lead out of its folder."""
    first, dot, ending = path.name.partition(".")
    return path.with_name(f"{first}-{re.sub(r'[^A-Za-z0-9_]+', '_', op)[:40]}-{key[:8]}{dot}{ending}")


def _format_of_line(line: bytes) -> str | None:
    if _PICKLE.fullmatch(line.strip()):
        return "autotvm"
    try:
        data: Any = msgspec.json.decode(line)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    return _format_of_names(data.keys()) if isinstance(data, dict) else None


def _format_of_names(names: Iterable[str]) -> str | None:
    known = set(names)
    if known == _OLD_AUTOTVM:
        return "autotvm"
    return next((name for name, needed in _NAMES.items() if needed <= known), None)
