"""Write the loops of every stage, each where it is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.ir.affine import linear, simplify_index
from tilewright.compiler.ir.loops import Buffer, LoopKind, LoopNest, Stmt, allocate, block
from tilewright.compiler.ir.visit import map_children, variables, walk
from tilewright.compiler.lower.regions import Placement, Regions
from tilewright.compiler.lower.stage_loops import StageWriter
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.te.expr import INDEX, Expr, IterVar, Load
from tilewright.compiler.te.tensor import PlaceholderOp, Tensor


@dataclass(slots=True)
class NestWriter:
    """Turns placed stages into loops."""

    schedule: Schedule
    regions: Regions
    buffers: dict[str, Buffer] = field(default_factory=dict)

    # -- storage --------------------------------------------------------------------------------

    def allocate(self, placement: Placement) -> Buffer:
        """The memory for a stage's region, in its layout."""
        stage = placement.stage
        shape = [placement.extents[axis] for axis in stage.axis]
        outers = [-(-shape[d] // f) for d, f in stage.layout]
        plain = self._untiled(placement)
        stored = (*outers, *(shape[d] for d in plain), *(f for _, f in stage.layout))
        scope = "call" if stage.scope == "global" else stage.scope
        place = {d: n for n, d in enumerate(plain, len(outers))}
        aligns = [(place[stage.axis.index(a)], *values) for a, values in stage.aligns.items()]
        return Buffer(stage.name, stored, placement.body.dtype, scope, aligns)

    def position(self, name: str, indices: Sequence[Expr]) -> tuple[Expr, ...]:
        """Where in its buffer the element of a tensor lies."""
        placement = self.regions.placements.get(name)
        ranges = self.regions.ranges
        if placement is None:
            return tuple(simplify_index(i, ranges) for i in indices)
        stage = placement.stage
        offsets = [
            linear(index, ranges).add(placement.begins[axis], -1)
            for index, axis in zip(indices, stage.axis, strict=True)
        ]
        local = [linear(offset.to_expr(), ranges).to_expr() for offset in offsets]
        outers = [simplify_index(local[d] // f, ranges) for d, f in stage.layout]
        plain = [local[d] for d in self._untiled(placement)]
        return (*outers, *plain, *(simplify_index(local[d] % f, ranges) for d, f in stage.layout))

    def _untiled(self, placement: Placement) -> list[int]:
        """The dimensions that are stored whole, in order; in registers the one in the lanes comes last."""
        stage = placement.stage
        tiled = {d for d, _ in stage.layout}
        plain = [d for d in range(len(stage.axis)) if d not in tiled]
        if stage.scope != "register":
            return plain
        lanes = {axis for axis in stage.leaf if stage.mark(axis).kind is LoopKind.VECTORIZE}
        return sorted(plain, key=lambda d: not lanes.isdisjoint(variables(placement.values[stage.axis[d]])))

    def read(self, expr: Expr) -> Expr:
        """A body's expression over loops: reads of tensors become reads of buffers."""
        if isinstance(expr, Load):
            indices = tuple(self.read(i) for i in expr.indices)
            return Load(self.buffers[expr.source.name], self.position(expr.source.name, indices))
        if expr.dtype == INDEX and not any(isinstance(v, Load) for v in walk(expr)):
            return simplify_index(expr, self.regions.ranges)
        return map_children(expr, self.read)

    def is_in_lanes(self, axis: IterVar) -> bool:
        """Whether a loop, of any stage, is vectorized and has more than one iteration."""
        marks = [stage.mark(axis).kind for stage in self.schedule.stages]
        return LoopKind.VECTORIZE in marks and self.regions.ranges[axis] != (0, 0)

    # -- stages ---------------------------------------------------------------------------------

    def write(self, name: str) -> Stmt:
        """The loops of a stage, with those of the stages that are computed inside."""
        return StageWriter(self, self.regions.placements[name]).write()

    def attached(self, name: str, axis: IterVar | None) -> list[str]:
        """The stages computed at a loop (or at the root), in order of computation."""
        found = []
        for stage in self.schedule.stages:
            if stage.name not in self.regions.placements:
                continue
            attach = stage.attach
            if (axis is None and attach.kind == "root") or (attach.axis is axis and attach.stage == name):
                found.append(stage.name)
        return found

    def provide(self, names: list[str]) -> None:
        """Make memory for stages, so that what reads them can be written."""
        for name in names:
            self.buffers[name] = self.allocate(self.regions.placements[name])

    def place(self, names: list[str], inside: Stmt | None = None) -> Stmt:
        """The named stages ahead of ``inside``; scratch memory lives as long."""
        body = block([*(self.write(name) for name in names), *(() if inside is None else (inside,))])
        buffers = [self.buffers[name] for name in names]
        return allocate([buffer for buffer in buffers if buffer.scope != "global"], body)


def write_nest(
    schedule: Schedule, regions: Regions, args: Sequence[Tensor], strides: Mapping[str, Sequence[int]]
) -> LoopNest:
    """The loops of all stages; ``args`` are the program's inputs and outputs, ``strides`` those of views."""
    writer = NestWriter(schedule, regions)
    inputs: list[Buffer] = []
    outputs: list[Buffer] = []
    for tensor in args:
        given, nontemporal = strides.get(tensor.name, ()), schedule[tensor].nontemporal
        buffer = Buffer(tensor.name, tensor.shape, tensor.dtype, given=given, nontemporal=nontemporal)
        writer.buffers[tensor.name] = buffer
        (inputs if isinstance(tensor.op, PlaceholderOp) else outputs).append(buffer)
    _check_arguments(schedule, args)
    roots = writer.attached("", None)
    writer.provide([name for name in roots if name not in writer.buffers])
    return LoopNest(inputs, outputs, writer.place(roots))


def _check_arguments(schedule: Schedule, args: Sequence[Tensor]) -> None:
    given = [tensor.name for tensor in args]
    needed = [s.name for s in schedule.stages if isinstance(s.op, PlaceholderOp)]
    needed += [tensor.name for tensor in schedule.outputs]
    missing = [name for name in needed if name not in given]
    if missing:
        raise ScheduleError(f"the arguments lack {', '.join(missing)}: pass every input and output tensor")
    for tensor in args:
        if given.count(tensor.name) > 1:
            raise ScheduleError(f"the arguments name {tensor.name} twice: pass each tensor once")
        if schedule[tensor].aligns:
            raise ScheduleError(
                f"storage_align: {tensor.name} is an argument, whose memory is the caller's; "
                "use it on a stage made by cache_read, pack or cache_write"
            )
        if tensor.name not in needed and schedule[tensor].attach.kind != "root":
            raise ScheduleError(
                f"the argument {tensor.name} is not stored whole: make it an output of create_schedule, "
                "or compute it at the root"
            )
