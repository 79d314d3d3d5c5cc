"""`autotvm.record`: logs, as objects and as files."""

import argparse
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from tilewright.logs.errors import RecordError
from tilewright.logs.formats.autotvm import AutoTVMLine, format_line, parse_line
from tilewright.tvm.autotvm.best import best_lines, lines_of, workload_key
from tilewright.tvm.autotvm.lines import to_line
from tilewright.tvm.autotvm.measure.measure import MeasureInput, MeasureResult
from tilewright.tvm.autotvm.task.definition import Task
from tilewright.tvm.autotvm.task.entity import ConfigEntity

Pair = tuple[MeasureInput, MeasureResult]


def measure_str_key(inp: MeasureInput, include_config: bool = True) -> str:
    """A text for equal targets, tasks, arguments and, by default, configurations."""
    config = f"{inp.config.code_hash} {inp.config}" if include_config else ""
    return workload_key(str(inp.target), inp.task.name, inp.task.args) + config


def encode(inp: MeasureInput, result: MeasureResult, protocol: str = "json") -> str:
    """A trial as a line of the log."""
    if protocol != "json":
        raise RecordError(f"protocol {protocol!r}: only 'json' is written; reading a pickle would run code")
    return format_line(to_line(inp, result))


def decode(row: str, protocol: str = "json") -> Pair | None:
    """The trial of a line, None for a comment; its template need not be registered."""
    if protocol != "json":
        raise RecordError(f"protocol {protocol!r}: only 'json' is read; reading a pickle would run code")
    return None if not row.strip() or row.startswith("#") else to_pair(parse_line(row))


def load_from_buffer(file: IO[str]) -> Iterator[Pair]:
    """The trials of an open log; what cannot be read is named in a warning."""
    return map(to_pair, lines_of(file))


def load_from_file(filepath: str | os.PathLike[str]) -> Iterator[Pair]:
    """The trials of a log."""
    return map(to_pair, lines_of(filepath))


def pick_best(in_file: Any, out_file: str | os.PathLike[str] | IO[str]) -> None:
    """Write the best line of each target and workload; a file that is there already takes part."""
    if isinstance(out_file, str | os.PathLike):
        known = [out_file] if Path(out_file).exists() else []
        text = _text(best_lines(lines_of([in_file, *known])).values())
        Path(out_file).write_text(text, encoding="utf-8")
    else:
        out_file.write(_text(best_lines(lines_of(in_file)).values()))


def to_pair(line: AutoTVMLine) -> Pair:
    """The trial of a line."""
    fields = {"index": line.index, "code_hash": line.code_hash, "entity": line.entity}
    task = Task(line.task, line.args, line.target)
    result = MeasureResult(line.costs, line.error_no, line.all_cost, line.timestamp)
    return MeasureInput(task.target, task, ConfigEntity.from_json_dict(fields)), result


def _text(lines: Iterable[AutoTVMLine]) -> str:
    return "".join(format_line(line) + "\n" for line in lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Pick the best lines of a log.")
    parser.add_argument("--mode", choices=["pick"], default="pick")
    parser.add_argument("--i", required=True, help="the log")
    parser.add_argument("--o", help="the file of the best lines, by default LOG.best.log")
    given = parser.parse_args()
    pick_best(given.i, given.o or f"{given.i}.best.log")
