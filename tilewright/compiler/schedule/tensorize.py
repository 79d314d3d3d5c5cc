"""The rule of ``tensorize``; whether the loops fit the intrinsic is found when they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.schedule import steps
from tilewright.compiler.schedule.checks import scheduled
from tilewright.compiler.te.expr import IterVar
from tilewright.compiler.te.tensor_intrin import can_name

if TYPE_CHECKING:
    from tilewright.compiler.schedule.schedule import Schedule


def tensorize(schedule: Schedule, step: steps.Tensorize) -> tuple[IterVar, ...]:
    """Carry out the step."""
    stage = scheduled(schedule, step.stage, "tensorize")
    axis = stage.loop(step.axis, "tensorize")
    if not can_name(step.intrin.name):
        raise ScheduleError(f"tensorize({axis.name}): no function can be named {step.intrin.name!r}")
    if stage.tensorized is not None:
        raise ScheduleError(
            f"tensorize({axis.name}): {stage.name} is tensorized at {stage.tensorized[0].name} already"
        )
    stage.tensorized = (axis, step.intrin)
    return ()
