"""Lowering: from a scheduled program to a loop nest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tilewright.compiler.ir.loops import LoopNest
from tilewright.compiler.lower.auto_unroll import auto_unroll
from tilewright.compiler.lower.conditions import hoist_conditions, peel_conditions
from tilewright.compiler.lower.inline import inline_stages
from tilewright.compiler.lower.nest import write_nest
from tilewright.compiler.lower.partition import partition_loops
from tilewright.compiler.lower.regions import infer_regions
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.schedule.schedule import check_arguments
from tilewright.compiler.te.depth import refused_depth
from tilewright.compiler.te.tensor import Tensor


def lower_schedule(
    schedule: Schedule,
    args: Sequence[Tensor],
    partition: bool = True,
    strides: Mapping[str, Sequence[int]] | None = None,
) -> LoopNest:
    """The loop nest of a scheduled program; ``args`` are its inputs and outputs, in the order of a call.

    Without ``partition`` the tails of loops are left in their bounds, as the schedule wrote them. ``strides``
    are those of arguments that are views.
    """
    check_arguments(schedule, args)
    with refused_depth(tensor.name for tensor in schedule.outputs):
        return _lower(schedule, args, partition, strides or {})


def _lower(
    schedule: Schedule, args: Sequence[Tensor], partition: bool, strides: Mapping[str, Sequence[int]]
) -> LoopNest:
    bodies = inline_stages(schedule)
    regions = infer_regions(schedule, bodies)
    nest = write_nest(schedule, regions, args, strides)
    nest.body = hoist_conditions(nest.body)
    if partition:
        nest = LoopNest(nest.inputs, nest.outputs, partition_loops(nest.body, regions.ranges))
    nest.body = auto_unroll(nest.body)
    nest.ranges = regions.ranges
    return peel_conditions(nest) if partition else nest


__all__ = ["lower_schedule"]
