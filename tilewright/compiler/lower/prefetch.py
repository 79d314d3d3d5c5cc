"""Software prefetches: one for each cache line that a loop's body reads or writes some iterations later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.ir.affine import Linear, simplify_index
from tilewright.compiler.ir.loops import Buffer, For, LoopKind, Prefetch, Stmt
from tilewright.compiler.ir.visit import substitute
from tilewright.compiler.lower.regions import Placement, Regions, Span, span_of
from tilewright.compiler.schedule.stage import Ahead
from tilewright.compiler.te.expr import BYTES, Expr, IterVar, Load, Var, const
from tilewright.compiler.te.tensor import loads

LINE_BYTES = 64
WRITTEN_OUT = 16


def write_prefetches(
    placement: Placement, depth: int, written: Load, read: Callable[[Expr], Expr], regions: Regions
) -> list[Stmt]:
    """The prefetches at the start of a loop's body.

    ``written`` is the element that the stage writes; ``read`` makes a tensor's element one of its buffer.
    """
    leaves, stage = placement.stage.leaf, placement.stage
    axis = leaves[depth]
    fixed = {a for a in leaves[: depth + 1] if stage.mark(a).kind is not LoopKind.VECTORIZE}
    fixed |= set(placement.outer)
    shift: dict[Var, Expr] = {}
    found: list[Stmt] = []
    for ahead in stage.mark(axis).prefetches:
        shift[axis] = axis + ahead.offset
        inner = [a for a in _inside(ahead, leaves[: depth + 1], fixed) if a in fixed]
        is_own = ahead.tensor == stage.name
        touched = [written] if is_own else _reads(placement, ahead.tensor, axis, regions, read)
        for buffer, spans in _regions(touched, fixed, regions):
            if buffer.scope == "register":
                raise ScheduleError(
                    f"prefetch({ahead.tensor}, {axis.name}): {ahead.tensor} is kept in registers; "
                    "prefetch what lies in memory"
                )
            begins = [substitute(span.begin.to_expr(), shift) for span in spans]
            extents = [span.extent for span in spans]
            if ahead.over is None:
                found.append(_lines(buffer, begins, extents, regions, ahead.level))
            else:
                found.append(_share(buffer, spans, inner, axis, ahead, regions))
    return found


def _inside(ahead: Ahead, leaves: Sequence[IterVar], around: set[IterVar]) -> Sequence[IterVar]:
    """Of a stage's loops those inside the one that shares a prefetch, if one does."""
    *_, axis = leaves
    if ahead.over is None:
        return []
    if ahead.over not in around - {axis}:
        raise ScheduleError(
            f"prefetch({ahead.tensor}, {axis.name}): over={ahead.over.name} is no loop around"
        )
    return leaves[leaves.index(ahead.over) + 1 :] if ahead.over in leaves else leaves


def _share(
    buffer: Buffer,
    spans: Sequence[Span],
    inner: Sequence[IterVar],
    axis: IterVar,
    ahead: Ahead,
    regions: Regions,
) -> Stmt:
    """One prefetch for each iteration of the loops inside, a little further than the last.

    Those of all iterations of the loop around go through what is read once, and no further: what comes
    before its time takes the place of what is used now. To ask for a line again costs less than to test
    whose turn it is.
    """
    assert ahead.over is not None
    shares = regions.ranges[ahead.over][1] + 1
    indices: list[Expr] = []
    inside: Expr = const(0)
    steps, last = [], 0
    for span, stride in zip(spans, buffer.strides, strict=True):
        rest = span.begin.add(Linear({}, ahead.offset * span.begin.coefficient(axis)))
        for loop in inner:
            step = span.begin.coefficient(loop) * stride
            rest = rest.without(loop)
            if step:
                inside, last = inside + loop * step, last + step * regions.ranges[loop][1]
                steps.append(step)
        indices.append(rest.to_expr())
    size = last + min(steps, default=0)
    indices[-1] = indices[-1] + (ahead.over * size + inside) // shares
    return Prefetch(Load(buffer, [simplify_index(index, regions.ranges) for index in indices]), ahead.level)


def _reads(
    placement: Placement, name: str, axis: IterVar, regions: Regions, read: Callable[[Expr], Expr]
) -> list[Load]:
    """The elements of a tensor that a stage reads."""
    call = f"prefetch({name}, {axis.name})"
    reads = [load for load in loads(placement.body) if load.source.name == name]
    if not reads:
        known = ", ".join(sorted({load.source.name for load in loads(placement.body)}))
        raise ScheduleError(f"{call}: {placement.stage.name} does not read {name}; it reads {known}")
    if name in regions.placements and axis in regions.placements[name].outer:
        raise ScheduleError(f"{call}: {name} is computed inside that loop; prefetch what it reads")
    if any(True for load in reads for index in load.indices for _ in loads(index)):
        raise ScheduleError(f"{call}: it is read at an index that its loops do not say")
    return [element for element in map(read, reads) if isinstance(element, Load)]


def _regions(reads: Sequence[Load], fixed: set[IterVar], regions: Regions) -> list[tuple[Buffer, list[Span]]]:
    """The boxes that are read, joined where they are known to lie near each other."""
    boxes: list[tuple[Buffer, list[Span]]] = []
    for load in reads:
        assert isinstance(load.source, Buffer)
        box = [span_of(index, (), fixed, regions.ranges) for index in load.indices]
        for number, (buffer, other) in enumerate(boxes):
            if all(not a.begin.add(b.begin, -1).terms for a, b in zip(box, other, strict=True)):
                boxes[number] = (buffer, [_hull(a, b) for a, b in zip(box, other, strict=True)])
                break
        else:
            boxes.append((load.source, box))
    return boxes


def _hull(a: Span, b: Span) -> Span:
    low = min(a.begin.const, b.begin.const)
    high = max(a.begin.const + a.extent, b.begin.const + b.extent)
    return Span(Linear(a.begin.terms, low), high - low)


def _lines(
    buffer: Buffer, begins: Sequence[Expr], extents: Sequence[int], regions: Regions, level: int
) -> Stmt:
    """One prefetch for each cache line of a box."""
    line = LINE_BYTES // BYTES[buffer.dtype]
    strides = buffer.strides
    run = 1
    apart: list[int] = []
    for d in reversed(range(len(extents))):
        # Neighbours within a line, or that touch what is there already, are one run of memory.
        if strides[d] <= max(run, line):
            run += (min(extents[d], buffer.shape[d]) - 1) * strides[d]
        elif extents[d] > 1:
            apart.insert(0, d)
    step = max(1, line // strides[-1])
    counts = [*(min(extents[d], buffer.shape[d]) for d in apart), -(-run // (step * strides[-1]))]
    variables = [Var(f"{buffer.name}.line{n}") for n in range(len(counts))]
    regions.ranges.update({v: (0, n - 1) for v, n in zip(variables, counts, strict=True)})
    indices = list(begins)
    for d, variable in zip(apart, variables, strict=False):
        indices[d] = indices[d] + variable
    indices[-1] = indices[-1] + variables[-1] * step
    element = Load(buffer, [simplify_index(index, regions.ranges) for index in indices])
    body: Stmt = Prefetch(element, level)
    factor = 0 if prod(counts) <= WRITTEN_OUT else 1
    for variable, count in reversed(list(zip(variables, counts, strict=True))):
        if count > 1:
            body = For(variable, const(0), const(count), body, LoopKind.UNROLL, factor)
    return body
