"""Software pipelining of a loop: in an iteration each group of stages computes another iteration's part.

::

    for i in range(n):           ->  for i in range(n + 2):
        most = max over row i            y = powers * share     of row i - 2
        powers = exp(x - most)           powers = exp(x - most) of row i - 1
        share = 1 / sum(powers)          share = 1 / sum(powers)
        y = powers * share               most = max over row    i

Later groups come first, so that what one hands to the next needs no second buffer. Before the first and after
the last iteration a group repeats the nearest one that there is: what it computes then is computed again, or
was computed before.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.ir.loops import Buffer, For, Stmt, allocate, block
from tilewright.compiler.ir.visit import substitute_stmt
from tilewright.compiler.lower.fuse_loops import FUSE_LOOPS
from tilewright.compiler.schedule import Stage
from tilewright.compiler.te.expr import Const, Expr, IterVar, binary, const
from tilewright.compiler.te.tensor import ComputeOp, loads


def write_pipeline(loop: For, groups: Sequence[Stmt], buffers: Sequence[Buffer]) -> Stmt:
    """The loop over groups, the first of which is computed first; ``buffers`` are what they hand on.

    Raises:
        ScheduleError: the loop does not run from 0 to a constant.
    """
    if not (isinstance(loop.begin, Const) and loop.begin.value == 0 and isinstance(loop.end, Const)):
        raise ScheduleError(
            f"software_pipeline({loop.var.name}): the loop has a tail; split with tail='shift_inwards'"
        )
    count = int(loop.end.value)
    parts: list[Stmt] = []
    for late, group in enumerate(groups):
        place: Expr = loop.var - late if late else loop.var
        inside = binary("min", binary("max", place, const(0)), const(count - 1))
        parts.insert(0, substitute_stmt(group, {loop.var: inside}))
    steps = const(count + len(groups) - 1)
    result = For(loop.var, const(0), steps, block(parts), pragmas=((FUSE_LOOPS, 1),))
    return allocate(buffers, result)


def check_groups(stage: Stage, axis: IterVar, groups: Sequence[Sequence[Stage]]) -> None:
    """Refuse groups of which one reads what was computed more than one group before it, or after it.

    Raises:
        ScheduleError: they are such.
    """
    owners = {member.name: number for number, group in enumerate(groups) for member in group}
    for number, group in enumerate([*groups, [stage]]):
        for reader in group:
            for source in _sources(reader):
                made = owners.get(source)
                if made is not None and not 0 <= number - made <= 1:
                    raise ScheduleError(
                        f"software_pipeline({axis.name}): {reader.name} reads {source}, which must be in "
                        "its own group or in the one before; copy it there"
                    )


def _sources(stage: Stage) -> set[str]:
    return {load.source.name for load in loads(stage.op.body)} if isinstance(stage.op, ComputeOp) else set()
