"""The stores of a loop nest, each with the loops around it: what analyses walk over."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from tilewright.compiler.analysis.iteration_counts import Cases, IterationCounts
from tilewright.compiler.ir.loops import (
    Alloc,
    Assign,
    Block,
    For,
    If,
    Intrinsic,
    LoopKind,
    LoopNest,
    Stmt,
    Store,
    allocated,
)
from tilewright.compiler.lower.constants import divide_constants
from tilewright.compiler.te.expr import Expr, Var

_WRITTEN_OUT = (LoopKind.VECTORIZE, LoopKind.UNROLL, LoopKind.UNROLL_HINT)


@dataclass(slots=True, eq=False)
class Loop:
    """A loop around a store.

    Attributes:
        cases: the numbers of iterations that it has when it is come to, with the share of each.
        trips: their mean.
        is_written_out: whether its iterations are straight-line code: unrolled, or the lanes of vectors.
        is_peeled: whether conditions that depend on it are resolved by cutting it.
        is_innermost: whether no loop that stays one is inside.
    """

    var: Var
    kind: LoopKind
    cases: Cases
    is_written_out: bool
    is_peeled: bool = False
    is_innermost: bool = True
    trips: float = field(init=False)

    def __post_init__(self) -> None:
        self.trips = sum(count * share for count, share in self.cases)

    @property
    def is_lanes(self) -> bool:
        """Whether its iterations are the lanes of vectors."""
        return self.kind is LoopKind.VECTORIZE


@dataclass(slots=True, eq=False)
class Site:
    """A store in a nest.

    Attributes:
        loops: those around it, outermost first.
        share: the share of the iterations in which the conditions around it hold.
        conditions: those that are tested in the innermost loop that stays one.
    """

    store: Store
    loops: tuple[Loop, ...]
    share: float
    conditions: tuple[Expr, ...]

    @property
    def depth(self) -> int:
        """How many loops are around the straight-line code that the store is part of."""
        return next((n for n in range(len(self.loops), 0, -1) if not self.loops[n - 1].is_written_out), 0)


def find_sites(nest: LoopNest, constants: Collection[str] = ()) -> list[Site]:
    """The stores of a nest in order, without those that are done once, ahead, from constant operands."""
    body = divide_constants(nest, constants).run if constants else nest.body
    return list(_visit(body, _Place(IterationCounts(nest.ranges))))


@dataclass(frozen=True, slots=True)
class _Place:
    """What is around a statement."""

    counts: IterationCounts
    loops: tuple[Loop, ...] = ()
    around: tuple[For, ...] = ()
    share: float = 1.0
    conditions: tuple[Expr, ...] = ()
    is_called: bool = False  # inside what an intrinsic stands for


def _visit(stmt: Stmt, place: _Place) -> Iterator[Site]:
    match stmt:
        case Store():
            yield Site(stmt, place.loops, place.share, place.conditions)
        case Block() | Assign():
            for part in stmt.body if isinstance(stmt, Block) else stmt.stores:
                yield from _visit(part, place)
        case Alloc():
            yield from _visit(allocated(stmt)[1], place)
        case Intrinsic():
            yield from _visit(stmt.body, replace(place, is_called=True))
            if stmt.meanwhile is not None:
                yield from _visit(stmt.meanwhile, place)
        case If():
            yield from _visit_if(stmt, place)
        case For():
            yield from _visit(stmt.body, _enter(stmt, place))


def _visit_if(stmt: If, place: _Place) -> Iterator[Site]:
    holds = place.counts.share(stmt.condition, place.around)
    tested = (*place.conditions, stmt.condition)
    yield from _visit(stmt.then, replace(place, share=place.share * holds, conditions=tested))
    if stmt.otherwise is not None and holds < 1:
        rest = place.share * (1 - holds)
        yield from _visit(stmt.otherwise, replace(place, share=rest, conditions=tested))


def _enter(stmt: For, place: _Place) -> _Place:
    """What is around the body of a loop."""
    cases = place.counts.trips(stmt, place.around)
    is_written_out = place.is_called or (stmt.kind in _WRITTEN_OUT and stmt.factor == 0)
    if not is_written_out:
        for outer in place.loops:
            outer.is_innermost = False
    loop = Loop(stmt.var, stmt.kind, cases, is_written_out, stmt.partition)
    conditions = place.conditions if is_written_out else ()
    around = (*place.around, stmt)
    return replace(place, loops=(*place.loops, loop), around=around, conditions=conditions)
