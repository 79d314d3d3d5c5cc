"""Bound inference: the region of every stage that its readers need, where it is computed.

Stages are visited from the outputs back. A region is a begin (an index over the loops around it) and a
constant extent per dimension, with limits that cut it at tensor edges and at the tails of splits.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.ir.affine import FAR, Linear, Ranges, bounds, key, linear
from tilewright.compiler.ir.visit import substitute, variables
from tilewright.compiler.lower.comparisons import conjuncts, slack_form
from tilewright.compiler.schedule import Schedule, Stage
from tilewright.compiler.schedule.axes import axis_extents, axis_values
from tilewright.compiler.schedule.stage import SplitRelation
from tilewright.compiler.te.expr import FLOATS, Binary, Const, Expr, IterVar, Load, Reduce, Select, Var, const
from tilewright.compiler.te.tensor import ComputeOp, loads


@dataclass(frozen=True, slots=True)
class Limit:
    """``value < bound``, or ``value >= 0`` where ``bound`` is None.

    One ``of_reduction`` says which steps there are, not which elements; a guard is tested, not put into the
    bounds of loops, and does not cut what the stage reads. What lies past a loose one is not needed: loops
    that are not written out end there, and nothing is tested.
    """

    value: Expr
    bound: int | None
    of_reduction: bool = False
    is_guard: bool = False
    is_loose: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """Offsets ``x`` with ``x + form >= bound`` are not needed; a loose one comes of a loose limit."""

    form: Linear
    bound: int
    is_loose: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """One dimension of a region: ``[begin, begin + extent)``, and cuts of the offsets inside it."""

    begin: Linear
    extent: int
    cuts: tuple[Cut, ...] = ()


@dataclass(slots=True)
class Placement:
    """A stage with its region: what is needed to write its loops."""

    stage: Stage
    body: Expr
    begins: dict[IterVar, Linear]
    extents: dict[IterVar, int]
    values: dict[IterVar, Expr]
    limits: list[Limit]
    outer: tuple[IterVar, ...] = ()

    def absolute(self) -> dict[Var, Expr]:
        """The value of each root axis in the tensor's own coordinates."""
        result: dict[Var, Expr] = {}
        for axis in (*self.stage.op.axis, *self.reduce_axis):
            begin = self.begins.get(axis)
            value = self.values[axis]
            result[axis] = value if begin is None or _is_zero(begin) else begin.to_expr() + value
        return result

    @property
    def reduce_axis(self) -> tuple[IterVar, ...]:
        """The axes that are looped over beside the output's."""
        return (*self.stage.op.reduce_axis, *self.stage.extra_axes)


@dataclass(slots=True)
class Regions:
    """The placements of all stages, and the range of every loop variable."""

    placements: dict[str, Placement] = field(default_factory=dict)
    ranges: dict[Var, tuple[int, int]] = field(default_factory=dict)


def _is_zero(form: Linear) -> bool:
    return not form.terms and form.const == 0


def infer_regions(schedule: Schedule, bodies: dict[str, Expr]) -> Regions:
    """Place every stage that is read or is an output."""
    regions = Regions()
    outputs = {tensor.name for tensor in schedule.outputs}
    for stage in reversed(schedule.stages):
        if stage.name not in bodies:
            continue
        spans = _whole(stage)
        outer: tuple[IterVar, ...] = ()
        if stage.attach.kind == "at":
            outer = _enclosing_loops(stage, schedule)
            wanted = _required(stage, regions, set(outer))
            if wanted is None:
                continue
            spans = [
                _clip(span, axis.extent, regions.ranges)
                for span, axis in zip(wanted, stage.axis, strict=True)
            ]
        elif stage.name not in outputs and not _is_read(stage, regions):
            continue
        elif stage.inplace is not None:
            raise ScheduleError(
                f"{stage.name}: compute_at the cache inside {stage.inplace.outer_axes[-1].name}"
            )
        regions.placements[stage.name] = _place(stage, bodies[stage.name], spans, outer, regions)
    return regions


def _is_read(stage: Stage, regions: Regions) -> bool:
    return any(_reads_of(p.body, stage.name) for p in regions.placements.values())


def _reads_of(body: Expr, name: str) -> list[Load]:
    return [load for load in loads(body) if load.source.name == name]


def _whole(stage: Stage) -> list[Span]:
    return [Span(Linear({}, 0), axis.extent) for axis in stage.axis]


def _enclosing_loops(stage: Stage, schedule: Schedule) -> tuple[IterVar, ...]:
    """The loops around the place where a stage is attached, outermost first."""
    if stage.attach.kind != "at":
        return ()
    reader, axis = schedule.stage(stage.attach.stage), stage.attach.axis
    assert axis is not None
    if axis not in reader.leaf:
        raise ScheduleError(
            f"{stage.name} is computed at {reader.name}'s loop {axis.name}, which is gone since: "
            "call compute_at after what split, fused or moved it"
        )
    return (*_enclosing_loops(reader, schedule), *reader.leaf[: reader.leaf.index(axis) + 1])


def _required(stage: Stage, regions: Regions, fixed: set[IterVar]) -> list[Span] | None:
    """The union of what all readers read, over every loop that is not fixed."""
    result: list[Span] | None = None
    for placement in regions.placements.values():
        reads = _reads_of(placement.body, stage.name)
        if not reads:
            continue
        if stage.attach.axis not in (*placement.outer, *placement.stage.leaf):
            raise ScheduleError(
                f"compute_at: {placement.stage.name} also reads {stage.name}, outside the loop "
                f"{stage.attach.axis.name if stage.attach.axis is not None else ''} of {stage.attach.stage}"
            )
        values = placement.absolute()
        for load in reads:
            limits = [*placement.limits, *_loose_around(placement, regions)]
            if not _may_be_anything(placement, load):
                limits = [limit for limit in limits if not limit.is_loose]
            spans = [
                span_of(substitute(index, values), limits, fixed, regions.ranges) for index in load.indices
            ]
            result = spans if result is None else _union(result, spans, stage, regions.ranges)
    return result


def _loose_around(placement: Placement, regions: Regions) -> list[Limit]:
    """The loose limits of the stages inside whose loops a stage is computed: those loops end there, too."""
    around = set(placement.outer)
    others = (p for p in regions.placements.values() if not around.isdisjoint(p.stage.leaf))
    return [limit for other in others for limit in other.limits if limit.is_loose]


def _may_be_anything(placement: Placement, load: Load) -> bool:
    """Whether an element that is not needed may be undefined: a float that is no part of an index."""
    indices = [index for other in loads(placement.body) for index in other.indices]
    return load.dtype in FLOATS and not any(load is node for index in indices for node in loads(index))


def span_of(index: Expr, limits: Sequence[Limit], fixed: set[IterVar], ranges: Ranges) -> Span:
    """What an index covers while the fixed loops stand still."""
    held, loose = _part(linear(index, ranges), fixed)
    low, high = bounds(loose, ranges)
    if high - low > 1 << 50:
        return Span(Linear({}, 0), 1 << 60)
    cuts = []
    for limit in limits:
        if limit.bound is None or limit.is_guard:
            continue
        limit_held, limit_loose = _part(linear(limit.value, ranges), fixed)
        difference = limit_loose.add(loose, -1)
        # A loose limit may speak of a part of the index, such as the block in which it lies.
        other = difference.terms.keys() & loose.terms.keys()
        if not loose.terms or len(other) >= (len(loose.terms) if limit.is_loose else 1):
            continue
        least, _ = bounds(difference, ranges)
        if not difference.terms or (limit.is_loose and least > -FAR):
            form = Linear(limit_held.terms, limit_held.const + least + low)
            cuts.append(Cut(form, limit.bound, limit.is_loose))
    return Span(Linear(held.terms, held.const + low), high - low + 1, tuple(cuts))


def _part(form: Linear, fixed: set[IterVar]) -> tuple[Linear, Linear]:
    """The terms over fixed loops only (with the constant), and the others.

    What is read from a tensor is known nowhere.
    """
    held = {
        k: t for k, t in form.terms.items() if variables(t[0]) <= fixed and next(loads(t[0]), None) is None
    }
    loose = {k: t for k, t in form.terms.items() if k not in held}
    return Linear(held, form.const), Linear(loose, 0)


def _union(left: list[Span], right: list[Span], stage: Stage, ranges: Ranges) -> list[Span]:
    spans = []
    for a, b, axis in zip(left, right, stage.axis, strict=True):
        difference = b.begin.add(a.begin, -1)
        if difference.terms:
            spans.append(Span(Linear({}, 0), axis.extent))
            continue
        shift = difference.const
        begin = a.begin if shift >= 0 else b.begin
        extent = max(a.extent, shift + b.extent) - min(0, shift)
        spans.append(Span(begin, extent, _common_cuts(a, b, shift)))
    return spans


def _common_cuts(a: Span, b: Span, shift: int) -> tuple[Cut, ...]:
    """What is needed of neither region, the second beginning ``shift`` behind the first."""
    others = _cut_keys(b, max(0, shift))
    pairs = ((cut, others[k]) for k, cut in _cut_keys(a, max(0, -shift)).items() if k in others)
    return tuple(max(pair, key=lambda cut: cut.bound - cut.form.const) for pair in pairs)


def _cut_keys(span: Span, shift: int) -> dict[object, Cut]:
    """The cuts of a region, told from ``shift`` ahead of it; loose ones may differ in a constant."""
    found: dict[object, Cut] = {}
    for cut in span.cuts:
        moved = replace(cut, form=Linear(cut.form.terms, cut.form.const - shift))
        exact = () if cut.is_loose else (moved.form.const, cut.bound)
        found[key(Linear(cut.form.terms, 0).to_expr()), exact] = moved
    return found


def _clip(span: Span, extent: int, ranges: Ranges) -> Span:
    """Cut a region at the edges of its tensor."""
    low, high = bounds(span.begin, ranges)
    # Other cuts would become tests, and copies of the code where they hold: more than the elements are worth.
    if span.extent >= extent and not any(cut.is_loose for cut in span.cuts):
        return Span(Linear({}, 0), extent)
    if low == high:
        begin, end = max(0, low), min(extent, low + span.extent)
        kept = span.cuts if begin == low else ()
        return Span(Linear({}, begin), max(1, end - begin), kept)
    return Span(Linear({}, 0), extent) if span.extent >= extent else span


def _place(
    stage: Stage, body: Expr, spans: list[Span], outer: tuple[IterVar, ...], regions: Regions
) -> Placement:
    assert isinstance(stage.op, ComputeOp)
    begins = {axis: span.begin for axis, span in zip(stage.axis, spans, strict=True)}
    roots = {axis: _rounded(stage, axis, span.extent) for axis, span in zip(stage.axis, spans, strict=True)}
    roots |= {axis: axis.extent for axis in (*stage.op.reduce_axis, *stage.extra_axes)}
    extents = axis_extents(stage, roots)
    for leaf in stage.leaf:
        regions.ranges[leaf] = (0, extents[leaf] - 1)
    values, split_limits = axis_values(stage, extents, {leaf: leaf for leaf in stage.leaf})
    reduced = [values[axis] for axis in values if axis.kind == "reduce"]
    limits = [
        Limit(value, bound, any(value is r for r in reduced), is_guard)
        for value, bound, is_guard in split_limits
    ]
    for axis, span in zip(stage.axis, spans, strict=True):
        if axis not in stage.rounded:
            limits += _edge_limits(values[axis], span, axis.extent, regions.ranges)
    shared = _accumulation_loops(stage, outer, regions)
    placement = Placement(stage, substitute(body, shared), begins, extents, values, limits, outer)
    replaced = {**shared, **placement.absolute()}
    limits += [Limit(substitute(value, replaced), bound, True) for value, bound in stage.limits]
    if stage.trimmed:
        limits += [
            Limit(substitute(value, replaced), 1, True, is_loose=True)
            for value in _contributing(placement.body)
        ]
    placement.limits = _needed(limits, regions.ranges)
    if stage.rounded:
        _check_rounded(placement, regions.ranges)
    return placement


def _rounded(stage: Stage, axis: IterVar, extent: int) -> int:
    """The extent of an axis; whole tiles of the stage's own where it is rounded up."""
    factors = [r.factor for r in stage.relations if isinstance(r, SplitRelation) and r.parent is axis]
    if axis not in stage.rounded or not factors or factors[0] is None:
        return extent
    return -(-extent // factors[0]) * factors[0]


def _check_rounded(placement: Placement, ranges: Ranges) -> None:
    """Refuse to read past the end of a tensor because a stage is computed past its own."""
    stage, absolute = placement.stage, placement.absolute()
    conditions = [(substitute(value, absolute), bound) for value, bound in _step_conditions(placement.body)]
    beyond = {axis for axis in stage.rounded if bounds(absolute[axis], ranges)[1] >= axis.extent}
    for load in loads(placement.body):
        for index, extent in zip(load.indices, load.source.shape, strict=True):
            is_concerned = not variables(index).isdisjoint(beyond)
            if is_concerned and not _is_below(substitute(index, absolute), extent, conditions, ranges):
                names = ", ".join(sorted(axis.name for axis in beyond))
                raise ScheduleError(
                    f"round_up({names}): {stage.name} would read {load.source.name} past its end; "
                    "pack it with pad=True"
                )


def _step_conditions(body: Expr) -> list[tuple[Expr, int]]:
    """The conditions ``value < bound`` under which a step of a reduction contributes."""
    found = []
    waiting = [s.condition for s in body.update if isinstance(s, Select)] if isinstance(body, Reduce) else []
    while waiting:
        test = waiting.pop()
        if isinstance(test, Binary) and test.op == "and":
            waiting += [test.a, test.b]
        elif isinstance(test, Binary) and test.op == "<" and isinstance(test.b, Const):
            found.append((test.a, int(test.b.value)))
    return found


def _contributing(body: Expr) -> list[Expr]:
    """Indices that are at most zero in every step that does not leave a reduction as it was."""
    if not isinstance(body, Reduce):
        return []
    kept = body.state or body.init
    found: dict[Hashable, Expr] = {}
    for number, (step, same) in enumerate(zip(body.update, kept, strict=True)):
        tests: dict[Hashable, Expr] = {}
        while isinstance(step, Select) and key(step.otherwise) == key(same):
            tests |= _nonpositive(step.condition)
            step = step.then
        found = tests if not number else {k: value for k, value in found.items() if k in tests}
    return list(found.values())


def _nonpositive(condition: Expr) -> dict[Hashable, Expr]:
    """Indices that are at most zero where a condition holds, by their keys."""
    forms = [slack_form(test) for test in conjuncts(condition) if next(loads(test), None) is None]
    values = [form.scale(-1).to_expr() for form in forms if form is not None]
    return {key(value): value for value in values}


def _is_below(index: Expr, extent: int, conditions: Sequence[tuple[Expr, int]], ranges: Ranges) -> bool:
    """Whether an index is inside a tensor, by its own bounds or by a condition."""
    form = linear(index, ranges)
    slack = [linear(value, ranges).add(form, -1) for value, bound in conditions if bound <= extent]
    return bounds(form, ranges)[1] < extent or any(bounds(more, ranges)[0] >= 0 for more in slack)


def _accumulation_loops(stage: Stage, outer: tuple[IterVar, ...], regions: Regions) -> dict[Var, Expr]:
    """The loops of the stage around that an accumulating cache refers to, as they are now."""
    if stage.inplace is None:
        return {}
    values = regions.placements[stage.inplace.stage].values
    shared: dict[Var, Expr] = {axis: values[axis] for axis in stage.inplace.outer_axes}
    inside = set().union(*(variables(v) for v in shared.values())) - set(outer)
    if any(regions.ranges[v] != (0, 0) for v in inside):
        names = ", ".join(sorted(v.name for v in inside))
        raise ScheduleError(f"{stage.name}: compute_at the cache inside {names} of {stage.inplace.stage}")
    return shared


def _edge_limits(value: Expr, span: Span, extent: int, ranges: Ranges) -> list[Limit]:
    limits = [Limit(cut.form.to_expr() + value, cut.bound, is_loose=cut.is_loose) for cut in span.cuts]
    low, high = bounds(span.begin, ranges)
    if high + span.extent > extent:
        limits.append(Limit(span.begin.to_expr() + value, extent))
    if low < 0:
        limits.append(Limit(span.begin.to_expr() + value, None))
    return limits


def _needed(limits: list[Limit], ranges: Ranges) -> list[Limit]:
    """The limits that can fail, each once."""
    result: dict[object, Limit] = {}
    for limit in limits:
        form = linear(limit.value, ranges)
        low, high = bounds(form, ranges)
        if (limit.bound is None and low < 0) or (limit.bound is not None and high >= limit.bound):
            value = form.to_expr()
            kept = replace(limit, value=value)
            result[(key(value), kept.bound, kept.of_reduction, kept.is_guard, kept.is_loose)] = kept
    return list(result.values())


def limit_condition(limit: Limit) -> Expr:
    """A limit as a condition."""
    return limit.value >= const(0) if limit.bound is None else limit.value < limit.bound
