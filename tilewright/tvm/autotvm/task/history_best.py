"""The best configurations of logs, in force."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from tilewright.logs.formats.autotvm import AutoTVMLine
from tilewright.templates.dispatch import Choice
from tilewright.templates.task import Task as Core
from tilewright.tvm.autotvm.best import best_lines, lines_of, workload_key
from tilewright.tvm.autotvm.lines import line_of
from tilewright.tvm.autotvm.task.definition import Task
from tilewright.tvm.autotvm.task.dispatcher import DispatchContext
from tilewright.tvm.autotvm.task.entity import ConfigEntity
from tilewright.tvm.target import Target


class ApplyHistoryBest(DispatchContext):
    """The best of records: of a path, an open file, pairs of input and result, or several of these.

    Only records of the very target that is in force are used.
    """

    def __init__(self, records: Any) -> None:
        super().__init__()
        self.best: dict[str, AutoTVMLine] = {}
        if records is not None:
            self.load(records)

    def load(self, records: Any) -> None:
        """Take over further records."""
        self.best = best_lines([*self.best.values(), *lines_of(records)])

    def update(self, target: Any, workload: Sequence[Any], cfg: ConfigEntity) -> None:
        """Prefer a configuration from now on."""
        line = line_of(Task(workload[0], workload[1:], target), cfg, (0.0,))
        self.best[workload_key(line.target, line.task, line.args)] = line

    def choose(self, task: Core) -> Choice | None:
        """The best configuration of the task for the target in force."""
        target = str(Target(Target.current() or "llvm"))
        args = list(task.workload.args.values())
        # A record may have left out arguments that have their defaults.
        for count in range(len(args), -1, -1):
            line = self.best.get(workload_key(target, task.workload.op, args[:count]))
            if line is not None:
                values = {name: value for name, _, value in line.entity}
                return Choice(values, f"a record of {fmean(line.costs):.3g} s", line)
        return None


__all__ = ["ApplyHistoryBest"]
