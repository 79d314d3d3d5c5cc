"""The rules of ``prefetch``, ``storage_align`` and ``store_nontemporal``: what concerns memory, not loops."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.ir.loops import LoopKind
from tilewright.compiler.schedule import steps
from tilewright.compiler.schedule.checks import scheduled
from tilewright.compiler.schedule.stage import Ahead
from tilewright.compiler.te.expr import IterVar

if TYPE_CHECKING:
    from tilewright.compiler.schedule.schedule import Schedule

LEVELS = (1, 2, 3)  # of caches that a prefetch may bring something to


def prefetch(schedule: Schedule, step: steps.Prefetch) -> tuple[IterVar, ...]:
    """Carry out the step; whether the stage reads the tensor is known when it is lowered."""
    stage = scheduled(schedule, step.stage, "prefetch")
    axis = stage.loop(step.axis, "prefetch")
    schedule.stage(step.tensor)
    if step.offset < 0:
        raise ScheduleError(f"prefetch({step.tensor}, {axis.name}): the offset must be at least 0")
    old = stage.mark(axis)
    if old.kind is LoopKind.VECTORIZE:
        raise ScheduleError(
            f"prefetch({step.tensor}, {axis.name}): the loop is vectorized; choose a loop around it"
        )
    if step.level not in LEVELS:
        raise ScheduleError(
            f"prefetch({step.tensor}, {axis.name}): level={step.level} is no cache; choose one of "
            f"{', '.join(map(str, LEVELS))}"
        )
    over = schedule.stage(step.over_stage).loop(step.over, "prefetch") if step.over else None
    ahead = Ahead(step.tensor, step.offset, step.level, over)
    stage.marks[axis] = replace(old, prefetches=(*old.prefetches, ahead))
    return ()


def storage_align(schedule: Schedule, step: steps.StorageAlign) -> tuple[IterVar, ...]:
    """Carry out the step."""
    call = f"storage_align({step.stage}, {step.axis})"
    stage = schedule.stage(step.stage)
    if stage.name in [tensor.name for tensor in schedule.outputs] or not stage.op.axis:
        raise ScheduleError(
            f"{call}: {stage.name} is an argument, whose memory is the caller's; "
            "use it on a stage made by cache_read, pack or cache_write"
        )
    scheduled(schedule, step.stage, "storage_align")
    axis = stage.names.get(step.axis)
    if axis not in [*stage.op.axis]:
        axes = ", ".join(a.name for a in stage.op.axis)
        raise ScheduleError(f"{call}: take an axis of the tensor itself, one of {axes}")
    assert axis is not None
    if step.factor < 1 or not 0 <= step.offset < step.factor:
        raise ScheduleError(f"{call}: needs 0 <= offset < factor, not offset {step.offset} of {step.factor}")
    if stage.op.axis.index(axis) in dict(stage.layout):
        raise ScheduleError(f"{call}: the dimension is stored in tiles; align one that pack leaves whole")
    stage.aligns[axis] = (step.factor, step.offset)
    return ()


def store_nontemporal(schedule: Schedule, step: steps.StoreNontemporal) -> tuple[IterVar, ...]:
    """Carry out the step."""
    stage = scheduled(schedule, step.stage, "store_nontemporal")
    if stage.name not in [tensor.name for tensor in schedule.outputs]:
        raise ScheduleError(
            f"store_nontemporal: {stage.name} is no output of the schedule; what the program reads again "
            "belongs in the caches"
        )
    stage.nontemporal = True
    return ()
