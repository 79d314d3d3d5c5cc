"""Trying what a record says in a child process, before it is built into the process that deploys it."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from msgspec import UNSET

from tilewright.compiler.errors import TilewrightError
from tilewright.logs.host import name_host
from tilewright.logs.record import Record, installed_versions
from tilewright.logs.verdicts import Verdict, keep_verdict, known_verdict

if TYPE_CHECKING:
    from tilewright.measure.measurer import Measurer
    from tilewright.templates.task import Task

_COMPILERS = ("tilewright", "llvmlite", "tvm")


def describe_origin(record: Record, task: "Task") -> str | None:
    """What sets a record apart from those that the code of today measured here; None for one of those."""
    known = installed_versions()
    made_by = [
        f"{name} {record.versions[name]}"
        for name in _COMPILERS
        if record.versions.get(name, known.get(name)) != known.get(name)
    ]
    if made_by:
        return f"made by {' and '.join(made_by)}"
    if record.template.source not in ("", task.template_hash):
        return "of another version of the template"
    if record.host not in (UNSET, name_host()):
        return "imported from another machine"
    return None


class Sandbox:
    """Tries records in child processes, which start with the first that has no verdict yet; a context."""

    def __init__(self) -> None:
        self._resources = ExitStack()
        self._measurer: Measurer | None = None

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def find_fault(self, record: Record, task: "Task") -> str | None:
        """What is wrong with a record's kernel here, in one line; None for a kernel that runs and is right.

        The kernel is built, run on random inputs and compared with the unscheduled program in a child, which
        may crash or hang without harm. What came of it is kept for other processes.
        """
        known = known_verdict(record, task)
        if known is not None:
            return known.fault
        try:
            fault = self._try(record, task)
        except (TilewrightError, OSError) as error:
            return f"it could not be tried: {error}"
        keep_verdict(record, task, Verdict(fault))
        return fault

    def _try(self, record: Record, task: "Task") -> str | None:
        from tilewright.measure.measurer import Measurer
        from tilewright.measure.result import MeasureInput
        from tilewright.measure.timing import TimingPlan

        program = task.instantiate(task.space.from_values(record.config))
        if self._measurer is None:
            plan = TimingPlan(slices=1, span_seconds=0.0)
            measurer = Measurer(task.target, task.threads, timing=plan, workers=1)
            self._measurer = self._resources.enter_context(measurer)
        (result,) = self._measurer.measure([MeasureInput(program, task.workload.key, 0, "compute")])
        if result.failure is None:
            return None
        return f"{result.failure.cause}: {result.failure.message}"
