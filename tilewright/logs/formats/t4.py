"""T4, results of auto-tuners in one JSON document: schema 1.0.0 as published and as Kernel Tuner writes it.

Expressions are never evaluated: there are none in results, and nothing else is read.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, Literal, NamedTuple, TypeVar

import msgspec

from tilewright.logs.errors import RecordError
from tilewright.logs.formats.checks import UNKNOWN_CPU, check_plain, foreign_record, parse_time
from tilewright.logs.formats.files import read_file, stem
from tilewright.logs.formats.lines import Line
from tilewright.logs.formats.recorded_space import RecordedSpace, Trial, options_space
from tilewright.logs.record import (
    OriginData,
    Record,
    TargetData,
    TemplateData,
    WorkloadData,
    digest,
    one_line,
)
from tilewright.measure.result import State

T = TypeVar("T")
FORMAT = "t4"
SCHEMA = "1.0.0"
Invalidity = Literal["timeout", "compile", "runtime", "correctness", "constraints", "correct"]
STATE_OF_INVALIDITY: Mapping[Invalidity, State] = {
    "correct": "ok",
    "timeout": "run_timeout",
    "compile": "compile_error",
    "runtime": "crash",
    "correctness": "wrong_result",
    "constraints": "invalid",
}
INVALIDITY_OF_STATE: Mapping[State, Invalidity] = {
    "ok": "correct",
    "slow": "correct",
    "invalid": "constraints",
    "compile_error": "compile",
    "compile_timeout": "timeout",
    "run_timeout": "timeout",
    "crash": "runtime",
    "wrong_result": "correctness",
    "out_of_memory": "runtime",
    "stale": "runtime",
}
SECONDS_OF_UNIT: Mapping[str, float] = {
    **dict.fromkeys(("s", "second", "seconds"), 1.0),
    **dict.fromkeys(("", "ms", "millisecond", "milliseconds", "miliseconds"), 1e-3),
    **dict.fromkeys(("us", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-9),
}
_UNIT = "milliseconds"
_COMPILATION = ("compilation_time", "compilation")  # the published schema's name, and Kernel Tuner's


class _Measurement(msgspec.Struct):
    name: str = ""
    value: Any = None
    unit: str = ""


class _Result(msgspec.Struct):
    configuration: dict[str, Any]
    times: dict[str, Any]
    invalidity: Invalidity
    correctness: int | float
    timestamp: str | None = None
    measurements: list[_Measurement] = []


class _Metadata(NamedTuple):
    timeunit: str
    workload: WorkloadData | None
    target: TargetData | None


class _Document(msgspec.Struct):
    results: list[msgspec.Raw]
    schema_version: str = SCHEMA
    metadata: Any = None


class _Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What our fields do not hold of a result: all of it but the configuration."""

    entry: dict[str, Any]
    timeunit: str


_entry_decoder = msgspec.json.Decoder(dict[str, Any])


def read_t4(path: str | os.PathLike[str]) -> Iterator[Line[Record]]:
    """The results of a document, numbered from 1, each a record or the reason why it is none.

    The operator is the name of the file unless the document names its workload, as ours do.

    Raises:
        RecordError: the document as a whole is none of T4.
    """
    document, metadata = _open(path)
    workload = metadata.workload or WorkloadData(stem(path), {})
    target = metadata.target or TargetData(UNKNOWN_CPU, "")
    if not target.features.startswith(FORMAT):  # no record of ours has such features
        facts = [target.features, metadata.timeunit, document.schema_version]
        target = msgspec.structs.replace(target, features=f"{FORMAT}-{digest(facts)[:16]}")
    for number, raw in enumerate(document.results, 1):
        try:
            yield Line(number, _record(raw, metadata.timeunit, workload, target))
        except RecordError as error:
            yield Line(number, None, str(error))


def read_space(path: str | os.PathLike[str]) -> RecordedSpace:
    """The recorded space of a document.

    Raises:
        RecordError: the document is none of T4, or none of its configurations ran.
    """
    document, metadata = _open(path)
    unit = SECONDS_OF_UNIT[metadata.timeunit]
    return options_space(stem(path), _trials(document, unit))


def write_t4(records: Iterable[Record], file: IO[str]) -> int:
    """Write the records of one workload as a document; how many there were."""
    count = 0
    for record in records:
        file.write(f"{_head(record)}" if count == 0 else ",\n")
        file.write(json.dumps(_entry(record), allow_nan=False))
        count += 1
    file.write("\n]}\n" if count else f'{{"schema_version": "{SCHEMA}", "results": []}}\n')
    return count


def _open(path: str | os.PathLike[str]) -> tuple[_Document, _Metadata]:
    name, data = os.fspath(path), read_file(path)
    try:
        document = msgspec.json.decode(data, type=_Document)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise RecordError(f"{name} is not a T4 document: {one_line(error)}") from None
    if document.schema_version.partition(".")[0] != SCHEMA.partition(".")[0]:
        raise RecordError(f"{name} is of T4's schema {document.schema_version[:40]}; {SCHEMA} is read")
    metadata = _metadata(document.metadata)
    if metadata.timeunit not in SECONDS_OF_UNIT:
        raise RecordError(f"{name}: the unit of time {metadata.timeunit[:40]!r} is unknown")
    return document, metadata


def _metadata(data: object) -> _Metadata:
    """What we read of the metadata; all else, and what is not as ours is, counts as absent."""
    found = data if isinstance(data, dict) else {}
    workload = _part(found, "workload", WorkloadData)
    if workload is not None:
        check_plain(workload.args)
    return _Metadata(_part(found, "timeunit", str) or _UNIT, workload, _part(found, "target", TargetData))


def _part(data: dict[str, Any], name: str, kind: type[T]) -> T | None:
    try:
        return msgspec.convert(data[name], kind)
    except (KeyError, msgspec.ValidationError):
        return None


def _decode(raw: msgspec.Raw) -> tuple[_Result, dict[str, Any]]:
    """A result, and all that is written of it."""
    try:
        entry = _entry_decoder.decode(raw)
        result = msgspec.convert(entry, _Result)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise RecordError(one_line(error)) from None
    check_plain(entry)
    return result, entry


def _record(raw: msgspec.Raw, timeunit: str, workload: WorkloadData, target: TargetData) -> Record:
    result, entry = _decode(raw)
    unit = SECONDS_OF_UNIT[timeunit]
    state = STATE_OF_INVALIDITY[result.invalidity]
    compilation = next((result.times[name] for name in _COMPILATION if name in result.times), 0)
    facts = _Facts({**entry, "configuration": None}, timeunit)
    return foreign_record(
        state,
        _runtimes(result, unit) if state == "ok" else (),
        workload=workload,
        template=TemplateData(workload.op),
        target=target,
        config=result.configuration,
        build_seconds=float(compilation) * unit if isinstance(compilation, int | float) else 0.0,
        error=None if state == "ok" else f"T4's invalidity {result.invalidity}",
        at=parse_time(result.timestamp),
        origin=OriginData(FORMAT, msgspec.to_builtins(facts)),
    )


def _runtimes(result: _Result, unit: float) -> list[float]:
    """The seconds of each run, else the one measured time."""
    runs = result.times.get("runtimes")
    if isinstance(runs, list) and runs:
        return [_number(run) * unit for run in runs]
    for measurement in result.measurements:
        if measurement.name == "time":
            return [_number(measurement.value) * SECONDS_OF_UNIT.get(measurement.unit or "-", unit)]
    raise RecordError("a correct result without runtimes and without a measured time")


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(f"the time {str(value)[:40]!r} is not a number")
    return value


def _trials(document: _Document, unit: float) -> Iterator[Trial]:
    for raw in document.results:
        try:
            result, _ = _decode(raw)
            costs = _runtimes(result, unit) if result.invalidity == "correct" else []
        except RecordError:
            continue
        yield result.configuration, sum(costs) / len(costs) if costs else None


def _head(record: Record) -> str:
    metadata = {
        "timeunit": _UNIT if _kept(record) is None else _facts(record).timeunit,
        "workload": msgspec.to_builtins(record.workload),
        "target": msgspec.to_builtins(record.target),
    }
    head = {"schema_version": SCHEMA, "metadata": metadata}
    return f'{json.dumps(head, allow_nan=False)[:-1]}, "results": [\n'


def _kept(record: Record) -> OriginData | None:
    return record.origin if record.origin is not None and record.origin.format == FORMAT else None


def _facts(record: Record) -> _Facts:
    assert record.origin is not None
    try:
        return msgspec.convert(record.origin.facts, _Facts)
    except msgspec.ValidationError as error:
        raise RecordError(f"trial {record.id}: its origin is not T4's: {error}") from None


def _entry(record: Record) -> dict[str, Any]:
    """The result that a record was made of, or one that says the same of a trial of ours."""
    if _kept(record) is not None:
        return {**_facts(record).entry, "configuration": record.config}
    unit = SECONDS_OF_UNIT[_UNIT]
    costs = record.costs or (() if record.seconds is None else (record.seconds,))
    invalidity = INVALIDITY_OF_STATE[record.state] if costs or record.state != "slow" else "timeout"
    times: dict[str, Any] = {_COMPILATION[0]: record.build_seconds / unit}
    times |= {"runtimes": [cost / unit for cost in costs]} if costs else {}
    value = record.state if record.seconds is None else record.seconds / unit
    return {
        "timestamp": record.at.isoformat(" "),
        "configuration": record.config,
        "times": {**times, "framework": 0.0, "search_algorithm": 0.0, "validation": 0.0},
        "invalidity": invalidity,
        "correctness": int(invalidity == "correct"),
        "measurements": [{"name": "time", "value": value, "unit": "ms"}],
        "objectives": ["time"],
    }
