"""Write the loops of one stage: where its reduction begins and ends, what is inside, and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.ir.affine import bounds, ceildiv, linear, simplify_index
from tilewright.compiler.ir.loops import Alloc, Assign, Buffer, For, If, LoopKind, Stmt, Store, block
from tilewright.compiler.ir.visit import substitute, variables, walk
from tilewright.compiler.lower.prefetch import write_prefetches
from tilewright.compiler.lower.regions import Limit, Placement, limit_condition
from tilewright.compiler.lower.software_pipeline import check_groups, write_pipeline, write_turns
from tilewright.compiler.lower.tensorize import TensorizedLoops, write_call
from tilewright.compiler.schedule.stage import LoopMark
from tilewright.compiler.te.expr import Binary, Const, Expr, IterVar, Load, Reduce, Select, Var, binary, const
from tilewright.compiler.te.intrinsics import all as all_of

if TYPE_CHECKING:
    from tilewright.compiler.lower.nest import NestWriter


@dataclass(slots=True)
class StageWriter:
    """Writes the loops of one stage."""

    nest: NestWriter
    placement: Placement
    first: int = 0
    states: tuple[Buffer, ...] = ()
    state_index: tuple[Expr, ...] = ()

    @property
    def leaves(self) -> list[IterVar]:
        """The stage's loops, outermost first."""
        return self.placement.stage.leaf

    def write(self) -> Stmt:
        """All loops, initialisation and attached stages included."""
        body = self.placement.body
        self.first = self._first_reduction() if isinstance(body, Reduce) else len(self.leaves)
        self.first = min(self.first, self.call_depth)
        if isinstance(body, Reduce) and (body.kind == "fold" or self._accumulates_in_lanes()):
            self._make_states(body)
        return self._loops(0)

    def _accumulates_in_lanes(self) -> bool:
        """Whether the whole reduction runs inside a vectorized loop, so that lanes can hold their sums."""
        around, inside = self.leaves[: self.first], self.leaves[self.first :]
        is_plain = self.placement.stage.inplace is None and self.call_depth == len(self.leaves)
        only_reduces = all(axis.kind == "reduce" for axis in inside)
        return is_plain and only_reduces and any(self.nest.is_in_lanes(axis) for axis in around)

    @property
    def call_depth(self) -> int:
        """How many loops are around those that an intrinsic takes the place of."""
        stage = self.placement.stage
        if stage.tensorized is None:
            return len(self.leaves)
        axis, _ = stage.tensorized
        if axis not in self.leaves:
            raise ScheduleError(
                f"tensorize: {axis.name} is no loop of {stage.name} any more; "
                "call it after what split, fused or moved the loop"
            )
        return self.leaves.index(axis)

    @property
    def _call_resets(self) -> bool:
        """Whether an intrinsic does the whole reduction and initialises it."""
        intrin = self.placement.stage.tensorized
        return intrin is not None and intrin[1].resets

    def _first_reduction(self) -> int:
        stage = self.placement.stage
        first = next((n for n, a in enumerate(self.leaves) if a.kind == "reduce"), len(self.leaves))
        if stage.init_axis is None:
            return first
        position = self.leaves.index(stage.init_axis) if stage.init_axis in self.leaves else -1
        if position < 0 or position > first:
            raise ScheduleError(
                f"decompose_reduction: {stage.init_axis.name} is not at or outside the first reduction loop "
                f"of {stage.name}"
            )
        return position

    def _loops(self, depth: int) -> Stmt:
        """The loops from ``depth`` inwards."""
        if depth == self.first and isinstance(self.placement.body, Reduce) and not self._call_resets:
            inside = self._from(depth)
            parts = [self._initialise(), inside]
            if self.states:
                parts.append(self._finish())
            body = block(parts)
            for state in self.states:
                body = Alloc(state, body)
            return body
        return self._from(depth)

    def _from(self, depth: int) -> Stmt:
        if depth == self.call_depth < len(self.leaves):
            return self._call(depth)
        if depth == len(self.leaves):
            return self._guarded(self._statement(), self.leaves, self.placement.limits)
        axis = self.leaves[depth]
        attached = self.nest.attached(self.placement.stage.name, axis)
        self.nest.provide(attached)
        if self.placement.stage.mark(axis).pipeline:
            return self._pipelined(axis, attached, depth)
        inside = block([*self._prefetches(depth), self.nest.place(attached, self._loops(depth + 1))])
        # Loops around the initialisation are not cut where only the reduction ends.
        limits = self._output_limits() if self._is_around(axis) else self.placement.limits
        return self._loop(axis, inside, self.leaves, limits)

    def _pipelined(self, axis: IterVar, attached: list[str], depth: int) -> Stmt:
        """A loop of which an iteration computes groups of the stages inside for other iterations."""
        stage, stages = self.placement.stage, self.nest.schedule
        names = stage.mark(axis).pipeline
        for name in attached:
            if not any(name in group for group in names):
                raise ScheduleError(f"software_pipeline({axis.name}): {name} is computed inside, in no group")
        check_groups(stage, axis, [[stages.stage(name) for name in group] for group in names])
        parts = [block([self.nest.write(name) for name in attached if name in group]) for group in names]
        parts.append(self._loops(depth + 1))
        limits = self._output_limits() if self._is_around(axis) else self.placement.limits
        loop = self._loop(axis, parts[-1], self.leaves, limits)
        if not isinstance(loop, For) or loop.var is not axis:
            return self.nest.place(attached, parts[-1])  # there is one iteration
        buffers = [self.nest.buffers[name] for name in attached]
        if self._has_turns(names):
            return write_turns(loop, parts[0], parts[1], buffers[0])
        result = write_pipeline(loop, parts, buffers)
        self.nest.regions.ranges[axis] = (0, self.placement.extents[axis] + len(names) - 1)
        return result

    def _has_turns(self, groups: Sequence[Sequence[str]]) -> bool:
        """Whether what is computed ahead is one call, which lets what follows run meanwhile."""
        names = [name for group in groups for name in group]
        stage = self.nest.schedule.stage(names[0])
        return len(names) == 1 and stage.tensorized is not None and stage.tensorized[1].turns > 0

    def _call(self, depth: int) -> Stmt:
        """The intrinsic's call; the plain loops stay with it as its meaning."""
        stage, body = self.placement.stage, self.placement.body
        assert stage.tensorized is not None
        self._check_call(depth)
        update = body.update[0] if isinstance(body, Reduce) else body
        inner = TensorizedLoops(
            stage.name,
            self.leaves[depth:],
            self.placement.extents,
            body.kind if isinstance(body, Reduce) else "",
            Load(*self._target()),
            self._value(update),
            self.placement.limits,
            self.nest.regions.ranges,
        )
        loops = self._statement()
        for axis in reversed(self.leaves[depth:]):
            loops = self._loop(axis, loops, self.leaves, [])
        if self._call_resets:
            loops = block([self._initialise(), loops])
        call = write_call(inner, stage.tensorized[1], loops)
        return self._guarded(call, self.leaves, self.placement.limits)

    def _check_call(self, depth: int) -> None:
        """Refuse a call where one cannot stand."""
        first = self.leaves[depth].name
        for axis in self.leaves[depth:]:
            for name in self.nest.attached(self.placement.stage.name, axis):
                raise ScheduleError(
                    f"tensorize({first}): {name} is computed inside the loops; compute it further out"
                )
        for axis in self.leaves[:depth]:
            if self._call_resets and axis.kind == "reduce" and self.placement.extents[axis] > 1:
                raise ScheduleError(
                    f"tensorize({first}): the intrinsic does a whole reduction; "
                    f"move its loop {axis.name} inside"
                )
        for axis in (*self.placement.outer, *self.leaves[:depth]):
            if self.nest.is_in_lanes(axis):
                raise ScheduleError(f"tensorize({first}): the loop {axis.name} around is vectorized")

    def _prefetches(self, depth: int) -> list[Stmt]:
        """What the body of the loop at a depth will read, where the schedule asks for it ahead."""
        axis = self.leaves[depth]
        wanted = self.placement.stage.mark(axis).prefetches
        if not wanted or self.nest.regions.ranges[axis] == (0, 0):
            return []
        written = Load(*self._target())
        return write_prefetches(self.placement, depth, written, self._value, self.nest.regions)

    # -- loops ----------------------------------------------------------------------------------

    def _loop(self, axis: IterVar, body: Stmt, order: Sequence[IterVar], limits: Sequence[Limit]) -> Stmt:
        ranges = self.nest.regions.ranges
        mark = self.placement.stage.mark(axis)
        if ranges[axis] == (0, 0) and not mark.pragmas:
            return body
        end: Expr = const(self.placement.extents[axis])
        begin: Expr = const(0)
        for limit in limits:
            if limit.is_guard or (limit.is_loose and _is_written_out(mark)):
                continue
            if limit.is_loose:
                begin = self._loose_begin(begin, limit, axis, order)
            if limit.bound is None:
                begin = self._begin(begin, limit, axis, order)
            else:
                end = self._end(end, limit, axis, order)
        end = simplify_index(end, ranges)
        marks = (mark.kind, mark.factor, mark.outline, mark.partition, mark.pragmas)
        return For(axis, begin, end, body, *marks)

    def _is_around(self, axis: IterVar) -> bool:
        """Whether a loop encloses the initialisation of the reduction."""
        return isinstance(self.placement.body, Reduce) and self.leaves.index(axis) < self.first

    def _output_limits(self) -> list[Limit]:
        """The limits that hold for the output's elements, not for single steps of the reduction."""
        return [limit for limit in self.placement.limits if not limit.of_reduction]

    def _inner(self, axis: IterVar, order: Sequence[IterVar]) -> set[Var]:
        """The loops that do not set the bounds of ``axis``: those inside, and vectorized ones around.

        Where lanes would run a loop to different ends, they are masked inside it instead.
        """
        place = list(order).index(axis)
        marks = self.placement.stage.mark
        inner: set[Var] = {a for n, a in enumerate(order) if n > place or marks(a).kind is LoopKind.VECTORIZE}
        return inner - {axis}

    def _end(self, end: Expr, limit: Limit, axis: IterVar, order: Sequence[IterVar]) -> Expr:
        """The loop's end, cut where the limit fails for every iteration of the loops inside."""
        scale, room = self._room(limit, axis, order)
        if scale <= 0:
            return end
        cut = ceildiv(room, scale)
        if bounds(cut, self.nest.regions.ranges)[0] >= self.placement.extents[axis]:
            return end
        return binary("min", end, cut)

    def _loose_begin(self, begin: Expr, limit: Limit, axis: IterVar, order: Sequence[IterVar]) -> Expr:
        """The loop's begin, ahead of which the limit fails for every iteration of the loops inside."""
        scale, room = self._room(limit, axis, order)
        if scale >= 0:
            return begin
        first = (const(0) - room) // -scale + 1
        return simplify_index(binary("max", begin, first), self.nest.regions.ranges)

    def _room(self, limit: Limit, axis: IterVar, order: Sequence[IterVar]) -> tuple[int, Expr]:
        """``scale, room``: the limit is ``scale * axis < room`` where the loops inside leave most of it.

        The scale is zero where the limit does not depend on the axis in this way.
        """
        ranges = self.nest.regions.ranges
        form = linear(limit.value, ranges)
        rest = form.without(axis)
        if axis in variables(rest.to_expr()):
            return 0, const(0)
        inner = self._inner(axis, order)
        held = {k: t for k, t in rest.terms.items() if not variables(t[0]) & inner}
        loose = {k: t for k, t in rest.terms.items() if k not in held}
        low, _ = bounds(type(form)(loose, 0), ranges)
        known = type(form)(held, rest.const + low)
        assert limit.bound is not None
        return form.coefficient(axis), const(limit.bound) - known.to_expr()

    def _begin(self, begin: Expr, limit: Limit, axis: IterVar, order: Sequence[IterVar]) -> Expr:
        ranges = self.nest.regions.ranges
        form = linear(limit.value, ranges)
        scale, rest = form.coefficient(axis), form.without(axis).to_expr()
        if scale <= 0 or variables(rest) & {axis, *self._inner(axis, order)}:
            return begin
        return simplify_index(binary("max", begin, ceildiv(const(0) - rest, scale)), ranges)

    def _is_met(self, limit: Limit, order: Sequence[IterVar]) -> bool:
        """Whether the bounds of the innermost loop of a limit keep it."""
        if limit.is_guard:
            return False
        form = linear(limit.value, self.nest.regions.ranges)
        used = [axis for axis in order if axis in variables(form.to_expr())]
        if not used:
            return False
        rest = variables(form.without(used[-1]).to_expr())
        if rest & self._inner(used[-1], order) or (limit.of_reduction and self._is_around(used[-1])):
            return False
        return form.coefficient(used[-1]) > 0 and used[-1] not in rest

    def _guarded(self, body: Stmt, order: Sequence[IterVar], limits: Sequence[Limit]) -> Stmt:
        """Tests for the limits that no loop bound keeps."""
        exact = [limit for limit in limits if not limit.is_loose]
        tests = [limit_condition(limit) for limit in exact if not self._is_met(limit, order)]
        return If(all_of(*tests), body) if tests else body

    # -- statements -----------------------------------------------------------------------------

    def _target(self) -> tuple[Buffer, tuple[Expr, ...]]:
        name = self.placement.stage.name
        absolute = self.placement.absolute()
        indices = [absolute[axis] for axis in self.placement.stage.axis]
        return self.nest.buffers[name], self.nest.position(name, indices)

    def _value(self, expr: Expr) -> Expr:
        return self.nest.read(substitute(expr, self.placement.absolute()))

    def _statement(self) -> Stmt:
        body = self.placement.body
        buffer, indices = self._target()
        if not isinstance(body, Reduce):
            return Store(buffer, indices, self._value(body))
        if body.kind == "fold":
            return self._update_states(body)
        if self.states:
            buffer, indices = self.states[0], self.state_index
        current = Load(buffer, indices)
        condition, update = self._skipped(body)
        step = Binary(Reduce.IDENTITY[body.kind], current, self._value(update))
        store = Store(buffer, indices, step, update=True)
        return store if condition is None else If(condition, store)

    def _skipped(self, body: Reduce) -> tuple[Expr | None, Expr]:
        """What a step of a register tile adds, and the condition (alike in all lanes) under which it does."""
        update, start = body.update[0], body.init[0]
        if self.placement.stage.scope != "register" or not isinstance(update, Select):
            return None, update
        if not isinstance(start, Const) or not _is_value(update.otherwise, start.value):
            return None, update
        condition = self._value(update.condition)
        loops = {v for v in variables(condition) if isinstance(v, IterVar)}
        reads = any(isinstance(node, Load) for node in walk(condition))
        if reads or any(self.nest.is_in_lanes(v) for v in loops):
            return None, update
        return condition, update.then

    def _around(self, statement: Stmt) -> Stmt:
        """The loops over the output's axes where the reduction begins, without the reduction's own."""
        order = [axis for axis in self.leaves if axis.kind == "data"]
        limits = self._output_limits()
        body = self._guarded(statement, order, limits)
        for axis in reversed([a for a in self.leaves[self.first :] if a.kind == "data"]):
            body = self._loop(axis, body, order, limits)
        return body

    def _initialise(self) -> Stmt:
        body = self.placement.body
        assert isinstance(body, Reduce)
        if self.states:
            stores = [
                Store(s, self.state_index, self._value(v))
                for s, v in zip(self.states, body.init, strict=True)
            ]
            return self._around(block(stores))
        buffer, indices = self._target()
        zero = self._around(Store(buffer, indices, body.init[0]))
        inplace = self.placement.stage.inplace
        if inplace is None:
            return zero
        around = self.nest.regions.placements[inplace.stage].values
        steps = [simplify_index(around[axis], self.nest.regions.ranges) for axis in inplace.outer_axes]
        at_start = [binary("==", step, const(0)) for step in steps if not isinstance(step, Const)]
        if not at_start:
            return zero
        absolute = self.placement.absolute()
        index = tuple(absolute[axis] for axis in self.placement.stage.axis)
        source = Load(self.nest.buffers[inplace.stage], self.nest.position(inplace.stage, index))
        return If(all_of(*at_start), zero, self._around(Store(buffer, indices, source)))

    # -- folds ----------------------------------------------------------------------------------

    def _make_states(self, body: Reduce) -> None:
        """State buffers over the axes whose loops lie inside the reduction."""
        inside = set(self.leaves[self.first :])
        kept = [a for a in self.placement.stage.axis if variables(self.placement.values[a]) & inside]
        shape = [self.placement.extents[a] for a in kept] or [1]
        ranges = self.nest.regions.ranges
        self.state_index = tuple(simplify_index(self.placement.values[a], ranges) for a in kept) or (
            const(0),
        )
        name = self.placement.stage.name
        self.states = tuple(
            Buffer(f"{name}.state{n}", shape, value.dtype, "stack") for n, value in enumerate(body.init)
        )

    def _with_states(self, body: Reduce, expr: Expr) -> Expr:
        loaded = {v: Load(s, self.state_index) for v, s in zip(body.state, self.states, strict=True)}
        return substitute(self._value(expr), dict(loaded))

    def _update_states(self, body: Reduce) -> Stmt:
        pairs = zip(self.states, body.update, strict=True)
        return Assign([Store(s, self.state_index, self._with_states(body, v), update=True) for s, v in pairs])

    def _finish(self) -> Stmt:
        body = self.placement.body
        assert isinstance(body, Reduce)
        buffer, indices = self._target()
        result: Expr = Load(self.states[0], self.state_index)
        if body.finish is not None:
            result = self._with_states(body, body.finish)
        return self._around(Store(buffer, indices, result))


def _is_written_out(mark: LoopMark) -> bool:
    return mark.kind is LoopKind.VECTORIZE or (mark.kind is LoopKind.UNROLL and mark.factor == 0)


def _is_value(expr: Expr, value: object) -> bool:
    return isinstance(expr, Const) and expr.value == value
