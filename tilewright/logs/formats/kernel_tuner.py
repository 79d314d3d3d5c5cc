"""Cache files of Kernel Tuner: a JSON object with one entry a line, left unclosed until the run ends.

An unclosed file is read line by line, so that a torn line costs that line only.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

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

FORMAT = "kernel-tuner"
STATE_OF_ERROR: Mapping[str, State] = {
    "InvalidConfig": "invalid",
    "CompilationFailedConfig": "compile_error",
    "RuntimeFailedConfig": "crash",
}
ERROR_OF_STATE: Mapping[State, str] = {
    "invalid": "InvalidConfig",
    "compile_error": "CompilationFailedConfig",
    "compile_timeout": "CompilationFailedConfig",
    "run_timeout": "RuntimeFailedConfig",
    "crash": "RuntimeFailedConfig",
    "wrong_result": "RuntimeFailedConfig",
    "out_of_memory": "RuntimeFailedConfig",
    "stale": "RuntimeFailedConfig",
    "ok": "RuntimeFailedConfig",  # for completeness: it has a time, and so has nearly every slow one
    "slow": "RuntimeFailedConfig",
}
_MILLISECOND = 1e-3
_FAILED_TIME = 1e19  # early versions wrote 1e20 for whatever failed
_ENTRIES = re.compile(rb'"cache"\s*:\s*\{')
_PHASES = ("compile_time", "verification_time", "benchmark_time", "strategy_time", "framework_time")


class _Header(msgspec.Struct):
    tune_params_keys: list[str]
    kernel_name: str = ""
    device_name: str = ""
    problem_size: Any = None
    tune_params: dict[str, list[Any]] = {}
    objective: Any = "time"


class _Cache(_Header, kw_only=True):
    cache: dict[str, msgspec.Raw]


class _Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What our fields do not hold of an entry and of the head of its file."""

    entry: dict[str, Any]
    tune_params: dict[str, list[Any]]
    objective: Any


_Entries = list[tuple[int, dict[str, Any] | str]]


def read_cache(path: str | os.PathLike[str]) -> Iterator[Line[Record]]:
    """The entries of a cache file, numbered from 1, each a record or the reason why it is none.

    Raises:
        RecordError: the file has not the head of a cache file.
    """
    header, entries = _open(path)
    problem = header.problem_size
    workload = WorkloadData(
        header.kernel_name or stem(path), {} if problem is None else {"problem_size": problem}
    )
    features = f"{FORMAT}-{digest([header.device_name, header.tune_params_keys])[:16]}"
    target = TargetData(header.device_name or UNKNOWN_CPU, features)
    for number, entry in entries:
        try:
            yield Line(number, _record(entry, header, workload, target))
        except RecordError as error:
            yield Line(number, None, str(error))


def read_space(path: str | os.PathLike[str]) -> RecordedSpace:
    """The recorded space of a cache file.

    Raises:
        RecordError: the file has not the head of a cache file, or none of its configurations ran.
    """
    header, entries = _open(path)
    values = {name: header.tune_params.get(name, []) for name in header.tune_params_keys}
    return options_space(stem(path), _trials(header, entries), values)


def write_cache(records: Iterable[Record], file: IO[str]) -> int:
    """Write the records of one workload as a closed cache file; how many entries there are.

    The file can hold one entry a configuration: of several attempts, the best.
    """
    best: dict[str, Record] = {}
    for record in records:
        name = _entry_name(record)
        if name not in best or _rank(record) < _rank(best[name]):
            best[name] = record
    first = next(iter(best.values()), None)
    if first is None:
        return 0
    head = json.dumps(_head(first, list(best.values())), allow_nan=False, indent="")
    file.write(head.removesuffix("\n}") + ',\n"cache": {\n')
    for place, (name, record) in enumerate(best.items()):
        file.write(("" if place == 0 else ",\n") + json.dumps({name: _entry(record)}, allow_nan=False)[1:-1])
    file.write("}\n}\n")
    return len(best)


def _open(path: str | os.PathLike[str]) -> tuple[_Header, _Entries]:
    data = read_file(path)
    try:
        cache = msgspec.json.decode(data, type=_Cache)
        check_plain([cache.problem_size, cache.tune_params, cache.objective])
    except (msgspec.ValidationError, RecordError) as error:
        raise _not_a_cache(path, error) from None
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return _repair(path, data)
    return cache, [(place, _decode(raw)) for place, raw in enumerate(cache.cache.values(), 1)]


def _repair(path: str | os.PathLike[str], data: bytearray) -> tuple[_Header, _Entries]:
    """Read what is no whole JSON: the head, then entry by entry."""
    found = _ENTRIES.search(data)
    try:
        header = msgspec.json.decode(data[: found.end()] + b"}}" if found else data, type=_Header)
        check_plain([header.problem_size, header.tune_params, header.objective])
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise _not_a_cache(path, error) from None
    assert found is not None  # else the whole had been JSON
    lines = (line.strip() for line in data[found.end() :].splitlines())
    entries = [line for line in lines if line.strip(b"},")]
    return header, [(place, _decode_line(line)) for place, line in enumerate(entries, 1)]


def _not_a_cache(path: str | os.PathLike[str], error: Exception) -> RecordError:
    return RecordError(f"{os.fspath(path)} is not a cache file of Kernel Tuner: {one_line(error)}")


def _decode_line(line: bytearray) -> dict[str, Any] | str:
    """The entry of `"name": {...},`, which the end of the file may follow at once; or why it is none."""
    text = line.removesuffix(b",")
    for closing in (b"", b"}", b"}}"):
        if text.endswith(closing):
            body = text[: len(text) - len(closing)]
            try:
                (raw,) = msgspec.json.decode(b"{" + body + b"}", type=dict[str, msgspec.Raw]).values()
            except (msgspec.MsgspecError, RecursionError, ValueError):
                continue
            return _decode(raw)
    return "the line is torn or malformed"


def _decode(raw: msgspec.Raw) -> dict[str, Any] | str:
    try:
        entry = msgspec.json.decode(raw, type=dict[str, Any])
        check_plain(entry)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        return one_line(error)
    return entry


def _record(
    entry: dict[str, Any] | str, header: _Header, workload: WorkloadData, target: TargetData
) -> Record:
    if isinstance(entry, str):
        raise RecordError(entry)
    config = _config(entry, header)
    state, seconds = _outcome(entry)
    facts = _Facts(_without(entry, config), header.tune_params, header.objective)
    build = entry.get("compile_time", 0)
    return foreign_record(
        state,
        _costs(entry, seconds),
        seconds,
        workload=workload,
        template=TemplateData(workload.op),
        target=target,
        config=config,
        build_seconds=build * _MILLISECOND if isinstance(build, int | float) else 0.0,
        error=None if state == "ok" else f"Kernel Tuner's {str(entry['time'])[:40]}",
        at=parse_time(_text(entry.get("timestamp"))),
        origin=OriginData(FORMAT, msgspec.to_builtins(facts)),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _config(entry: dict[str, Any], header: _Header) -> dict[str, Any]:
    missing = [name for name in header.tune_params_keys if name not in entry]
    if missing:
        raise RecordError(f"the value of {missing[0]!r} is missing")
    return {name: entry[name] for name in header.tune_params_keys}


def _outcome(entry: dict[str, Any]) -> tuple[State, float | None]:
    """How an entry ended, and its seconds."""
    time = entry.get("time")
    if isinstance(time, str) and time in STATE_OF_ERROR:
        return STATE_OF_ERROR[time], None
    if isinstance(time, bool) or not isinstance(time, int | float):
        raise RecordError(f"the time {str(time)[:40]!r} is neither a number nor a failure")
    return ("invalid", None) if time >= _FAILED_TIME else ("ok", time * _MILLISECOND)


def _costs(entry: dict[str, Any], seconds: float | None) -> list[float]:
    runs = entry.get("times")
    if isinstance(runs, list) and runs and all(isinstance(run, int | float) for run in runs):
        return [run * _MILLISECOND for run in runs]
    return [] if seconds is None else [seconds]


def _without(entry: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in config}


def _trials(header: _Header, entries: _Entries) -> Iterator[Trial]:
    for _, entry in entries:
        try:
            if not isinstance(entry, str):
                yield _config(entry, header), _outcome(entry)[1]
        except RecordError:
            continue


def _kept(record: Record) -> _Facts | None:
    if record.origin is None or record.origin.format != FORMAT:
        return None
    try:
        return msgspec.convert(record.origin.facts, _Facts)
    except msgspec.ValidationError as error:
        raise RecordError(f"trial {record.id}: its origin is not Kernel Tuner's: {error}") from None


def _head(first: Record, records: Sequence[Record]) -> dict[str, Any]:
    facts = _kept(first)
    args = first.workload.args
    problem = args["problem_size"] if set(args) == {"problem_size"} else json.dumps(args)
    values: dict[str, list[Any]] = {name: [] for name in first.config}
    for record in records:
        for name, value in record.config.items():
            if value not in values.setdefault(name, []):
                values[name].append(value)
    return {
        "device_name": first.target.cpu,
        "kernel_name": first.workload.op,
        "problem_size": problem,
        "tune_params_keys": list(first.config),
        "tune_params": values if facts is None else facts.tune_params,
        "objective": "time" if facts is None else facts.objective,
    }


def _entry_name(record: Record) -> str:
    return ",".join(str(value) for value in record.config.values())


def _entry(record: Record) -> dict[str, Any]:
    facts = _kept(record)
    if facts is not None:
        return {**record.config, **facts.entry}
    costs = record.costs or (() if record.seconds is None else (record.seconds,))
    is_timed = record.seconds is not None
    time = record.seconds / _MILLISECOND if record.seconds is not None else ERROR_OF_STATE[record.state]
    return {
        **record.config,
        "time": time,
        **({"times": [cost / _MILLISECOND for cost in costs]} if is_timed else {}),
        **dict.fromkeys(_PHASES, 0.0),
        "compile_time": record.build_seconds / _MILLISECOND,
        "timestamp": record.at.isoformat(" "),
    }


def _rank(record: Record) -> tuple[bool, float]:
    return record.state != "ok", record.seconds or 0.0
