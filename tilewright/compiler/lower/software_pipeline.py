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

A call that lets others run meanwhile (`TensorIntrin.turns`) does not have to come to an end first. It then
writes two buffers in turn, and nothing is computed twice::

    for p in range(n):           ->  sums[0] = call(0)
        sums = call(p)               for p in range(n - 1):
        for i: y[p, i] = sums[i]         sums[(p + 1) % 2] = call(p + 1), meanwhile:
                                             for i: y[p, i] = sums[p % 2][i]
                                     for i: y[n - 1, i] = sums[(n - 1) % 2][i]
"""

from __future__ import annotations

from collections.abc import Sequence

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.ir.loops import (
    Buffer,
    For,
    Intrinsic,
    IntrinsicArgument,
    Stmt,
    Store,
    allocate,
    block,
    constant_extent,
)
from tilewright.compiler.ir.visit import map_stmt, substitute_stmt, transform
from tilewright.compiler.lower.fuse_loops import FUSE_LOOPS
from tilewright.compiler.schedule import Stage
from tilewright.compiler.te.expr import Expr, IterVar, Load, binary, const
from tilewright.compiler.te.tensor import ComputeOp, loads


def write_pipeline(loop: For, groups: Sequence[Stmt], buffers: Sequence[Buffer]) -> Stmt:
    """The loop over groups, the first of which is computed first; ``buffers`` are what they hand on.

    Raises:
        ScheduleError: the loop does not run from 0 to a constant.
    """
    count = _count(loop)
    parts: list[Stmt] = []
    for late, group in enumerate(groups):
        place: Expr = loop.var - late if late else loop.var
        inside = binary("min", binary("max", place, const(0)), const(count - 1))
        parts.insert(0, substitute_stmt(group, {loop.var: inside}))
    steps = const(count + len(groups) - 1)
    result = For(loop.var, const(0), steps, block(parts), pragmas=((FUSE_LOOPS, 1),))
    return allocate(buffers, result)


def write_turns(loop: For, call: Stmt, rest: Stmt, buffer: Buffer) -> Stmt:
    """The loop over calls that let the rest of the iteration before run meanwhile; they write ``buffer``.

    Raises:
        ScheduleError: the loop does not run from 0 to a constant.
    """
    last = _count(loop) - 1
    aligns = [(d + 1, factor, offset) for d, factor, offset in buffer.aligns]
    both = Buffer(buffer.name, (2, *buffer.shape), buffer.dtype, buffer.scope, aligns)

    def of(stmt: Stmt, iteration: Expr) -> Stmt:
        return _in_half(substitute_stmt(stmt, {loop.var: iteration}), buffer, both, iteration % 2)

    following, current = of(call, loop.var + 1), of(rest, loop.var)
    body = block([following, current])
    if isinstance(following, Intrinsic):
        body = Intrinsic(following.intrin, following.arguments, following.body, current)
    parts = [of(call, const(0)), For(loop.var, const(0), const(last), body), of(rest, const(last))]
    return allocate([both], block(parts))


def _count(loop: For) -> int:
    count = constant_extent(loop)
    if count is None:
        raise ScheduleError(
            f"software_pipeline({loop.var.name}): the loop has a tail; split with tail='shift_inwards'"
        )
    return count


def _in_half(stmt: Stmt, buffer: Buffer, both: Buffer, half: Expr) -> Stmt:
    """The statement with one half of a buffer twice as large in the place of ``buffer``."""

    def moved(expr: Expr) -> Expr | None:
        if isinstance(expr, Load) and expr.source is buffer:
            return Load(both, (half, *expr.indices))
        return None

    stmt = map_stmt(stmt, lambda e: transform(e, moved), lambda s: _in_half(s, buffer, both, half))
    match stmt:
        case Store() if stmt.buffer is buffer:
            return Store(both, (half, *stmt.indices), stmt.value, stmt.update)
        case Intrinsic():
            arguments = [
                IntrinsicArgument(
                    a.base, [(0, *step) for step in a.steps] if a.base.source is both else a.steps
                )
                for a in stmt.arguments
            ]
            return Intrinsic(stmt.intrin, arguments, *stmt.parts)
        case _:
            return stmt


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
