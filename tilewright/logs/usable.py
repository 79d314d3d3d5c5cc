"""The best of a task's records that can be used here: it fits the template and, if need be, was tried."""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tilewright.compiler.target import Target
from tilewright.logs.record import Record
from tilewright.logs.sandbox import Sandbox, describe_origin
from tilewright.templates.dispatch import Choice
from tilewright.templates.errors import ConfigError, SpaceError

if TYPE_CHECKING:
    from tilewright.templates.task import Task

_logger = logging.getLogger(__name__)
_TOLD = 3


def first_usable(records: Iterable[Record], task: "Task", verify: bool | None = None) -> Choice:
    """The first of records, the best first, that can be used; one warning names those that cannot.

    Args:
        records: of the task; there is at least one.
        task: what is to be built.
        verify: try each in a child process; by default those that were not made here by the code of today,
            where the task is for this machine.
    """
    faults: list[str] = []
    choice = None
    with Sandbox() as sandbox:
        for record in records:
            fault, choice = _judge(record, task, sandbox, verify)
            if fault is None:
                break
            faults.append(f"trial {record.id} {fault}")
    if not faults and choice is not None:
        return choice
    instead = "the default" if choice is None else f"trial {choice.record.id}"
    _logger.warning("%s: %s is used, since %s", task.workload, instead, "; ".join(faults))
    told = "; ".join(faults[:_TOLD])
    if choice is None:
        return Choice(None, f"no record of this key can be used: {told}")
    return Choice(choice.values, f"{choice.reason}; a better one is not used: {told}", choice.record)


def _judge(
    record: Record, task: "Task", sandbox: Sandbox, verify: bool | None
) -> tuple[str | None, Choice | None]:
    """What is wrong with a record here, or the choice of it."""
    reason = f"recorded at {record.at:%Y-%m-%d %H:%M}, {record.seconds:.3g} s"
    try:
        task.space.from_values(record.config)
    except (ConfigError, SpaceError) as error:
        return f"no longer fits the template: {error}", None
    origin = describe_origin(record, task)
    reason += f"; {origin}" if origin is not None else ""
    if verify is None:
        verify = origin is not None and task.target == Target.host()
    if verify:
        fault = sandbox.find_fault(record, task)
        if fault is not None:
            return f"is in quarantine{f', {origin}' if origin else ''}: {fault}", None
        reason += "; validated: it ran right in a child process here"
    return None, Choice(record.config, reason, record)
