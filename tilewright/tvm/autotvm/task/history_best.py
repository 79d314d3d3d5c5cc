"""The best configurations of logs, in force."""

import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from tilewright.logs.errors import RecordError
from tilewright.logs.formats.autotvm import AutoTVMLine, to_record
from tilewright.logs.record import Record
from tilewright.logs.usable import first_usable
from tilewright.measure.result import SHORTEST_SECONDS
from tilewright.templates.dispatch import Choice
from tilewright.templates.task import Task as Core
from tilewright.tvm.autotvm.best import lines_of, ranked_lines, workload_key
from tilewright.tvm.autotvm.lines import line_of
from tilewright.tvm.autotvm.task.definition import Task
from tilewright.tvm.autotvm.task.dispatcher import DispatchContext
from tilewright.tvm.autotvm.task.entity import ConfigEntity
from tilewright.tvm.target import Target

_log = logging.getLogger(__name__)


class ApplyHistoryBest(DispatchContext):
    """The best of records: of a path, an open file, pairs of input and result, or several of these.

    Only records of the very target that is in force are used. What another program or another version made is
    tried in a child process first, as `apply_best` does.
    """

    def __init__(self, records: Any) -> None:
        super().__init__()
        self.best: dict[str, list[AutoTVMLine]] = {}
        self._choices: dict[tuple[str, Core, str], Choice | None] = {}
        if records is not None:
            self.load(records)

    def load(self, records: Any) -> None:
        """Take over further records."""
        self.best = ranked_lines(chain(*self.best.values(), lines_of(records)))
        self._choices = {}

    def update(self, target: Any, workload: Sequence[Any], cfg: ConfigEntity) -> None:
        """Prefer a configuration from now on."""
        line = line_of(Task(workload[0], workload[1:], target), cfg, (SHORTEST_SECONDS,))
        self.best.setdefault(workload_key(line.target, line.task, line.args), []).insert(0, line)
        self._choices = {}

    def choose(self, task: Core) -> Choice | None:
        """The best configuration of the task for the target in force that can be used."""
        target = str(Target(Target.current() or "llvm"))
        args = list(task.workload.args.values())
        # A record may have left out arguments that have their defaults.
        for count in range(len(args), -1, -1):
            key = workload_key(target, task.workload.op, args[:count])
            if key in self.best:
                asked = (key, task, task.template_hash)
                if asked not in self._choices:
                    records = list(_records(self.best[key], task))
                    self._choices[asked] = first_usable(records, task) if records else None
                return self._choices[asked]
        return None


def _records(lines: Sequence[AutoTVMLine], task: Core) -> Iterator[Record]:
    for line in lines:
        try:
            yield to_record(line, task.template)
        except RecordError as error:
            _log.warning("%s: a record is passed over: %s", task.workload, error)


__all__ = ["ApplyHistoryBest"]
