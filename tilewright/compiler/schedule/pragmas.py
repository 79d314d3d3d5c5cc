"""The rule of ``pragma``: what there is, and which values it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.schedule import steps
from tilewright.compiler.schedule.checks import scheduled
from tilewright.compiler.te.expr import IterVar

if TYPE_CHECKING:
    from tilewright.compiler.schedule.schedule import Schedule

NUMBERS = ("auto_unroll_max_step", "auto_unroll_max_depth", "auto_unroll_max_extent")
SWITCHES = ("unroll_explicit", "fuse_loops")
# Hints to a thread pool that is not ours, and to a debugger: nothing follows from them.
WITHOUT_EFFECT = (
    "parallel_launch_point", "parallel_stride_pattern", "parallel_barrier_when_finish", "debug_skip_region",
)  # fmt: skip
FOREIGN_CODE = ("import_llvm", "import_c")


def pragma(schedule: Schedule, step: steps.Pragma) -> tuple[IterVar, ...]:
    """Carry out the step."""
    stage = scheduled(schedule, step.stage, "pragma")
    axis = stage.loop(step.axis, "pragma")
    if step.pragma_type in WITHOUT_EFFECT:
        return ()
    value = _value(step)
    old = stage.mark(axis)
    others = tuple(item for item in old.pragmas if item[0] != step.pragma_type)
    stage.marks[axis] = replace(old, pragmas=(*others, (step.pragma_type, value)))
    return ()


def _value(step: steps.Pragma) -> int:
    name, value = step.pragma_type, step.pragma_value
    if name in FOREIGN_CODE:
        raise ScheduleError(
            f"pragma({step.axis}, {name}): use tensorize with an intrinsic from te.decl_tensor_intrin"
        )
    if name not in NUMBERS + SWITCHES:
        known = ", ".join(NUMBERS + SWITCHES + WITHOUT_EFFECT)
        raise ScheduleError(f"pragma({step.axis}, {name}): there is no such pragma; there are {known}")
    if name in SWITCHES and value is None:
        return 1
    if name in SWITCHES and value not in (0, 1):
        raise ScheduleError(f"pragma({step.axis}, {name}): the value must be True or False, not {value!r}")
    if not isinstance(value, int) or (isinstance(value, bool) and name in NUMBERS) or value < 0:
        raise ScheduleError(
            f"pragma({step.axis}, {name}): the value must be an integer of at least 0, not {value!r}"
        )
    return int(value)
