"""AutoTVM's log: its lines, and from them to records and back, exactly.

`parse_line` and `format_line` are inverse on what AutoTVM wrote, and so are `to_record` and `from_record`:
what the fields of a record do not hold of a line is kept in its `origin`.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

import msgspec

from tilewright.logs.errors import RecordError
from tilewright.logs.formats.autotvm_line import (
    AutoTVMLine,
    EntityKind,
    format_line,
    parse_line,
    read_autotvm,
)
from tilewright.logs.formats.checks import UNKNOWN_CPU, foreign_record
from tilewright.logs.formats.lines import Line, read_lines
from tilewright.logs.record import (
    Kind,
    OriginData,
    Record,
    TargetData,
    TemplateData,
    WorkloadData,
    digest,
    installed_versions,
    one_line,
    plain,
)
from tilewright.measure.result import State

if TYPE_CHECKING:
    from tilewright.templates.template import Template

__all__ = [
    "AutoTVMLine",
    "format_line",
    "from_record",
    "parse_line",
    "read_autotvm",
    "read_autotvm_records",
    "to_record",
    "write_autotvm",
]

FORMAT = "autotvm"
FAILURE_COSTS = (1e9,)
_OURS = "tilewright-"
STATE_OF_ERROR: tuple[State, ...] = (
    "ok",
    "invalid",
    "compile_error",  # on the host
    "compile_error",  # for the device
    "crash",
    "wrong_result",
    "compile_timeout",
    "run_timeout",
    "crash",  # of unknown cause
)
ERROR_OF_STATE: Mapping[State, int] = {
    "ok": 0,
    "slow": 0,
    "invalid": 1,
    "compile_error": 2,
    "crash": 4,
    "wrong_result": 5,
    "compile_timeout": 6,
    "run_timeout": 7,
    "out_of_memory": 4,
    "stale": 8,
}
_ERROR_NAMES = (
    *("NO_ERROR", "INSTANTIATION_ERROR", "COMPILE_HOST", "COMPILE_DEVICE", "RUNTIME_DEVICE"),
    *("WRONG_ANSWER", "BUILD_TIMEOUT", "RUN_TIMEOUT", "UNKNOWN_ERROR"),
)
_KINDS: Mapping[str, Kind] = {"sp": "split", "re": "reorder", "an": "annotate", "ot": "other"}
_ENTITY_KINDS: Mapping[Kind, EntityKind] = {"split": "sp", "reorder": "re", "annotate": "an", "other": "ot"}
_CPU = re.compile(r"""(?:^|\s)-mcpu(?:=|\s+)(\S+)|"mcpu"\s*:\s*"([^"]+)\"""")
_CORES = re.compile(r"""(?:^|\s)-num-cores(?:=|\s+)([1-9]\d{0,3})(?!\S)""")


class _Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What our fields do not hold of a line."""

    target: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    code_hash: str | None
    costs: tuple[int | float, ...]
    error_no: int
    all_cost: int | float
    timestamp: int | float
    tvm_version: str


def to_record(line: AutoTVMLine, template: "Template | None" = None) -> Record:
    """The record of a line; a hint and data for export, never in force here.

    The features of its target are a hash of the target's text, which no CPU of ours has.

    Args:
        line: what AutoTVM wrote.
        template: names the arguments; without it the one that is registered under the task's name does,
            else they are arg0, arg1 and so on.

    Raises:
        RecordError: no trial can have had this outcome.
    """
    try:
        state = STATE_OF_ERROR[line.error_no]
        facts: dict[str, Any] = {
            "workload": WorkloadData(line.task, _arguments(line, template)),
            "template": TemplateData(line.task, line.code_hash or ""),
            "target": _target(line.target),
            "config": {name: plain(value) for name, _, value in line.entity},
            "index": line.index,
            "error": f"AutoTVM's error {_ERROR_NAMES[line.error_no]}" if line.error_no else None,
            "versions": _versions(line.tvm_version),
            "at": datetime.fromtimestamp(line.timestamp, UTC),
            "kinds": {name: _KINDS[kind] for name, kind, _ in line.entity},
            "origin": _origin(line),
        }
    except (ValueError, OverflowError, OSError, TypeError, LookupError) as error:
        raise RecordError(one_line(error)) from None
    return foreign_record(state, line.costs, **facts)


def from_record(record: Record) -> AutoTVMLine:
    """The line of a record: the one it was made of, or one that says of our trial what such a line can.

    A failure has the costs of AutoTVM's failures. A `slow` trial has no error, and the one observation that
    stopped it, which is never the best. Where a record has no `kinds`, a list of integers is an order if it
    is a permutation, else a split.

    Raises:
        RecordError: the facts that were kept of the line are not AutoTVM's.
    """
    entity = tuple((name, _entity_kind(record, name), value) for name, value in record.config.items())
    facts = (
        _native_facts(record) if record.origin is None or record.origin.format != FORMAT else _kept(record)
    )
    return AutoTVMLine(
        target=facts.target,
        task=record.workload.op,
        args=facts.args,
        kwargs=facts.kwargs,
        index=record.index,
        code_hash=facts.code_hash,
        entity=entity,
        costs=facts.costs,
        error_no=facts.error_no,
        all_cost=facts.all_cost,
        timestamp=facts.timestamp,
        tvm_version=facts.tvm_version,
    )


def read_autotvm_records(path: str | os.PathLike[str]) -> Iterator[Line[Record]]:
    """The records of a log, and the reason of each line that is none; comments are left out."""
    return read_lines(path, lambda text: to_record(parse_line(text)), b"#")


def write_autotvm(records: Iterable[Record], file: IO[str]) -> int:
    """Write records to an open text file as lines of a log; how many there were."""
    count = 0
    for record in records:
        file.write(format_line(from_record(record)) + "\n")
        count += 1
    return count


def _versions(text: str) -> dict[str, str]:
    """What made a line: TVM, or what writes its own name in front of its version."""
    return {"tilewright": text.removeprefix(_OURS)} if text.startswith(_OURS) else {"tvm": text}


def _arguments(line: AutoTVMLine, template: "Template | None") -> dict[str, Any]:
    template = template or _registered(line.task)
    names = [f"arg{place}" for place in range(len(line.args))]
    if template is not None and len(template.parameters) >= len(line.args):
        names = [parameter.name for parameter in template.parameters[: len(line.args)]]
    twice = set(names) & set(line.kwargs)
    if twice:
        raise ValueError(f"the argument {min(twice)!r} is given twice")
    return {**dict(zip(names, plain(line.args), strict=True)), **plain(line.kwargs)}


def _registered(task: str) -> "Template | None":
    from tilewright.templates.registry import find_template, template_names

    # A name with a colon is a file to be run: never for what a log says.
    return find_template(task) if ":" not in task and task in template_names() else None


def _target(text: str) -> TargetData:
    cpu, cores = _CPU.search(text), _CORES.search(text)
    return TargetData(
        (cpu[1] or cpu[2]) if cpu else UNKNOWN_CPU,
        f"{FORMAT}-{digest(text)[:16]}",
        int(cores[1]) if cores else 1,
    )


def _origin(line: AutoTVMLine) -> OriginData:
    facts = _Facts(
        target=line.target,
        args=line.args,
        kwargs=line.kwargs,
        code_hash=line.code_hash,
        costs=line.costs,
        error_no=line.error_no,
        all_cost=line.all_cost,
        timestamp=line.timestamp,
        tvm_version=line.tvm_version,
    )
    return OriginData(FORMAT, plain(msgspec.to_builtins(facts)))


def _kept(record: Record) -> _Facts:
    assert record.origin is not None
    try:
        return msgspec.convert(record.origin.facts, _Facts)
    except msgspec.ValidationError as error:
        raise RecordError(f"trial {record.id}: its origin is not AutoTVM's: {error}") from None


def _native_facts(record: Record) -> _Facts:
    costs = record.costs or (() if record.seconds is None else (record.seconds,))
    is_cut = record.state == "slow" and not costs
    cpu = "-".join(record.target.cpu.split())
    version = record.versions.get("tilewright") or installed_versions().get("tilewright", "0")
    return _Facts(
        target=f"llvm -keys=cpu -mcpu={cpu} -num-cores={record.target.threads}",
        args=tuple(record.workload.args.values()),
        kwargs={},
        code_hash=record.template.source or None,
        costs=costs or FAILURE_COSTS,
        error_no=ERROR_OF_STATE["run_timeout" if is_cut else record.state],
        all_cost=record.build_seconds + sum(costs),
        timestamp=record.at.timestamp(),
        tvm_version=_OURS + version,
    )


def _entity_kind(record: Record, name: str) -> EntityKind:
    if record.kinds is not None:
        return _ENTITY_KINDS[record.kinds[name]]
    value = record.config[name]
    if not isinstance(value, list) or not value or not all(isinstance(item, int | str) for item in value):
        return "ot"
    if any(isinstance(item, bool) for item in value):
        return "ot"
    if any(isinstance(item, str) for item in value):
        return "an"
    return "re" if sorted(value) == list(range(len(value))) else "sp"
