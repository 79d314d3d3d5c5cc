"""The best lines of AutoTVM's logs, from whatever scripts pass for records."""

import bisect
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
_KEPT = 8


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


def ranked_lines(lines: Iterable[AutoTVMLine]) -> dict[str, list[AutoTVMLine]]:
    """The few lines of lowest mean cost for each target and workload, the lowest first; no failures."""
    ranked: dict[str, list[AutoTVMLine]] = {}
    for line in lines:
        if line.error_no == 0:
            known = ranked.setdefault(workload_key(line.target, line.task, line.args), [])
            bisect.insort(known, line, key=lambda one: fmean(one.costs))
            del known[_KEPT:]
    return ranked


def best_lines(lines: Iterable[AutoTVMLine]) -> dict[str, AutoTVMLine]:
    """The line of the lowest mean cost for each target and workload; failures never count."""
    return {key: ranked[0] for key, ranked in ranked_lines(lines).items()}


def workload_key(target: str, task: str, args: Sequence[Any]) -> str:
    """What a look-up has to match."""
    return json.dumps([str(Target(target)), task, plain(list(args))])


def _foreign(target: str) -> str:
    try:
        Target(target)
    except TargetError as error:
        return str(error)
    return ""


__all__ = ["best_lines", "lines_of", "ranked_lines", "workload_key"]
