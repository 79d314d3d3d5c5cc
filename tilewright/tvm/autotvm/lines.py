"""Trials as lines of AutoTVM's log."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tilewright import __version__
from tilewright.logs.formats.autotvm import FAILURE_COSTS, AutoTVMLine
from tilewright.logs.record import plain

if TYPE_CHECKING:
    from tilewright.tvm.autotvm.measure.measure import MeasureInput, MeasureResult
    from tilewright.tvm.autotvm.task.definition import Task
    from tilewright.tvm.autotvm.task.entity import ConfigEntity


def line_of(
    task: "Task", config: "ConfigEntity", costs: Sequence[float], error_no: int = 0, *times: float
) -> AutoTVMLine:
    """The line of a trial; `times` are the seconds that it took and when it ended."""
    all_cost, timestamp = times or (0.0, 0.0)
    fields = config.to_json_dict()
    return AutoTVMLine(
        target=str(task.target),
        task=task.name,
        args=tuple(plain(list(task.args))),
        kwargs={},
        index=fields["index"],
        code_hash=fields["code_hash"],
        entity=tuple((name, kind, value) for name, kind, value in fields["entity"]),
        costs=tuple(costs),
        error_no=int(error_no),
        all_cost=all_cost,
        timestamp=timestamp,
        tvm_version=f"tilewright-{__version__}",
    )


def to_line(inp: "MeasureInput", result: "MeasureResult") -> AutoTVMLine:
    """The line of an input and its result."""
    costs = result.costs if result.error_no == 0 else FAILURE_COSTS
    return line_of(inp.task, inp.config, costs, result.error_no, result.all_cost, result.timestamp)


__all__ = ["line_of", "to_line"]
