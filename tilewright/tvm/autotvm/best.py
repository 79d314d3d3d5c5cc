"""The best lines of AutoTVM's logs, from whatever scripts pass for records."""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean
from typing import Any

from tilewright.compiler.errors import TargetError
from tilewright.logs.formats.autotvm import AutoTVMLine, read_autotvm
from tilewright.logs.record import plain
from tilewright.tvm.autotvm.lines import to_line
from tilewright.tvm.autotvm.measure.measure import MeasureInput
from tilewright.tvm.target import Target

_log = logging.getLogger(__name__)


def lines_of(records: Any) -> Iterator[AutoTVMLine]:
    """The lines of a path, an open file, a pair of input and result, or of several of these.

    Lines that cannot be read are named in a warning, and the rest is used.
    """
    if isinstance(records, tuple) and records and isinstance(records[0], MeasureInput):
        yield to_line(*records)
    elif isinstance(records, str | os.PathLike) or hasattr(records, "readline"):
        for line in read_autotvm(records):
            reason = line.reason if line.record is None else _foreign(line.record.target)
            if line.record is None or reason:
                _log.warning("%s, line %d is passed over: %s", records, line.number, reason)
            else:
                yield line.record
    elif isinstance(records, Iterable):
        for part in records:
            yield from lines_of(part)
    else:
        raise TypeError(f"records are a path, an open file, or pairs of input and result, not {records!r}")


def best_lines(lines: Iterable[AutoTVMLine]) -> dict[str, AutoTVMLine]:
    """The line of the lowest mean cost for each target and workload; failures never count."""
    best: dict[str, AutoTVMLine] = {}
    for line in lines:
        key = workload_key(line.target, line.task, line.args)
        if line.error_no == 0 and (key not in best or fmean(line.costs) < fmean(best[key].costs)):
            best[key] = line
    return best


def workload_key(target: str, task: str, args: Sequence[Any]) -> str:
    """What a look-up has to match."""
    return json.dumps([str(Target(target)), task, plain(list(args))])


def _foreign(target: str) -> str:
    try:
        Target(target)
    except TargetError as error:
        return str(error)
    return ""


__all__ = ["best_lines", "lines_of", "workload_key"]
