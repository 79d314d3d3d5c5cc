"""Trying what a record says in a child process, before it is built into the process that deploys it."""

from typing import TYPE_CHECKING

from tilewright.compiler.errors import TilewrightError
from tilewright.logs.record import Record, installed_versions

if TYPE_CHECKING:
    from tilewright.templates.task import Task

_COMPILERS = ("tilewright", "llvmlite")


def is_strange(record: Record, task: "Task") -> bool:
    """Whether other code than today's was measured: by another compiler, or of another template."""
    known = installed_versions()
    others = [name for name in _COMPILERS if record.versions.get(name, known.get(name)) != known.get(name)]
    return bool(others) or record.template.source not in ("", task.template_hash)


def find_fault(record: Record, task: "Task") -> str | None:
    """What is wrong with a record's kernel here, in one line; None for a kernel that runs and is right.

    The kernel is built, run on random inputs and compared with the unscheduled program in a child, which may
    crash or hang without harm.
    """
    from tilewright.measure.measurer import Measurer
    from tilewright.measure.result import MeasureInput
    from tilewright.measure.timing import TimingPlan

    plan = TimingPlan(slices=1, span_seconds=0.0)
    try:
        program = task.instantiate(task.space.from_values(record.config))
        with Measurer(task.target, task.threads, timing=plan, workers=1) as measurer:
            (result,) = measurer.measure([MeasureInput(program, task.workload.key, 0, "compute")])
    except TilewrightError as error:
        return str(error)
    if result.failure is None:
        return None
    return f"{result.failure.cause}: {result.failure.message}"
