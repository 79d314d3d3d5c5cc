"""Keep what a reduction accumulates in registers while its loop runs, and share what its rows read.

::

    for i in range(32):              ->  for i.o in range(4):
        for k in range(8):                   for i.i in unrolled(8):
            for j in vectorized(32):             for j in vectorized(32): T[i.i, j] = C[i.o*8 + i.i, j]
                C[i, j] += A[i, k]*B[k, j]   for k in range(8):
                                                 for i.i in unrolled(8):
                                                     for j in vectorized(32): T[i.i, j] += A[...]*B[k, j]
                                             for i.i ...: C[i.o*8 + i.i, j] = T[i.i, j]

The loop around is split and moved inside (unroll and jam) as far as there are registers. Each element is
accumulated in the same order as before. A schedule says the same with ``cache_inplace`` or ``cache_write``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from tilewright.compiler.ir.loops import (
    Alloc,
    Block,
    Buffer,
    For,
    LoopKind,
    LoopNest,
    Prefetch,
    Stmt,
    Store,
    block,
    constant_extent,
    nest_loops,
)
from tilewright.compiler.ir.visit import map_stmt, substitute_stmt, variables, walk
from tilewright.compiler.target import Target
from tilewright.compiler.te.expr import BYTES, Binary, Expr, IterVar, Load, Var, const

_MOST_ROWS = 16
# Fewer rows read too much of the other operand from the second cache.
_FEWEST_MOVED_ROWS = 4
_WRITTEN_OUT = (LoopKind.UNROLL, LoopKind.VECTORIZE)


@dataclass(frozen=True, slots=True)
class _Reduction:
    """A loop whose whole body is one accumulation: the reduction's further loops, then loops written out.

    What is prefetched at each step stands ahead of those.
    """

    loop: For
    steps: tuple[For, ...]
    inner: tuple[For, ...]
    store: Store
    prefetches: tuple[Stmt, ...] = ()

    @property
    def tile(self) -> tuple[For, ...]:
        """The loops inside that choose the element that is accumulated."""
        used = {var for index in self.store.indices for var in variables(index)}
        return tuple(loop for loop in self.inner if loop.var in used)

    def vectors(self, target: Target) -> int:
        """The registers that the elements fill."""
        lanes = target.lanes(BYTES[self.store.buffer.dtype])
        sizes = [(constant_extent(loop) or 0, loop.kind is LoopKind.VECTORIZE) for loop in self.tile]
        return prod(-(-extent // lanes) if is_vector else extent for extent, is_vector in sizes)


def hold_accumulators(nest: LoopNest, target: Target) -> LoopNest:
    """The nest with what is accumulated in memory accumulated in registers, where they suffice."""
    pass_ = _Pass(target, dict(nest.ranges))
    body = pass_.visit(nest.body)
    if body is nest.body:
        return nest
    result = LoopNest(nest.inputs, nest.outputs, body)
    result.ranges = pass_.ranges
    return result


@dataclass(slots=True)
class _Pass:
    target: Target
    ranges: dict[Var, tuple[int, int]]
    count: int = 0

    def visit(self, stmt: Stmt) -> Stmt:
        if isinstance(stmt, For):
            held = self._hold_rows(stmt) or self._hold(stmt, ())
            if held is not None:
                return held
        return map_stmt(stmt, lambda expr: expr, self.visit)

    def _hold_rows(self, loop: For) -> Stmt | None:
        """Unroll and jam a loop around a reduction, moved out of the reduction's loops around it."""
        around, rows = self._find_rows(loop)
        extent = None if rows is None else constant_extent(rows)
        if rows is None or extent is None or not isinstance(rows.body, For):
            return None
        found = _find_reduction(rows.body)
        if found is None or rows.var in variables(found.loop.end) or not self._is_worth_moving(found, around):
            return None
        room = self._registers() // max(1, found.vectors(self.target)) - 1
        count = max((n for n in range(1, min(room, _MOST_ROWS) + 1) if extent % n == 0), default=1)
        if count == 1 or (around and count < _FEWEST_MOVED_ROWS):
            return None
        outer = self._variable(f"{rows.var.name}.o", extent // count)
        inner = self._variable(f"{rows.var.name}.i", count)
        body = nest_loops(around, substitute_stmt(rows.body, {rows.var: outer * count + inner}))
        assert isinstance(body, For)
        held = self._hold(body, (For(inner, const(0), const(count), body, LoopKind.UNROLL),))
        if held is None:
            return None
        return For(outer, const(0), const(extent // count), held, rows.kind, rows.factor, rows.outline)

    def _find_rows(self, loop: For) -> tuple[list[For], For | None]:
        """The loop over rows of an accumulation, and the reduction's loops around it."""
        loops: list[For] = []
        body: Stmt = loop
        while isinstance(body, For):
            loops.append(body)
            body = body.body
        if not isinstance(body, Store):
            return [], None
        used = {var for index in body.indices for var in variables(index)}
        place = next((n for n, part in enumerate(loops) if part.var in used), len(loops))
        if place == len(loops) or any(not _is_plain(part) for part in loops[: place + 1]):
            return [], None
        return loops[:place], loops[place]

    def _is_worth_moving(self, found: _Reduction, around: list[For]) -> bool:
        """Whether what a row block reads of the other operand stays in the second cache."""
        steps = prod(constant_extent(part) or 0 for part in (*around, found.loop, *found.steps))
        panel = steps * found.vectors(self.target) * self.target.vector_bits // 8
        return not around or panel <= self.target.l2_bytes // 2

    def _hold(self, loop: For, rows: tuple[For, ...]) -> Stmt | None:
        """Accumulate in registers across a loop; ``rows`` are further loops of the tile."""
        found = _find_reduction(loop)
        if found is None:
            return None
        tile = (*rows, *found.tile)
        vectors = found.vectors(self.target) * prod(constant_extent(row) or 0 for row in rows)
        if not tile or vectors > self._registers():
            return None
        store = found.store
        self.count += 1
        shape = [constant_extent(part) or 0 for part in tile]
        name = f"{store.buffer.name}.held{self.count}"
        held = Buffer(name, shape, store.buffer.dtype, "register")
        index = [part.var for part in tile]
        value = _redirect(store.value, store, Load(held, index))
        update = Store(held, index, value, update=True)
        read = Store(held, index, Load(store.buffer, store.indices))
        write = Store(store.buffer, store.indices, Load(held, index))
        step = block([*found.prefetches, nest_loops((*rows, *found.inner), update)])
        steps = loop.replace(body=nest_loops(found.steps, step))
        return Alloc(held, block([nest_loops(tile, read), steps, nest_loops(tile, write)]))

    def _registers(self) -> int:
        """What is left when one register holds the value that a row shares."""
        return self.target.vector_registers - 2

    def _variable(self, name: str, extent: int) -> IterVar:
        var = IterVar(name, extent)
        self.ranges[var] = (0, extent - 1)
        return var


def _find_reduction(loop: For) -> _Reduction | None:
    """The accumulation that is all that a loop does, if it can be held in registers."""
    inner: list[For] = []
    prefetches: tuple[Stmt, ...] = ()
    ahead_of = 0
    body: Stmt = loop
    while isinstance(body, For):
        if body.outline or (body is not loop and constant_extent(body) is None):
            return None
        inner.append(body)
        body = body.body
        if isinstance(body, Block) and not prefetches:
            prefetches = tuple(part for part in body.body[:-1] if _only_prefetches(part))
            if len(prefetches) == len(body.body) - 1:
                ahead_of, body = len(inner), body.body[-1]
    if not isinstance(body, Store) or body.buffer.scope in ("register", "stack") or not is_accumulation(body):
        return None
    used = {var for index in body.indices for var in variables(index)}
    is_tile = [part.var in used for part in inner]
    steps = is_tile.index(True) if True in is_tile else 0
    if not steps or not all(part.kind in (LoopKind.SERIAL, LoopKind.UNROLL) for part in inner[:steps]):
        return None
    if any(part.kind not in _WRITTEN_OUT or part.factor for part in inner[steps:]):
        return None
    if prefetches and ahead_of != steps:
        return None
    return _Reduction(loop, tuple(inner[1:steps]), tuple(inner[steps:]), body, prefetches)


def _only_prefetches(stmt: Stmt) -> bool:
    return isinstance(stmt, Prefetch) or (isinstance(stmt, For) and _only_prefetches(stmt.body))


def is_accumulation(store: Store) -> bool:
    """Whether a statement adds to the element that it writes, and reads nothing else of that buffer."""
    reads = [node for node in walk(store.value) if isinstance(node, Load) and node.source is store.buffer]
    value = store.value
    return store.update and len(reads) == 1 and isinstance(value, Binary) and value.a is reads[0]


def _is_plain(loop: For) -> bool:
    marked = loop.kind is not LoopKind.SERIAL or loop.factor or loop.outline
    return not marked and constant_extent(loop) is not None


def _redirect(value: Expr, store: Store, held: Load) -> Expr:
    assert isinstance(value, Binary)
    return Binary(value.op, held, value.b)
