"""Reductions over any axes: what is computed, its knobs and its schedule.

Neighbouring axes that are all kept, or all reduced, are one. Where the contiguous one is reduced its
elements lie in the lanes, whose partial results are joined at the end. Else the elements of the result do,
and a block of them stays in the first cache while a few lines at a time are added to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Any

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.operators.axes import normalize_axes
from tilewright.templates.operators.lanes import reduce_lanes, vectors_of
from tilewright.templates.operators.operand import Operand, computed_bytes, computed_lanes
from tilewright.templates.operators.product import up_to
from tilewright.templates.operators.streams import breaks_streams

ROWS = (1, 2, 4, 8)
BLOCKS = (128, 256, 512, 1024, 2048, 4096)
LINES = (1, 2, 4, 8, 16)
# Partial results side by side that hide the latency of an addition.
FEW = 8
MOST_SUMS = 16
# Rows of fewer vectors are computed side by side: their ends take as long.
FEW_VECTORS = 32
# The share of the first cache for a block of the result.
L1_SHARE = 0.5
Joined = Callable[[te.Expr, Sequence[IterVar], Sequence[IterVar]], te.Expr]


@dataclass(frozen=True, slots=True)
class Reduction:
    """A reduction.

    Attributes:
        shape: that callers see.
        axes: that are reduced, in order.
        keepdims: whether they stay, of extent 1.
        dtype: of the elements.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    keepdims: bool
    dtype: str

    @classmethod
    def of(
        cls,
        owner: str,
        shape: tuple[int, ...],
        axis: int | tuple[int, ...] | None,
        keepdims: bool,
        dtype: str,
    ) -> Reduction:
        """From an operator's parameters.

        Raises:
            WorkloadError: there is no such axis.
        """
        return cls(shape, normalize_axes(owner, shape, axis), keepdims, dtype)

    @property
    def groups(self) -> list[tuple[int, bool]]:
        """Extents of neighbouring axes as one, and whether they are reduced; the first is kept."""
        axes = [(d in self.axes, extent) for d, extent in enumerate(self.shape) if extent > 1]
        merged = [
            (prod(extent for _, extent in group), is_reduced)
            for is_reduced, group in groupby(axes, lambda axis: axis[0])
        ]
        if not any(is_reduced for _, is_reduced in merged):
            merged.append((1, True))
        return merged if not merged[0][1] else [(1, False), *merged]

    @property
    def kept(self) -> tuple[int, ...]:
        """The extents of what is kept."""
        return tuple(extent for extent, is_reduced in self.groups if not is_reduced)

    @property
    def reduced(self) -> tuple[int, ...]:
        """The extents of what is reduced."""
        return tuple(extent for extent, is_reduced in self.groups if is_reduced)

    @property
    def is_along(self) -> bool:
        """Whether what is contiguous is reduced."""
        return self.groups[-1][1]

    def breaks_streams(self, row: int, target: Target) -> bool:
        """Whether rows of so many elements are better read one after the other than side by side."""
        item = BYTES[self.dtype]
        return breaks_streams(item * prod(self.shape), item * row, target)

    def input(self, values: tuple[float, float] | None = None) -> Operand:
        """The input, and what its elements are when it is measured."""
        extents = [extent for extent, _ in self.groups]
        return Operand(
            te.placeholder(extents, self.dtype, name="x", argument_shape=self.shape, values=values)
        )

    def reduce(self, name: str, x: Operand, join: Joined) -> Tensor:
        """What ``join`` makes of the elements, given one, the axes of the reduction and the kept indices."""
        steps = [te.reduce_axis((0, extent), f"r{n}") for n, extent in enumerate(self.reduced)]

        def element(*index: IterVar) -> te.Expr:
            kept, reduced = iter(index), iter(steps)
            value = x[tuple(next(reduced if is_reduced else kept) for _, is_reduced in self.groups)]
            return join(value, steps, index)

        return te.compute(self.kept, lambda *i: element(*i), name=name)

    def result(self, total: Tensor, finish: Callable[[te.Expr], te.Expr]) -> Tensor:
        """What ``finish`` makes of each element of a reduction."""
        kept = [1 if d in self.axes else extent for d, extent in enumerate(self.shape)]
        seen = [extent for d, extent in enumerate(kept) if self.keepdims or d not in self.axes]
        return te.compute(self.kept, lambda *i: finish(total[i]), name="y", argument_shape=seen)


def default_reduction(reduction: Reduction, target: Target, threads: int) -> dict[str, Any]:
    """The untuned configuration."""
    is_along = reduction.is_along
    chosen, units = (
        _default_along(reduction, target) if is_along else _default_beside(reduction, target, threads)
    )
    parts = [n for n in _parts(reduction, threads) if n <= (threads if units < threads else 1)]
    return {**chosen, "parts": parts[-1]}


def _default_along(reduction: Reduction, target: Target) -> tuple[dict[str, Any], int]:
    """Rows side by side while they are short; and how many pieces of work that gives."""
    length, last = reduction.reduced[-1], reduction.kept[-1]
    lanes = computed_lanes(target, reduction.dtype)
    most = 1 if reduction.breaks_streams(length, target) else max(1, FEW_VECTORS * lanes // length)
    side = [r for r in ROWS if r <= min(last, most)][-1]
    few = min(FEW // 2, MOST_SUMS // side)
    vectors = [v for v in vectors_of(length, lanes) if v <= few]
    return {"rows": side, "vectors": vectors[-1]}, prod(reduction.kept[:-1]) * -(-last // side)


def _default_beside(reduction: Reduction, target: Target, threads: int) -> tuple[dict[str, Any], int]:
    """A block of the result that stays near; and how many of them there are."""
    item, last, around = computed_bytes(reduction.dtype), reduction.kept[-1], prod(reduction.kept[:-1])
    most = int(L1_SHARE * target.l1_bytes) // item
    share = -(-last // -(-threads // around))
    blocks = [block for block in up_to(BLOCKS, last) if block <= max(min(most, share), min(BLOCKS))]
    block = blocks[-1] if blocks else last
    few = 1 if block == last and reduction.breaks_streams(last, target) else FEW
    chosen = {
        "vectors": [v for v in vectors_of(last, target.lanes(item)) if v <= FEW // 2][-1],
        "block": block,
        "lines": [n for n in LINES if n <= min(few, reduction.reduced[-1])][-1],
    }
    return chosen, around * -(-last // block)


def define_reduction(cfg: TemplateConfig, reduction: Reduction) -> None:
    """The knobs."""
    lanes = computed_lanes(cfg.target, reduction.dtype)
    cfg.define_knob("parts", _parts(reduction, cfg.threads))
    if reduction.is_along:
        cfg.define_knob("rows", [r for r in ROWS if r <= reduction.kept[-1]])
        cfg.define_knob("vectors", vectors_of(reduction.reduced[-1], lanes))
        cfg.constrain(("rows", "vectors"), lambda rows, vectors: rows.val * vectors.val <= MOST_SUMS)
    else:
        cfg.define_knob("block", up_to(BLOCKS, reduction.kept[-1]))
        cfg.define_knob("vectors", vectors_of(reduction.kept[-1], lanes))
        cfg.define_knob("lines", [n for n in LINES if n <= reduction.reduced[-1]])


def schedule_reduction(
    cfg: TemplateConfig, reduction: Reduction, totals: Sequence[Tensor], y: Tensor
) -> Schedule:
    """Reductions one after another: ``y`` is made of the last, and each may read those before.

    Blocks of the result, or with ``parts`` of the reduction, are shared among threads.
    """
    lanes = computed_lanes(cfg.target, reduction.dtype)
    define_reduction(cfg, reduction)
    s = create_schedule(y)
    reduce = reduce_along if reduction.is_along else _reduce_beside
    if cfg["parts"].val == 1:
        reduce(s, cfg, totals, y, lanes)
        return s
    _vectorize_last(s, y, lanes)
    for total in totals:
        partial = _share_reduction(s, total, cfg["parts"].val)
        _vectorize_last(s, total, lanes)
        reduce(s, cfg, [s.cache_write(partial, "call")], partial, lanes)
    return s


def _parts(reduction: Reduction, threads: int) -> list[int]:
    counts = (threads, 4 * threads) if threads > 1 else ()
    return [1, *(n for n in counts if n <= max(reduction.reduced))]


def _share_reduction(s: Schedule, total: Tensor, parts: int) -> Tensor:
    """Reduce so many parts of the longest axis apart; their stage, with the part as the first dimension."""
    longest = max(s[total].op.reduce_axis, key=lambda axis: axis.extent)
    part, _ = s[total].split(longest, nparts=parts)
    return s.rfactor(total, part, factor_axis=0)


def _vectorize_last(s: Schedule, tensor: Tensor, lanes: int) -> None:
    outer, lane = s[tensor].split(s[tensor].op.axis[-1], lanes)
    s[tensor].reorder(outer, *s[tensor].op.reduce_axis, lane)
    s[tensor].vectorize(lane)


def reduce_along(s: Schedule, cfg: TemplateConfig, totals: Sequence[Tensor], y: Tensor, lanes: int) -> None:
    """Lanes of partial results, of a few rows side by side."""
    *around, last = s[y].op.axis
    block, row = s[y].split(last, cfg["rows"].val)
    s[y].vectorize(row)
    loop = s[y].fuse(*around, block) if around else block
    s[y].parallel(loop)
    for total in totals:
        reduce_lanes(s, total, lanes, cfg["vectors"].val, 1, y, loop)


def _reduce_beside(s: Schedule, cfg: TemplateConfig, totals: Sequence[Tensor], y: Tensor, lanes: int) -> None:
    """A few lines at a time are joined to a block of the result."""
    columns = cfg["vectors"].val * lanes
    *around, last = s[y].op.axis
    block, inner = s[y].split(last, cfg["block"].val)
    loop = s[y].fuse(*around, block) if around else block
    s[y].parallel(loop)
    s[y].vectorize(s[y].split(inner, columns)[1])
    for total in totals:
        s[total].compute_at(s[y], loop)
        *others, last = s[total].op.axis
        steps = [axis for axis in s[total].leaf_iter_vars if axis.kind == "reduce"]
        depth, _ = s[total].split(steps[-1], cfg["lines"].val)
        across, lane = s[total].split(last, columns)
        s[total].reorder(*others, *steps[:-1], depth, across, lane)
        tile = s.cache_inplace(total, "register", axis=depth)
        s[tile].compute_at(s[total], across)
        s[total].vectorize(lane)
        *others, lane = s[tile].op.axis
        s[tile].reorder(*others, *s[tile].op.reduce_axis, lane)
        s[tile].unroll(s[tile].op.reduce_axis[-1])
        s[tile].vectorize(lane)
