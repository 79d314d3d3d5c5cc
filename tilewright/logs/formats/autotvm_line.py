"""A line of AutoTVM's log, version 0.2: read without running anything, and written as AutoTVM writes it."""

import json
import logging
import os
from collections.abc import Iterator
from typing import IO, Any, Literal

import msgspec

from tilewright.logs.errors import RecordError
from tilewright.logs.formats.checks import check_plain
from tilewright.logs.formats.lines import Line, read_lines
from tilewright.logs.record import MAXIMUM_LINE_BYTES, one_line

VERSION = 0.2
EntityKind = Literal["sp", "re", "an", "ot"]
_LAST_ERROR = 8
_PICKLE_TABS = 4
_OLD = (
    "version 0.1 of the format, which AutoTVM itself no longer reads; tune again, or convert it with TVM 0.6"
)
_PICKLE = "AutoTVM's pickle protocol: reading it would run code; write the log again with protocol 'json'"
_OWN = "a record of Tilewright, not of AutoTVM; its format is jsonl"

_logger = logging.getLogger(__name__)


class AutoTVMLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line, as AutoTVM means it.

    Attributes:
        target: as TVM prints it.
        task: the template's name.
        args: its arguments as plain JSON data; what is nested is in lists.
        kwargs: empty in what AutoTVM wrote.
        index: of the configuration in its space; a remark.
        code_hash: of the template.
        entity: `(name, kind, value)` of each knob, kind one of sp, re, an, ot.
        costs: seconds; `(1e9,)` of a failure.
        error_no: 0 for none.
        all_cost: seconds of the whole trial.
        timestamp: seconds since the epoch.
        version: of the format.
        tvm_version: what wrote it.
    """

    target: str
    task: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    index: int | None
    code_hash: str | None
    entity: tuple[tuple[str, str, Any], ...]
    costs: tuple[float, ...]
    error_no: int
    all_cost: float
    timestamp: float
    version: float = VERSION
    tvm_version: str


class _Config(msgspec.Struct):
    index: int | None
    code_hash: str | None
    entity: tuple[tuple[str, EntityKind, Any], ...]


class _Row(msgspec.Struct):
    # int | float: a plain float would make 1.0 of a 1, and the line would not come back as it was.
    input: tuple[str, str, tuple[Any, ...], dict[str, Any]]
    config: _Config
    result: tuple[tuple[int | float, ...], int, int | float, int | float]
    version: float
    tvm_version: str


class _Probe(msgspec.Struct):
    v: Any = None
    crc: Any = None


_row_decoder = msgspec.json.Decoder(_Row)
_probe_decoder = msgspec.json.Decoder(_Probe)


def parse_line(text: str | bytes) -> AutoTVMLine:
    """Decode one line strictly.

    Raises:
        RecordError: it is malformed, of another version, or of the pickle protocol.
    """
    line = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(line) > MAXIMUM_LINE_BYTES:
        raise RecordError(f"line of {len(line)} bytes is longer than {MAXIMUM_LINE_BYTES}")
    if line.strip().count(b"\t") >= _PICKLE_TABS and not line.lstrip().startswith(b"{"):
        raise RecordError(_PICKLE)
    try:
        row = _row_decoder.decode(line)
    except RecursionError:
        raise RecordError("nested too deeply") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise RecordError(_explain(line, error)) from None
    _check_row(row)
    target, task, args, kwargs = row.input
    costs, error_no, all_cost, timestamp = row.result
    return AutoTVMLine(
        target=target,
        task=task,
        args=args,
        kwargs=kwargs,
        index=row.config.index,
        code_hash=row.config.code_hash,
        entity=row.config.entity,
        costs=costs,
        error_no=error_no,
        all_cost=all_cost,
        timestamp=timestamp,
        version=row.version,
        tvm_version=row.tvm_version,
    )


def format_line(line: AutoTVMLine) -> str:
    """Encode as AutoTVM does, without the end of the line.

    Raises:
        RecordError: a part of it is not plain data, or not finite.
    """
    row = {
        "input": [line.target, line.task, line.args, line.kwargs],
        "config": {"index": line.index, "code_hash": line.code_hash, "entity": line.entity},
        "result": [line.costs, line.error_no, line.all_cost, line.timestamp],
        "version": line.version,
        "tvm_version": line.tvm_version,
    }
    try:
        return json.dumps(row, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"AutoTVM line of {line.task!r}: {error}") from None


def read_autotvm(source: str | os.PathLike[str] | IO[str] | IO[bytes]) -> Iterator[Line[AutoTVMLine]]:
    """The lines of a log, each a record or the reason why it is none.

    Empty lines and comments are left out; so are lines of version 0.1, with one warning for all of them.

    Args:
        source: a path or an open file.
    """
    warned = False
    for line in read_lines(source, parse_line, b"#"):
        if line.reason != _OLD:
            yield line
        elif not warned:
            warned = True
            _logger.warning("line %d and others like it are passed over: %s", line.number, _OLD)


def _explain(line: bytes, error: Exception) -> str:
    """Why a line is none of AutoTVM's version 0.2, as far as it can be told."""
    try:
        probe = _probe_decoder.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        probe = _Probe()
    if probe.v == 0.1:
        return _OLD
    if probe.v is not None and probe.crc is not None:
        return _OWN
    if b"NaN" in line or b"Infinity" in line:
        return "NaN and Infinity are not numbers of JSON"
    return one_line(error)


def _check_row(row: _Row) -> None:
    if row.version != VERSION:
        raise RecordError(f"version {row.version:g} of the format; only {VERSION} is read")
    if not row.input[0].strip() or not row.input[1]:
        raise RecordError("the target and the task must not be empty")
    if not 0 <= row.result[1] <= _LAST_ERROR:
        raise RecordError(f"error number {row.result[1]} is none of AutoTVM's 0 to {_LAST_ERROR}")
    for part in (row.input[2], row.input[3], row.config.index, row.result):
        check_plain(part)
    names = [name for name, _, _ in row.config.entity]
    if len(set(names)) < len(names):
        raise RecordError("a knob appears twice")
    for name, kind, value in row.config.entity:
        check_plain(value)
        if not _fits(kind, value):
            raise RecordError(f"knob {name!r} of kind {kind!r} cannot have the value {str(value)[:80]}")


def _fits(kind: EntityKind, value: object) -> bool:
    if kind == "ot":
        return True
    allowed = int | str if kind == "an" else int
    return isinstance(value, list) and all(
        isinstance(item, allowed) and not isinstance(item, bool) for item in value
    )
