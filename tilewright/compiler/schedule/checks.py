"""Whether a primitive may be applied to a stage at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.te.tensor import ComputeOp

if TYPE_CHECKING:
    from tilewright.compiler.schedule.schedule import Schedule
    from tilewright.compiler.schedule.stage import Stage


def scheduled(schedule: Schedule, name: str, primitive: str) -> Stage:
    """The stage of that name, which has loops."""
    stage = schedule.stage(name)
    if not isinstance(stage.op, ComputeOp):
        raise ScheduleError(f"{primitive}: {name} is a placeholder; it has no loops (cache_read or pack it)")
    if stage.attach.kind == "inline":
        raise ScheduleError(f"{primitive}: {name} is inlined; it has no loops")
    return stage
