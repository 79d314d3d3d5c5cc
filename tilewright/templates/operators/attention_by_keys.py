"""Attention with keys in the lanes of scores, and the elements of values in those of results.

A tile of queries at a time goes over all keys, or over blocks of them, each of which may serve several tiles.
With blocks no more scores than those of a tile and a block are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.analytic import FMA_LATENCY
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.operators.attention_workload import Attention
from tilewright.templates.operators.lanes import greatest_number, reduce_lanes
from tilewright.templates.operators.product import compute_tile
from tilewright.templates.operators.product_copies import copy_panel

# Keys, to a vector of them, of which each has its elements in the lanes.
SIDE_BY_SIDE = 2
# Queries whose lanes are joined side by side: all at once is much code.
JOINED_ROWS = 2


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys, or blocks of them.

    Attributes:
        attention: whose keys they are.
        block: the keys of a block; 0 where all are taken at once.
    """

    attention: Attention
    block: int

    @property
    def blocks(self) -> tuple[int, ...]:
        """The number of blocks, as a dimension of what is computed for each."""
        return (-(-self.attention.n // self.block),) if self.block else ()

    def axis(self, name: str) -> IterVar:
        """A reduction over the keys of a block."""
        return te.reduce_axis((0, self.block or self.attention.n), name)

    def place(self, around: Sequence[IterVar], step: te.Expr) -> te.Expr:
        """The key that a step inside a block is about; ``around`` is the block, or nothing."""
        return around[0] * self.block + step if around else step

    def counts(self, i: IterVar, key: te.Expr) -> te.Expr | None:
        """Whether there is such a key and a query sees it; None where this is so."""
        tests = [self.attention.is_seen(i, key)]
        if self.block and self.attention.n % self.block:
            tests.append(key < self.attention.n)
        kept = [test for test in tests if test is not None]
        return te.all(*kept) if kept else None


@dataclass(frozen=True, slots=True)
class Stages:
    """What is computed, in order.

    Attributes:
        operands: queries, keys, values and perhaps a mask.
        wide: queries, keys and values as they are multiplied.
        dots: of queries and keys.
        scores: with what the mask adds.
        most: the greatest score of a query, in each block of keys.
        powers: of the scores less that.
        total: of a query's powers in a block.
        sums: of values by powers in a block.
        mean: of the values, from the sums and totals of all blocks.
        share: one over the total, where there is one block.
        y: the result.
    """

    operands: list[Tensor]
    wide: tuple[Tensor, ...]
    dots: Tensor
    scores: Tensor
    most: Tensor
    powers: Tensor
    total: Tensor
    sums: Tensor
    mean: Tensor
    share: Tensor | None
    y: Tensor

    @classmethod
    def of(cls, attention: Attention, block: int) -> Stages:
        """The stages of an attention, by blocks of so many keys; 0 for all keys at once."""
        operands = attention.operands()
        wide = (attention.scaled_queries(operands[0]), *map(attention.widened, operands[1:3]))
        keys = Keys(attention, block)
        dots, scores = _scores(attention, wide, operands[3:])
        most, powers, total, sums = _blocks(keys, scores, wide[2])
        share = None
        if block:
            mean = _join_blocks(keys, most, total, sums)
        else:
            share = te.compute(total.shape, lambda *at: 1 / total[at], name="share")
            mean = te.compute(sums.shape, lambda *at: sums[at] * share[at[:-1]], name="mean")
        y = te.compute(mean.shape, lambda *at: mean[at].astype(attention.dtype), name="y")
        return cls(operands, wide, dots, scores, most, powers, total, sums, mean, share, y)


def _scores(attention: Attention, wide: Sequence[Tensor], mask: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The dots and the scores of all queries and keys."""
    q, k, _ = wide
    shape = (attention.b, attention.heads, attention.m, attention.n)
    e = te.reduce_axis((0, attention.d), "e")

    def dot(b: IterVar, h: IterVar, i: IterVar, j: IterVar) -> te.Expr:
        return te.sum(q[b, h, i, e] * k[b, attention.group(h), j, e], axis=e)

    dots = te.compute(shape, dot, name="dots")
    scores = te.compute(shape, lambda *at: attention.masked(dots[at], at, mask), name="scores")
    return dots, scores


def _blocks(keys: Keys, scores: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The greatest score, the powers, their total and the weighted sums of values, of each block of keys."""
    b, heads, m, n = scores.shape
    shape = (b, heads, *keys.blocks, m)
    r, t, u = (keys.axis(name) for name in "rtu")
    # Where a mask hides all keys of a block, powers are to be 0, not NaN.
    least = float(np.finfo(keys.attention.sum).min) if keys.block else float("-inf")

    def greatest(b: IterVar, h: IterVar, *at: IterVar) -> te.Expr:
        *around, i = at
        key = keys.place(around, r)
        return greatest_number(scores[b, h, i, key], r, keys.counts(i, key), least)

    def power(b: IterVar, h: IterVar, i: IterVar, j: IterVar) -> te.Expr:
        around = [j // keys.block] if keys.block else []
        return keys.attention.power(scores[b, h, i, j] - most[(b, h, *around, i)])

    def add_powers(b: IterVar, h: IterVar, *at: IterVar) -> te.Expr:
        *around, i = at
        key = keys.place(around, t)
        return te.sum(powers[b, h, i, key], axis=t, where=keys.counts(i, key))

    def add_values(b: IterVar, h: IterVar, *at: IterVar) -> te.Expr:
        *around, i, o = at
        key = keys.place(around, u)
        value = powers[b, h, i, key] * v[b, keys.attention.group(h), key, o]
        return te.sum(value, axis=u, where=keys.counts(i, key))

    most = te.compute(shape, greatest, name="most")
    powers = te.compute((b, heads, m, n), power, name="powers")
    total = te.compute(shape, add_powers, name="total")
    sums = te.compute((*shape, v.shape[-1]), add_values, name="sums")
    return most, powers, total, sums


def _join_blocks(keys: Keys, most: Tensor, total: Tensor, sums: Tensor) -> Tensor:
    """The mean of all values, block after block.

    The greatest score so far is what powers are relative to: it, their total and the sum of values are kept,
    and scaled when a greater score comes (Milakov and Gimelshein, 2018, arXiv:1805.02867; Dao et al., 2022,
    arXiv:2205.14135).
    """
    b, heads, blocks, m, d = sums.shape
    c = te.reduce_axis((0, blocks), "c")
    start = (te.const(float(np.finfo(most.dtype).min), most.dtype), *[te.const(0.0, most.dtype)] * 2)

    def mean(b: IterVar, h: IterVar, i: IterVar, o: IterVar) -> te.Expr:
        def join(greatest: te.Expr, denominator: te.Expr, numerator: te.Expr) -> tuple[te.Expr, ...]:
            here = most[b, h, c, i]
            is_greater = here > greatest
            less = keys.attention.power(te.if_then_else(is_greater, greatest - here, here - greatest))
            old = te.if_then_else(is_greater, less, 1.0)
            new = te.if_then_else(is_greater, 1.0, less)
            return (
                te.if_then_else(is_greater, here, greatest),
                denominator * old + total[b, h, c, i] * new,
                numerator * old + sums[b, h, c, i, o] * new,
            )

        where = keys.attention.is_seen(i, c * keys.block)
        return te.fold(c, start, join, lambda _, below, above: above / below, where=where)

    return te.compute((b, heads, m, d), mean, name="mean")


def schedule_by_keys(cfg: TemplateConfig, attention: Attention, lanes: int) -> tuple[Schedule, list[Tensor]]:
    """The schedule that the knobs say, and its arguments."""
    stages = Stages.of(attention, cfg["panels"].val * cfg["vectors"].val * lanes)
    return _schedule(cfg, stages, lanes), [*stages.operands, stages.y]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the scores of a tile of queries are computed: inside a loop of their last reader."""

    reader: Tensor
    loop: IterVar


def _schedule(cfg: TemplateConfig, stages: Stages, lanes: int) -> Schedule:
    """All stages of a tile of queries before those of the next; threads share the tiles of all heads."""
    y = stages.y
    s = create_schedule(y)
    b, h, i, o = s[y].op.axis
    block, i = s[y].split(i, cfg["rows"].val * cfg["tiles"].val, tail="shift_inwards")
    across, o = s[y].split(o, cfg["across"].val * lanes)
    is_blocked = stages.share is None
    s[y].reorder(b, h, block, *((i, across) if is_blocked else (across, i)), o)
    loop = s[y].fuse(b, h, block)
    s[y].parallel(loop)
    s[y].vectorize(o)
    for reduction in (stages.most, stages.total, stages.sums):
        s[reduction].trim()
    if is_blocked:
        s[stages.mean].compute_at(s[y], loop)
        place = _place_blocks(s, cfg, stages, lanes)
    else:
        place = Place(y, loop)
        s[y].unroll(i)
        _finish(s, stages, place, across)
    _weigh(s, cfg, stages, lanes, place)
    _widen_operands(s, cfg, stages, lanes, loop)
    return s


def _finish(s: Schedule, stages: Stages, place: Place, across: IterVar) -> None:
    """A register tile of the result, accumulated over all keys."""
    assert stages.share is not None
    s[stages.mean].compute_inline()
    s[stages.share].compute_at(s[place.reader], place.loop)
    s[stages.share].vectorize(s[stages.share].op.axis[-1])
    tile = _sum_values(s, stages)
    s[stages.sums].compute_inline()
    s[tile].compute_at(s[place.reader], across)


def _place_blocks(s: Schedule, cfg: TemplateConfig, stages: Stages, lanes: int) -> Place:
    """Each block of keys and values serves several tiles of queries while it is in the second cache."""
    mean, sums = s[stages.mean], stages.sums
    mean.trim()
    (b, h, i, o), (c,) = mean.op.axis, mean.op.reduce_axis
    tile, i = mean.split(i, cfg["rows"].val)
    vectors, o = mean.split(o, lanes)
    mean.reorder(b, h, c, tile, i, vectors, o)
    mean.vectorize(o)
    register_tile = _sum_values(s, stages)
    *_, i, o = s[sums].op.axis
    across, o = s[sums].split(o, cfg["across"].val * lanes)
    s[sums].reorder(across, i, o)
    s[sums].unroll(i)
    s[sums].vectorize(o)
    s[register_tile].compute_at(s[sums], across)
    s[sums].compute_at(mean, tile)
    return Place(stages.mean, tile)


def _sum_values(s: Schedule, stages: Stages) -> Tensor:
    """A register tile of sums; only where the last keys are some queries cannot see is that tested."""
    tile = s.cache_write(stages.sums, "register")
    compute_tile(s, tile, 1)
    s[tile].loop_partition(s[tile].op.reduce_axis[0])
    return tile


def _weigh(s: Schedule, cfg: TemplateConfig, stages: Stages, lanes: int, place: Place) -> None:
    """The powers of the scores of a tile of queries, and what they are relative to."""
    reader = s[place.reader]
    _score(s, cfg, stages, lanes, place)
    vectors = 1 if cfg["rows"].val >= FMA_LATENCY else 2  # rows hide the latency as well
    reduce_lanes(s, stages.most, lanes, vectors, 1, place.reader, place.loop, JOINED_ROWS)
    *_, i, j = s[stages.powers].op.axis
    outer, j = s[stages.powers].split(j, lanes)
    s[stages.powers].reorder(outer, i, j)
    s[stages.powers].unroll(outer, 1)
    s[stages.powers].unroll(i)
    s[stages.powers].vectorize(j)
    reduce_lanes(s, stages.total, lanes, vectors, 1, place.reader, place.loop, JOINED_ROWS)
    s[stages.powers].compute_at(reader, place.loop)


def _widen_operands(s: Schedule, cfg: TemplateConfig, stages: Stages, lanes: int, loop: IterVar) -> None:
    """Queries where they are used, values ahead of all, keys in their panels; of a few, all where read."""
    queries, keys, values = stages.wide
    s[queries].compute_at(s[stages.y], loop)
    s[queries].vectorize(s[queries].op.axis[-1])
    if keys in stages.operands:
        return
    if not cfg["pack"].val:
        s[values].compute_inline()
        s[keys].compute_inline()
        return
    s[keys].compute_inline()
    convert_ahead(s, values, lanes)


def convert_ahead(s: Schedule, wide: Tensor, lanes: int) -> None:
    """Convert an operand as a whole, ahead of all."""
    *around, elements = s[wide].op.axis
    s[wide].vectorize(s[wide].split(elements, lanes)[1])
    s[wide].parallel(s[wide].fuse(*around))


def _score(s: Schedule, cfg: TemplateConfig, stages: Stages, lanes: int, place: Place) -> None:
    """Scores in register tiles over packed keys; or, for a few queries, a key's elements in the lanes."""
    scores, dots = stages.scores, stages.dots
    *_, i, j = s[scores].op.axis
    columns = cfg["vectors"].val * (lanes if cfg["pack"].val else SIDE_BY_SIDE)
    keys, j = s[scores].split(j, columns)
    s[scores].compute_at(s[place.reader], place.loop)
    s[scores].reorder(keys, i, j)
    s[scores].unroll(i)
    s[scores].vectorize(j)
    if not cfg["pack"].val:
        reduce_lanes(s, dots, lanes, 1, 1, scores, keys)
        return
    tile = s.cache_write(dots, "register")
    s[dots].compute_inline()
    s[tile].compute_at(s[scores], keys)
    compute_tile(s, tile, 1)
    packed = s.pack(stages.wide[1], tile, {2: columns})
    copy_panel(s, packed, 2, columns, lanes, parallel=True)
