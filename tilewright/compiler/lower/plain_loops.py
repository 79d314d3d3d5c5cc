"""Loops that a schedule leaves as they are: vectorized, and where they accumulate, tiled for the registers.

::

    for k in range(512):            ->  for i.o in range(8):
        for i in range(64):                 for j.o in range(4):
            for j in range(256):                for k in range(512):
                C[i, j] += A[i, k]*B[k, j]          for i.i in unrolled(8):
                                                        for j.i in vectorized(64): C[...] += ...

Only nests without any annotation are touched. Loops change places, yet every element is accumulated in the
same order as before.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tilewright.compiler.ir.affine import linear
from tilewright.compiler.ir.loops import (
    For,
    LoopKind,
    LoopNest,
    Stmt,
    Store,
    block,
    constant_extent,
    nest_loops,
)
from tilewright.compiler.ir.visit import map_stmt, substitute, variables, walk
from tilewright.compiler.lower.accumulators import is_accumulation
from tilewright.compiler.target import Target
from tilewright.compiler.te.expr import BYTES, Expr, IterVar, Load, Var, const

_MOST_ROWS = 8
_MOST_VECTORS = 8
_COPIED_VECTORS = 4
_LATENCY = 4
_FEWEST_LANES = 4


def tile_plain_loops(nest: LoopNest, target: Target) -> LoopNest:
    """The nest with its plain loops vectorized, and plain reductions tiled."""
    tiler = _Tiler(target, dict(nest.ranges))
    body = tiler.visit(nest.body)
    if body is nest.body:
        return nest
    result = LoopNest(nest.inputs, nest.outputs, body)
    result.ranges = tiler.ranges
    return result


@dataclass(frozen=True, slots=True)
class _Strip:
    """Part of a loop in two: ``count`` strips of ``size`` iterations; the loop's variable over both."""

    outer: For | None
    inner: For | None
    value: Expr


@dataclass(slots=True)
class _Tiler:
    target: Target
    ranges: dict[Var, tuple[int, int]]

    def visit(self, stmt: Stmt) -> Stmt:
        if isinstance(stmt, For):
            chain = _plain_chain(stmt)
            if chain is not None:
                return self._rewrite(*chain) or stmt
        return map_stmt(stmt, lambda expr: expr, self.visit)

    def _rewrite(self, loops: list[For], store: Store) -> Stmt | None:
        lanes = self.target.lanes(BYTES[store.buffer.dtype])
        wide = next((loop for loop in reversed(loops) if self._is_contiguous(loop, store, lanes)), None)
        if is_accumulation(store):
            return self._tile(loops, store, wide, lanes)
        reads_itself = any(isinstance(n, Load) and n.source is store.buffer for n in walk(store.value))
        if wide is not loops[-1] or reads_itself or store.update:
            return None
        strips = self._strips(wide, _COPIED_VECTORS * lanes, LoopKind.VECTORIZE)
        return block(
            [
                nest_loops([*loops[:-1], *_given(s.outer, s.inner)], _at(store, {wide.var: s.value}))
                for s in strips
            ]
        )

    def _tile(self, loops: list[For], store: Store, contiguous: For | None, lanes: int) -> Stmt | None:
        """Put what is left of the loops over elements outside the reduction, and a register tile inside."""
        elements = [loop for loop in loops if any(loop.var in variables(i) for i in store.indices)]
        if not elements or len(elements) == len(loops):
            return None
        wide = contiguous or elements[-1]
        row = next((loop for loop in reversed(elements) if loop is not wide), None)
        lanes = lanes if contiguous else 1  # a tile of scalars
        rows, vectors = self._tile_size(row, wide, lanes)
        row_strips = [None] if row is None else self._strips(row, rows, LoopKind.UNROLL)
        kind = LoopKind.VECTORIZE if contiguous else LoopKind.UNROLL
        reductions = [loop for loop in loops if loop not in elements]
        parts = []
        for tall, across in itertools.product(row_strips, self._strips(wide, vectors * lanes, kind)):
            outer: list[For] = []
            for loop in elements:
                strip = across if loop is wide else tall if loop is row else None
                outer += [loop] if strip is None else _given(strip.outer)
            inner = [*(_given(tall.inner) if tall else ()), *_given(across.inner)]
            values = {wide.var: across.value}
            if row is not None and tall is not None:
                values[row.var] = tall.value
            parts.append(nest_loops([*outer, *reductions, *inner], _at(store, values)))
        return block(parts)

    def _tile_size(self, row: For | None, wide: For, lanes: int) -> tuple[int, int]:
        """Rows and vectors of the tile that covers the elements in the fewest cycles."""
        across = -(-(constant_extent(wide) or 1) // lanes)
        down = 1 if row is None else constant_extent(row) or 1
        room = self.target.vector_registers - 2
        sizes = [
            (rows, vectors)
            for rows in range(1, min(down, _MOST_ROWS) + 1)
            for vectors in range(1, min(across, _MOST_VECTORS) + 1)
            if (rows + 1) * vectors + 1 <= room
        ]

        def cycles(size: tuple[int, int]) -> tuple[float, int]:
            rows, vectors = size
            step = max(rows * vectors / 2, (rows + vectors) / 2, _LATENCY)
            return -(-down // rows) * -(-across // vectors) * step, -rows * vectors

        return min(sizes, key=cycles)

    def _is_contiguous(self, loop: For, store: Store, lanes: int) -> bool:
        """Whether the iterations of a loop write neighbours, and read neighbours or one element."""
        extent = constant_extent(loop) or 0
        if extent < min(lanes, _FEWEST_LANES) or self._stride(store.indices, loop.var) != 1:
            return False
        reads = [node for node in walk(store.value) if isinstance(node, Load)]
        if any(isinstance(node, Load) for read in reads for i in read.indices for node in walk(i)):
            return False
        return all(self._stride(read.indices, loop.var) in (0, 1) for read in reads)

    def _stride(self, indices: Sequence[Expr], var: Var) -> int | None:
        """Elements between two iterations; None where the variable is in more than the last index."""
        if any(var in variables(index) for index in indices[:-1]):
            return None
        form = linear(indices[-1], self.ranges)
        return None if var in variables(form.without(var).to_expr()) else form.coefficient(var)

    def _strips(self, loop: For, size: int, kind: LoopKind) -> list[_Strip]:
        """A loop as whole strips of a size, and what is left as one more."""
        extent = constant_extent(loop) or 1
        whole, tail = divmod(extent, min(size, extent))
        parts = [(0, whole, min(size, extent)), (extent - tail, 1, tail)]
        return [self._strip(loop, *part, kind) for part in parts if part[2]]

    def _strip(self, loop: For, begin: int, count: int, size: int, kind: LoopKind) -> _Strip:
        outer = self._loop(f"{loop.var.name}.o", count, LoopKind.SERIAL)
        inner = self._loop(f"{loop.var.name}.i", size, kind)
        value: Expr = const(begin)
        if outer is not None:
            value = value + outer.var * size
        if inner is not None:
            value = value + inner.var
        return _Strip(outer, inner, value)

    def _loop(self, name: str, extent: int, kind: LoopKind) -> For | None:
        """The shell of a loop; none for a single iteration."""
        if extent == 1:
            return None
        var = IterVar(name, extent)
        self.ranges[var] = (0, extent - 1)
        return For(var, const(0), const(extent), block([]), kind)


def _plain_chain(loop: For) -> tuple[list[For], Store] | None:
    """Loops without any mark, one directly inside the other, around a single store."""
    loops: list[For] = []
    body: Stmt = loop
    while isinstance(body, For):
        marked = body.kind is not LoopKind.SERIAL or body.factor or body.outline or body.partition
        if marked or body.pragmas or constant_extent(body) is None:
            return None
        loops.append(body)
        body = body.body
    return (loops, body) if isinstance(body, Store) and body.indices else None


def _given(*loops: For | None) -> Iterator[For]:
    return (loop for loop in loops if loop is not None)


def _at(store: Store, values: dict[Var, Expr]) -> Store:
    indices = [substitute(index, values) for index in store.indices]
    return Store(store.buffer, indices, substitute(store.value, values), store.update)
