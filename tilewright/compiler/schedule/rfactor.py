"""The rule of ``rfactor``: a reduction in two stages, partial results and their union."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.ir.visit import substitute, variables
from tilewright.compiler.schedule import steps
from tilewright.compiler.schedule.axes import leaf_values
from tilewright.compiler.schedule.checks import scheduled
from tilewright.compiler.schedule.stage import Stage
from tilewright.compiler.te.expr import Expr, IterVar, Load, Reduce, Select, Var
from tilewright.compiler.te.intrinsics import all as all_of
from tilewright.compiler.te.tensor import ComputeOp, Tensor

if TYPE_CHECKING:
    from tilewright.compiler.schedule.schedule import Schedule


@dataclass(frozen=True, slots=True)
class _Parts:
    """The axes of the new stage: the factored one, the reduction loops that move, and the output's."""

    factor: IterVar
    moved: dict[IterVar, IterVar]
    data: list[IterVar]
    place: int

    @property
    def axes(self) -> list[IterVar]:
        return [*self.data[: self.place], self.factor, *self.data[self.place :]]


def rfactor(schedule: Schedule, step: steps.Rfactor) -> tuple[IterVar, ...]:
    """Carry out the step."""
    stage = scheduled(schedule, step.stage, "rfactor")
    axis = stage.loop(step.axis, "rfactor")
    body = _reduction(stage, axis)
    parts = _Parts(
        IterVar(axis.name, axis.extent),
        {a: IterVar(a.name, a.extent, "reduce") for a in stage.leaf if a.kind == "reduce" and a is not axis},
        [IterVar(f"{a.name}.rf", a.extent) for a in stage.op.axis],
        _place(stage, step.factor_axis),
    )
    values, limits = leaf_values(stage, body.axes, {axis: parts.factor, **parts.moved})
    values |= dict(zip(stage.op.axis, parts.data, strict=True))
    limits += [(substitute(value, values), bound) for value, bound in stage.limits]
    inner = set(parts.moved.values())
    loops = [limit for limit in limits if variables(limit[0]) & inner]
    tests = [value < bound for value, bound in limits if not variables(value) & inner]
    partial = _partial(body, parts, substitute(body.update[0], values), tests)
    tensor = Tensor(ComputeOp(schedule.fresh_name(f"{stage.name}.rf"), parts.axes, partial))
    new = schedule.insert_stage(tensor, schedule.stages.index(stage))
    new.limits = loops
    new.trimmed = stage.trimmed
    for old, axes in {axis: parts.factor, **parts.moved}.items():
        if old in stage.marks:
            new.marks[axes] = stage.marks.pop(old)
    _join(stage, axis, body, tensor, parts)
    return ()


def _reduction(stage: Stage, axis: IterVar) -> Reduce:
    body = stage.op.body if isinstance(stage.op, ComputeOp) else None
    if not isinstance(body, Reduce) or axis.kind != "reduce":
        raise ScheduleError(f"rfactor({stage.name}, {axis.name}): needs a reduction loop of the stage")
    if stage.inplace is not None:
        raise ScheduleError(
            f"rfactor({stage.name}): it goes on with the sums of {stage.inplace.stage}; "
            "call rfactor on that stage, in place of cache_inplace"
        )
    if body.kind == "fold" and not _is_plain(body):
        raise ScheduleError(
            f"rfactor({stage.name}): a te.fold's state is not stored; write the two levels as stages, "
            "one that folds each part and one that folds the parts, or use te.comm_reducer for one value"
        )
    return body


def _is_plain(body: Reduce) -> bool:
    """Whether a fold is a commutative reducer: its result is its one value, and parts can be joined."""
    return len(body.state) == 1 and body.finish is body.state[0] and body.merge is not None


def _place(stage: Stage, factor_axis: int) -> int:
    count = len(stage.op.axis)
    place = factor_axis + count + 1 if factor_axis < 0 else factor_axis
    if not 0 <= place <= count:
        raise ScheduleError(
            f"rfactor({stage.name}, factor_axis={factor_axis}): the new stage has {count + 1} dimensions"
        )
    return place


def _partial(body: Reduce, parts: _Parts, update: Expr, tests: list[Expr]) -> Expr:
    """The body of the new stage; an element past a tail contributes the identity."""
    identity = body.state[0] if body.state else body.init[0]
    if tests:
        update = Select(all_of(*tests), update, identity)
    if parts.moved:
        loops = list(parts.moved.values())
        return Reduce(body.kind, loops, body.init, (update,), body.state, body.finish, body.merge)
    begin: dict[Var, Expr] = dict(zip(body.state, body.init, strict=False))
    return substitute(update, begin)


def _join(stage: Stage, axis: IterVar, body: Reduce, tensor: Tensor, parts: _Parts) -> None:
    """Let the old stage reduce over the new one's factored dimension."""
    joined = stage.derive_axis(f"{axis.name}.v", axis.extent, "reduce")
    indices = [*stage.op.axis[: parts.place], joined, *stage.op.axis[parts.place :]]
    update: Expr = Load(tensor, indices)
    if body.merge is not None:
        others, merged = body.merge
        update = substitute(merged[0], {others[0]: update})
    stage.leaf[stage.leaf.index(axis)] = joined
    stage.leaf = [a for a in stage.leaf if a not in parts.moved]
    stage.relations = [r for r in stage.relations if r.is_data]
    stage.limits = []
    if stage.init_axis is not None and stage.init_axis not in stage.leaf:
        stage.init_axis = None
    reduced = Reduce(body.kind, (joined,), body.init, (update,), body.state, body.finish, body.merge)
    stage.op = ComputeOp(stage.op.name, stage.op.axis, reduced)
