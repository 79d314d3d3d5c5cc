"""What each step does to the stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.ir.loops import LoopKind
from tilewright.compiler.ir.visit import substitute, transform
from tilewright.compiler.schedule import steps
from tilewright.compiler.schedule.axes import leaf_values
from tilewright.compiler.schedule.checks import scheduled
from tilewright.compiler.schedule.pragmas import pragma
from tilewright.compiler.schedule.rfactor import rfactor
from tilewright.compiler.schedule.stage import (
    Attach,
    FuseRelation,
    Inplace,
    SplitRelation,
    Stage,
)
from tilewright.compiler.schedule.storage import prefetch, storage_align, store_nontemporal
from tilewright.compiler.schedule.tensorize import tensorize
from tilewright.compiler.te.expr import Expr, IterVar, Load, Reduce, Var, const
from tilewright.compiler.te.intrinsics import all as all_of
from tilewright.compiler.te.intrinsics import if_then_else
from tilewright.compiler.te.tensor import ComputeOp, Tensor

if TYPE_CHECKING:
    from tilewright.compiler.schedule.schedule import Schedule

Axes = tuple[IterVar, ...]
TAILS = ("", "shift_inwards", "guard")
ANNOTATIONS = ("vectorize", "unroll", "parallel")
SCOPES = ("register", "stack", "thread", "call", "bound", "local", "global", "shared")


def apply_step(schedule: Schedule, step: steps.Step) -> Axes:
    """Carry out one step; the axes that it makes."""
    rewrite: Callable[[Schedule, Any], Axes] = REWRITES[type(step)]
    return rewrite(schedule, step)


def _split(schedule: Schedule, step: steps.Split) -> Axes:
    stage = scheduled(schedule, step.stage, "split")
    axis = stage.loop(step.axis, "split")
    given = step.factor if step.nparts is None else step.nparts
    if (step.factor is None) == (step.nparts is None):
        raise ScheduleError(f"split({axis.name}): give either factor or nparts")
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise ScheduleError(f"split({axis.name}, {given}): the factor must be an integer of at least 1")
    if axis in stage.marks:
        raise ScheduleError(f"split({axis.name}): the loop is already {stage.marks[axis]}; split it before")
    _check_tail(stage, axis, step)
    inner_extent = min(given, axis.extent) if step.nparts is None else -(-axis.extent // given)
    outer_extent = -(-axis.extent // inner_extent)
    outer = stage.derive_axis(f"{axis.name}.outer", outer_extent, axis.kind)
    inner = stage.derive_axis(f"{axis.name}.inner", inner_extent, axis.kind)
    stage.relations.append(SplitRelation(axis, outer, inner, step.factor, step.nparts, step.tail))
    position = stage.leaf.index(axis)
    stage.leaf[position : position + 1] = [outer, inner]
    return outer, inner


def _check_tail(stage: Stage, axis: IterVar, step: steps.Split) -> None:
    if step.tail not in TAILS:
        raise ScheduleError(f"split({axis.name}): tail {step.tail!r} is none of shift_inwards, guard")
    if step.tail == "shift_inwards" and isinstance(stage.op, ComputeOp) and isinstance(stage.op.body, Reduce):
        raise ScheduleError(
            f"split({axis.name}, tail='shift_inwards'): {stage.name} would add to some elements twice; "
            "call cache_write first and split the stage that copies"
        )


def _round_up(schedule: Schedule, step: steps.RoundUp) -> Axes:
    stage = scheduled(schedule, step.stage, "round_up")
    axis = stage.names.get(step.axis)
    if axis is None or axis not in stage.op.axis:
        axes = ", ".join(a.name for a in stage.op.axis)
        raise ScheduleError(f"round_up({step.axis}): take an axis of {stage.name} itself, one of {axes}")
    stage.rounded.add(axis)
    return ()


def _trim(schedule: Schedule, step: steps.Trim) -> Axes:
    stage = scheduled(schedule, step.stage, "trim")
    if not isinstance(stage.op, ComputeOp) or not isinstance(stage.op.body, Reduce):
        raise ScheduleError(f"trim: {stage.name} is no reduction; trim the stage that reduces")
    stage.trimmed = True
    return ()


def _fuse(schedule: Schedule, step: steps.Fuse) -> Axes:
    stage = scheduled(schedule, step.stage, "fuse")
    outer, inner = stage.loop(step.outer, "fuse"), stage.loop(step.inner, "fuse")
    position = stage.leaf.index(outer)
    if position + 1 >= len(stage.leaf) or stage.leaf[position + 1] is not inner:
        raise ScheduleError(
            f"fuse({outer.name}, {inner.name}): {inner.name} must be the next loop inside; reorder"
        )
    if outer.kind != inner.kind:
        raise ScheduleError(f"fuse({outer.name}, {inner.name}): one is a reduction axis, the other is not")
    if outer in stage.extra_axes or inner in stage.extra_axes:
        raise ScheduleError(f"fuse({outer.name}, {inner.name}): fuse before cache_inplace")
    fused = stage.derive_axis(f"{outer.name}.{inner.name}.fused", outer.extent * inner.extent, outer.kind)
    stage.relations.append(FuseRelation(outer, inner, fused))
    stage.leaf[position : position + 2] = [fused]
    return (fused,)


def _reorder(schedule: Schedule, step: steps.Reorder) -> Axes:
    stage = scheduled(schedule, step.stage, "reorder")
    axes = [stage.loop(name, "reorder") for name in step.axes]
    if len(set(axes)) != len(axes):
        raise ScheduleError(f"reorder({', '.join(step.axes)}): a loop is named twice")
    places = sorted(stage.leaf.index(axis) for axis in axes)
    for place, axis in zip(places, axes, strict=True):
        stage.leaf[place] = axis
    return ()


def _annotate(schedule: Schedule, step: steps.Annotate) -> Axes:
    stage = scheduled(schedule, step.stage, step.how)
    axis = stage.loop(step.axis, step.how)
    if step.how not in ANNOTATIONS:
        raise ScheduleError(f"annotate({axis.name}): {step.how!r} is none of {', '.join(ANNOTATIONS)}")
    kind = LoopKind(step.how)
    if axis.kind == "reduce" and kind in (LoopKind.VECTORIZE, LoopKind.PARALLEL):
        raise ScheduleError(
            f"{step.how}({axis.name}): a reduction axis carries a sum from step to step; "
            f"{step.how} an axis of the output"
        )
    if kind is LoopKind.VECTORIZE:
        for other, mark in stage.marks.items():
            if mark.kind is LoopKind.VECTORIZE and other is not axis:
                raise ScheduleError(
                    f"vectorize({axis.name}): {stage.name} has a vectorized loop, {other.name}; fuse them"
                )
    if step.factor < 0:
        raise ScheduleError(f"unroll({axis.name}, {step.factor}): the factor must be 0 (all) or more")
    stage.marks[axis] = replace(stage.mark(axis), kind=kind, factor=step.factor)
    return ()


def _outline(schedule: Schedule, step: steps.Outline) -> Axes:
    stage = scheduled(schedule, step.stage, "outline")
    axis = stage.loop(step.axis, "outline")
    stage.marks[axis] = replace(stage.mark(axis), outline=True)
    return ()


def _loop_partition(schedule: Schedule, step: steps.LoopPartition) -> Axes:
    stage = scheduled(schedule, step.stage, "loop_partition")
    axis = stage.loop(step.axis, "loop_partition")
    stage.marks[axis] = replace(stage.mark(axis), partition=True)
    return ()


def _compute_at(schedule: Schedule, step: steps.ComputeAt) -> Axes:
    stage = scheduled(schedule, step.stage, "compute_at")
    reader = scheduled(schedule, step.reader, "compute_at")
    if any(stage.name == output.name for output in schedule.outputs):
        raise ScheduleError(f"compute_at: {stage.name} is an output; it is computed at the root")
    if schedule.stages.index(stage) >= schedule.stages.index(reader):
        raise ScheduleError(f"compute_at: {stage.name} is not computed ahead of {reader.name}")
    stage.attach = Attach("at", reader.name, reader.loop(step.axis, "compute_at"))
    return ()


def _compute_inline(schedule: Schedule, step: steps.ComputeInline) -> Axes:
    stage = scheduled(schedule, step.stage, "compute_inline")
    if isinstance(stage.op, ComputeOp) and isinstance(stage.op.body, Reduce):
        raise ScheduleError(
            f"compute_inline: {stage.name} is a reduction; compute it at a loop of its reader"
        )
    if any(stage.name == output.name for output in schedule.outputs):
        raise ScheduleError(f"compute_inline: {stage.name} is an output; it has to be stored")
    if stage.extra_axes or stage.layout:
        raise ScheduleError(
            f"compute_inline: {stage.name} is a packed or accumulated stage; it has to be stored"
        )
    stage.attach = Attach("inline")
    return ()


def _compute_root(schedule: Schedule, step: steps.ComputeRoot) -> Axes:
    schedule.stage(step.stage).attach = Attach("root")
    return ()


def _check_scope(scope: str, primitive: str) -> None:
    if scope not in SCOPES:
        raise ScheduleError(f"{primitive}: unknown scope {scope!r}; choose one of {', '.join(SCOPES)}")


def _redirect(stage: Stage, source: str, target: Tensor) -> None:
    """Make a stage read ``target`` where it read ``source``."""
    assert isinstance(stage.op, ComputeOp)

    def redirect(node: Expr) -> Expr | None:
        return Load(target, node.indices) if isinstance(node, Load) and node.source.name == source else None

    body = transform(stage.op.body, redirect)
    stage.op = ComputeOp(stage.op.name, stage.op.axis, body)


def _cache_read(schedule: Schedule, step: steps.CacheRead) -> Axes:
    primitive = step.suffix or "cache_read"
    _check_scope(step.scope, primitive)
    stage = schedule.stage(step.stage)
    readers = schedule.readers(step.stage)
    chosen = [schedule.stage(name) for name in step.readers]
    for reader in chosen:
        if reader not in readers:
            known = ", ".join(r.name for r in readers) or "none"
            raise ScheduleError(
                f"{primitive}: {reader.name} does not read {stage.name}; its readers are {known}"
            )
    for dimension, factor in step.tile:
        if not 0 <= dimension < len(stage.op.shape) or factor < 1:
            raise ScheduleError(
                f"pack({stage.name}): tile {{{dimension}: {factor}}} is no dimension with a factor"
            )
    shape = list(stage.op.shape)
    for dimension, factor in step.tile if step.pad else ():
        shape[dimension] = -(-shape[dimension] // factor) * factor
    axes = [IterVar(f"ax{d}", extent) for d, extent in enumerate(shape)]
    name = schedule.fresh_name(f"{stage.name}.{step.suffix or step.scope}")
    body: Expr = Load(schedule.tensor_of(step.stage), axes)
    inside = [
        axis < extent for axis, extent in zip(axes, stage.op.shape, strict=True) if axis.extent > extent
    ]
    if inside:
        body = if_then_else(all_of(*inside), body, const(0, body.dtype))
    tensor = Tensor(ComputeOp(name, axes, body))
    schedule.insert_stage(tensor, schedule.stages.index(stage) + 1, step.scope).layout = step.tile
    for reader in chosen:
        _redirect(reader, step.stage, tensor)
    return ()


def _cache_write(schedule: Schedule, step: steps.CacheWrite) -> Axes:
    _check_scope(step.scope, "cache_write")
    stage = scheduled(schedule, step.stage, "cache_write")
    if stage.inplace is not None or stage.extra_axes:
        raise ScheduleError(
            f"cache_write: {stage.name} takes part in cache_inplace; it has its cache already"
        )
    if stage.relations or stage.marks or stage.attach.kind != "root":
        raise ScheduleError(
            f"cache_write: {stage.name} is scheduled already; call cache_write before its splits"
        )
    assert isinstance(stage.op, ComputeOp)
    axes = [IterVar(f"{axis.name}.c", axis.extent) for axis in stage.op.axis]
    renamed: dict[Var, Expr] = dict(zip(stage.op.axis, axes, strict=True))
    reduced: dict[IterVar, IterVar] = {
        axis: IterVar(axis.name, axis.extent, "reduce") for axis in stage.op.reduce_axis
    }
    body = replace_axes(substitute(stage.op.body, renamed), reduced)
    name = schedule.fresh_name(f"{stage.name}.{step.scope}")
    tensor = Tensor(ComputeOp(name, axes, body))
    cache = schedule.insert_stage(tensor, schedule.stages.index(stage), step.scope)
    moved = renamed | dict(reduced.items())
    cache.limits = [(substitute(value, moved), bound) for value, bound in stage.limits]
    stage.limits = []
    cache.trimmed, stage.trimmed = stage.trimmed, False
    for axis in stage.op.reduce_axis:
        stage.leaf.remove(axis)
    stage.op = ComputeOp(stage.op.name, stage.op.axis, Load(tensor, stage.op.axis))
    return ()


def replace_axes(body: Expr, renamed: dict[IterVar, IterVar]) -> Expr:
    """The body with other reduction axes."""
    body = substitute(body, dict(renamed.items()))
    if not isinstance(body, Reduce):
        return body
    axes = [renamed.get(axis, axis) for axis in body.axes]
    return Reduce(body.kind, axes, body.init, body.update, body.state, body.finish, body.merge)


def _cache_inplace(schedule: Schedule, step: steps.CacheInplace) -> Axes:
    _check_scope(step.scope, "cache_inplace")
    stage = scheduled(schedule, step.stage, "cache_inplace")
    axis = stage.loop(step.axis, "cache_inplace")
    body = stage.op.body if isinstance(stage.op, ComputeOp) else None
    if not isinstance(body, Reduce) or axis.kind != "reduce":
        raise ScheduleError(
            f"cache_inplace({stage.name}, axis={axis.name}): needs a reduction loop of the stage"
        )
    if stage.inplace is not None:
        raise ScheduleError(
            f"cache_inplace({stage.name}): it is itself such a cache; use it on {stage.inplace.stage}"
        )
    if body.kind == "fold":
        raise ScheduleError(f"cache_inplace({stage.name}): a fold's state is not stored; use cache_write")
    position = stage.leaf.index(axis)
    kept = [a for n, a in enumerate(stage.leaf) if a.kind == "reduce" and n <= position]
    moved = [a for n, a in enumerate(stage.leaf) if a.kind == "reduce" and n > position]
    if not moved:
        raise ScheduleError(
            f"cache_inplace({stage.name}, axis={axis.name}): no reduction loop is left inside it"
        )
    _move_reduction(schedule, stage, body, step.scope, tuple(kept), tuple(moved))
    return ()


def _move_reduction(
    schedule: Schedule, stage: Stage, body: Reduce, scope: str, kept: Axes, moved: Axes
) -> None:
    assert isinstance(stage.op, ComputeOp)
    inner = {a: IterVar(a.name, a.extent, "reduce") for a in moved}
    values, limits = leaf_values(stage, body.axes, {**{a: a for a in kept}, **inner})
    axes = [IterVar(f"{a.name}.c", a.extent) for a in stage.op.axis]
    values |= dict(zip(stage.op.axis, axes, strict=True))
    limits += [(substitute(value, values), bound) for value, bound in stage.limits]
    update = tuple(substitute(value, values) for value in body.update)
    tensor = Tensor(
        ComputeOp(
            schedule.fresh_name(f"{stage.name}.{scope}"),
            axes,
            Reduce(body.kind, list(inner.values()), body.init, update),
        )
    )
    cache = schedule.insert_stage(tensor, schedule.stages.index(stage), scope)
    cache.inplace = Inplace(stage.name, kept)
    cache.limits = limits
    cache.trimmed, stage.trimmed = stage.trimmed, False
    cache.marks = {inner[a]: stage.marks[a] for a in moved if a in stage.marks}
    for a in moved:
        stage.leaf.remove(a)
        stage.marks.pop(a, None)
    stage.relations = [r for r in stage.relations if r.is_data]
    stage.extra_axes = kept
    stage.limits = []
    stage.op = ComputeOp(stage.op.name, stage.op.axis, Load(tensor, stage.op.axis))


def _decompose_reduction(schedule: Schedule, step: steps.DecomposeReduction) -> Axes:
    stage = scheduled(schedule, step.stage, "decompose_reduction")
    axis = stage.loop(step.axis, "decompose_reduction")
    if not (isinstance(stage.op, ComputeOp) and isinstance(stage.op.body, Reduce)):
        raise ScheduleError(f"decompose_reduction: {stage.name} is not a reduction")
    stage.init_axis = axis
    return ()


def _software_pipeline(schedule: Schedule, step: steps.SoftwarePipeline) -> Axes:
    stage = scheduled(schedule, step.stage, "software_pipeline")
    axis = stage.loop(step.axis, "software_pipeline")
    for name in (name for group in step.groups for name in group):
        scheduled(schedule, name, "software_pipeline")
    stage.marks[axis] = replace(stage.mark(axis), pipeline=step.groups)
    return ()


REWRITES: dict[type, Callable[[Schedule, Any], Axes]] = {
    steps.Split: _split,
    steps.Fuse: _fuse,
    steps.Reorder: _reorder,
    steps.Annotate: _annotate,
    steps.RoundUp: _round_up,
    steps.Trim: _trim,
    steps.Outline: _outline,
    steps.LoopPartition: _loop_partition,
    steps.ComputeAt: _compute_at,
    steps.ComputeInline: _compute_inline,
    steps.ComputeRoot: _compute_root,
    steps.CacheRead: _cache_read,
    steps.CacheWrite: _cache_write,
    steps.CacheInplace: _cache_inplace,
    steps.DecomposeReduction: _decompose_reduction,
    steps.Rfactor: rfactor,
    steps.Pragma: pragma,
    steps.Prefetch: prefetch,
    steps.StorageAlign: storage_align,
    steps.StoreNontemporal: store_nontemporal,
    steps.Tensorize: tensorize,
    steps.SoftwarePipeline: _software_pipeline,
}
