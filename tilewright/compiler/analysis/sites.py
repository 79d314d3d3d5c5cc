"""The stores of a loop nest, each with the loops around it: what analyses walk over."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tilewright.compiler.analysis.iteration_counts import IterationCounts
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
)
from tilewright.compiler.lower.constants import divide_constants
from tilewright.compiler.te.expr import Expr, Var

_WRITTEN_OUT = (LoopKind.VECTORIZE, LoopKind.UNROLL, LoopKind.UNROLL_HINT)


@dataclass(slots=True, eq=False)
class Loop:
    """A loop around a store.

    Attributes:
        trips: its mean number of iterations each time that it is come to.
        is_written_out: whether its iterations are straight-line code: unrolled, or the lanes of vectors.
        is_peeled: whether conditions that depend on it are resolved by cutting it.
        is_innermost: whether no loop that stays one is inside.
    """

    var: Var
    kind: LoopKind
    factor: int
    trips: float
    is_written_out: bool
    is_peeled: bool = False
    is_innermost: bool = True

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
    return list(_Walk(IterationCounts(nest.ranges)).visit(body, (), (), 1.0, ()))


@dataclass(frozen=True, slots=True)
class _Walk:
    counts: IterationCounts

    def visit(
        self,
        stmt: Stmt,
        loops: tuple[Loop, ...],
        around: tuple[For, ...],
        share: float,
        conditions: tuple[Expr, ...],
        is_called: bool = False,
    ) -> Iterator[Site]:
        match stmt:
            case Store():
                yield Site(stmt, loops, share, conditions)
            case Block() | Assign():
                for part in stmt.body if isinstance(stmt, Block) else stmt.stores:
                    yield from self.visit(part, loops, around, share, conditions, is_called)
            case Alloc():
                yield from self.visit(stmt.body, loops, around, share, conditions, is_called)
            case Intrinsic():
                yield from self.visit(stmt.body, loops, around, share, conditions, True)
            case If():
                holds = self.counts.share(stmt.condition, around)
                tested = (*conditions, stmt.condition)
                yield from self.visit(stmt.then, loops, around, share * holds, tested, is_called)
                if stmt.otherwise is not None and holds < 1:
                    rest = share * (1 - holds)
                    yield from self.visit(stmt.otherwise, loops, around, rest, tested, is_called)
            case For():
                loop = self._loop(stmt, around, is_called)
                if not loop.is_written_out:
                    conditions = ()
                    for outer in loops:
                        outer.is_innermost = False
                yield from self.visit(
                    stmt.body, (*loops, loop), (*around, stmt), share, conditions, is_called
                )

    def _loop(self, loop: For, around: tuple[For, ...], is_called: bool) -> Loop:
        trips = self.counts.trips(loop, around)
        written_out = is_called or (loop.kind in _WRITTEN_OUT and loop.factor == 0)
        return Loop(loop.var, loop.kind, loop.factor, trips, written_out, loop.partition)
