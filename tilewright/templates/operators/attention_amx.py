"""Attention of bfloat16 numbers in tiles that the processor multiplies whole (AMX).

::

    dots[j, i]     of key j and query i: queries lie side by side
    most[i]        the greatest score of a query
    powers[u, i]   of the scores of keys 2u and 2u + 1 less that, rounded to bfloat16 and joined to a word
    sums[c, o, i]  of element o of the values of a block of keys, by powers; a row of ones behind the elements
                   gives the powers' total
    y[i, o]        the sums of all blocks, divided by the total

A tile of queries goes over all keys twice: for the greatest scores, then block after block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tilewright.compiler import te
from tilewright.compiler.amx import BLOCK, COLUMNS, DEPTH, ROWS, TileProduct, multiplies_tiles, tile_product
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Expr, IterVar, Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.operators.attention_words import (
    DTYPE,
    DTYPES,
    PARTS,
    power_word,
    row_words,
    value_words,
)
from tilewright.templates.operators.attention_workload import Attention
from tilewright.templates.operators.lanes import greatest_number
from tilewright.templates.operators.product_copies import copy_panel
from tilewright.templates.operators.product_tiles import round_up

KEYS_OF_DEPTH = DEPTH * PARTS
BLOCKS = (32, 64, 128, 256, 512)  # of keys
# What the calls for a block and the joining of its sums take, as keys; measured.
KEYS_OF_CALLS = 3
MAXIMA = 4  # kept side by side, so that none waits for the one before


def is_for_tiles(attention: Attention, target: Target) -> bool:
    """Whether the processor has tiles for the type, and queries and keys fill one."""
    fills = attention.m >= COLUMNS and attention.n >= ROWS
    return fills and attention.dtype == DTYPE and multiplies_tiles(target, DTYPES)


def default_amx(attention: Attention, target: Target) -> dict[str, Any]:
    """The untuned configuration: the block that takes the least time, of those that fit with their mask."""
    blocks = _blocks(attention)
    if attention.mask:
        block_bytes = 2 * BLOCK * BYTES[attention.sum]  # of a key: dots, and the mask that is added
        blocks = [keys for keys in blocks if keys * block_bytes <= target.l1_bytes // 2] or blocks[:1]
    return {"keys": min(blocks, key=lambda keys: _work(attention, keys))}


def _work(attention: Attention, keys: int) -> float:
    """The keys that a tile of queries goes over by such blocks, and what else a block takes, as keys."""
    all_keys = round_up(attention.n, keys)
    # Of the last block under a causal mask much is in vain, and powers of a large one leave the first cache.
    seen = all_keys / 2 + keys / 2 if attention.causal else all_keys + keys / 16
    return seen * (1 + KEYS_OF_CALLS / keys)


def _blocks(attention: Attention) -> list[int]:
    """The blocks to choose from: at most all keys in one."""
    return [keys for keys in BLOCKS if keys == BLOCKS[0] or keys < attention.n + BLOCKS[0]]


@dataclass(frozen=True, slots=True)
class Shape:
    """The attention in tiles.

    Attributes:
        attention: the workload.
        queries: of a tile.
        keys: of a block.
    """

    attention: Attention
    queries: int
    keys: int

    @property
    def blocks(self) -> int:
        """Of keys."""
        return -(-self.attention.n // self.keys)

    @property
    def all_keys(self) -> int:
        """Those of all blocks."""
        return self.blocks * self.keys

    @property
    def steps(self) -> int:
        """The words of a query or a key, whole tiles."""
        return round_up(-(-self.attention.d // PARTS), DEPTH)

    @property
    def elements(self) -> int:
        """The rows of sums: a value's elements and the total, whole tiles."""
        return round_up(self.attention.d + 1, ROWS)


@dataclass(frozen=True, slots=True)
class Stages:
    """What is computed, in order, as the head of this module shows it.

    Attributes:
        operands: queries, keys, values and perhaps a mask.
        mask: that in float32, if there is one.
        queries, keys: their words, of neighbouring elements.
        pairs, values: the words of an element of neighbouring values, and those turned around.
        scores: the dots with a mask added.
        joined: the sums of all blocks.
        share: one over the total.
    """

    operands: list[Tensor]
    mask: list[Tensor]
    queries: Tensor
    keys: Tensor
    pairs: Tensor
    values: Tensor
    dots: Tensor
    scores: Tensor | None
    most: Tensor
    powers: Tensor
    sums: Tensor
    joined: Tensor
    share: Tensor
    y: Tensor

    @classmethod
    def of(cls, shape: Shape) -> Stages:
        """The stages."""
        attention = shape.attention
        operands = attention.operands()
        q, k, v, *mask = operands
        queries, keys = row_words(q, shape.steps, attention.m), row_words(k, shape.steps, shape.all_keys)
        pairs = value_words(v, shape.all_keys // PARTS, shape.elements)
        values = te.compute(
            (*pairs.shape[:2], *pairs.shape[:1:-1]), lambda b, g, o, u: pairs[b, g, u, o], name="v.words"
        )
        dots = _dots(shape, queries, keys)
        wide = [attention.widened(x) for x in mask]
        scores, most, powers = _powers(shape, dots, wide)
        sums, joined = _sums(shape, powers, values)
        share = te.compute(most.shape, lambda b, h, i: 1 / joined[b, h, shape.elements - 1, i], name="share")

        def mean(b: IterVar, h: IterVar, i: IterVar, o: IterVar) -> Expr:
            weighted: Expr = joined[b, h, o, i] * share[b, h, i]
            return weighted.astype(attention.dtype)

        y = te.compute(q.shape, mean, name="y")
        return cls(
            operands, wide, queries, keys, pairs, values, dots, scores, most, powers, sums, joined, share, y
        )


def _dots(shape: Shape, queries: Tensor, keys: Tensor) -> Tensor:
    """The dots of all keys and queries."""
    attention = shape.attention
    e = te.reduce_axis((0, shape.steps), "e")

    def dot(b: IterVar, h: IterVar, j: IterVar, i: IterVar) -> Expr:
        pair = keys[b, attention.group(h), j, e], queries[b, h, i, e]
        return te.sum(te.dot(*pair, DTYPES), axis=e)

    return te.compute((attention.b, attention.heads, shape.all_keys, attention.m), dot, name="dots")


def _powers(shape: Shape, dots: Tensor, mask: Sequence[Tensor]) -> tuple[Tensor | None, Tensor, Tensor]:
    """The masked scores, the greatest score of each query, and the words of the powers of its scores."""
    attention = shape.attention
    b, heads, _, m = dots.shape
    r = te.reduce_axis((0, attention.n), "r")

    def dot(b: IterVar, h: IterVar, j: Expr, i: IterVar) -> Expr:
        scaled: Expr = dots[b, h, j, i] * attention.factor
        return scaled

    def masked(b: IterVar, h: IterVar, j: IterVar, i: IterVar) -> Expr:
        return attention.masked(dot(b, h, j, i), (b, h, i, j), mask)

    # What lies with keys side by side is turned around once.
    scores = te.compute((b, heads, attention.n, m), masked, name="scores") if mask else None

    def score(b: IterVar, h: IterVar, j: Expr, i: IterVar) -> Expr:
        if scores is None:
            return dot(b, h, j, i)
        key = te.minimum(j, attention.n - 1) if shape.all_keys > attention.n else j
        return te.Load(scores, (b, h, key, i))

    def greatest(b: IterVar, h: IterVar, i: IterVar) -> Expr:
        return greatest_number(score(b, h, r, i), r, attention.is_seen(i, r))

    most = te.compute((b, heads, m), greatest, name="most")

    def word(b: IterVar, h: IterVar, u: IterVar, i: IterVar) -> Expr:
        def power(j: Expr) -> Expr:
            return attention.power(score(b, h, j, i) - most[b, h, i])

        return power_word(attention, power, u, i, shape.all_keys)

    return scores, most, te.compute((b, heads, shape.all_keys // PARTS, m), word, name="powers")


def _sums(shape: Shape, powers: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """The values' sums by powers, of each block of keys and of all."""
    b, heads, _, m = powers.shape
    steps = shape.keys // PARTS
    u, c = te.reduce_axis((0, steps), "u"), te.reduce_axis((0, shape.blocks), "c")

    def add(b: IterVar, h: IterVar, c: IterVar, o: IterVar, i: IterVar) -> Expr:
        pair = values[b, shape.attention.group(h), o, c * steps + u], powers[b, h, c * steps + u, i]
        return te.sum(te.dot(*pair, DTYPES), axis=u)

    def join(b: IterVar, h: IterVar, o: IterVar, i: IterVar) -> Expr:
        return te.sum(sums[b, h, c, o, i], axis=c, where=shape.attention.is_seen(i, c * shape.keys))

    sums = te.compute((b, heads, shape.blocks, shape.elements, m), add, name="sums")
    return sums, te.compute((b, heads, shape.elements, m), join, name="joined")


def schedule_amx(cfg: TemplateConfig, attention: Attention, lanes: int) -> tuple[Schedule, list[Tensor]]:
    """The schedule that the knobs say, and its arguments."""
    cfg.define_knob("keys", _blocks(attention))
    shape = Shape(attention, BLOCK if attention.m >= BLOCK else COLUMNS, cfg["keys"].val)
    stages = Stages.of(shape)
    s, y = create_schedule(stages.y), stages.y
    b, h, i, o = s[y].op.axis
    tile, i = s[y].split(i, shape.queries, tail="shift_inwards")
    vector, i = s[y].split(i, lanes)
    across, o = s[y].split(o, lanes)
    s[y].reorder(b, h, tile, vector, across, i, o)
    s[y].unroll(i)
    s[y].vectorize(o)
    loop = s[y].fuse(b, h, tile)
    s[y].parallel(loop)
    _sum(s, shape, stages, loop)
    _weigh(s, shape, stages, loop, lanes)
    _copy_keys(s, stages)
    _copy_values(s, stages, lanes)
    _copy_queries(s, shape, stages, loop, lanes)
    return s, [*stages.operands, y]


def _sum(s: Schedule, shape: Shape, stages: Stages, loop: IterVar) -> None:
    """Block after block, the powers just ahead of their product."""
    joined, sums = stages.joined, stages.sums
    s[stages.share].compute_at(s[stages.y], loop)
    s[stages.share].vectorize(s[stages.share].op.axis[-1])
    s[joined].trim()
    s[joined].compute_at(s[stages.y], loop)
    (b, h, o, i), (c,) = s[joined].op.axis, s[joined].op.reduce_axis
    s[joined].reorder(b, h, c, o, i)
    s[joined].vectorize(i)
    s[joined].loop_partition(c)
    s[sums].compute_at(s[joined], c)
    product = TileProduct(shape.elements, shape.queries, shape.keys // KEYS_OF_DEPTH, shape.keys, DTYPES)
    _multiply(s, sums, product)
    powers = s[stages.powers]
    powers.compute_at(s[joined], c)
    *_, u, i = powers.op.axis
    powers.vectorize(i)
    powers.loop_partition(u)


def _weigh(s: Schedule, shape: Shape, stages: Stages, loop: IterVar, lanes: int) -> None:
    """The dots of all keys, and the greatest score of each query."""
    most, dots = stages.most, stages.dots
    s[most].trim()
    _, side = s[most].split(s[most].op.reduce_axis[0], MAXIMA)
    partial = s.rfactor(most, side, factor_axis=2)
    for stage in (partial, most):
        s[stage].compute_at(s[stages.y], loop)
    *_, side, i = s[partial].op.axis
    (r,) = s[partial].op.reduce_axis
    s[partial].reorder(r, side, i)
    s[partial].unroll(side)
    s[partial].vectorize(i)
    s[partial].loop_partition(r)
    s[most].unroll(s[most].op.reduce_axis[0])
    s[most].reorder(s[most].op.reduce_axis[0], s[most].op.axis[-1])
    s[most].vectorize(s[most].op.axis[-1])
    if stages.scores is None:
        s[dots].compute_at(s[stages.y], loop)
    else:
        s[dots].compute_at(s[stages.scores], _mask(s, shape, stages, loop, lanes))
    product = TileProduct(shape.keys, shape.queries, shape.steps // DEPTH, shape.steps, DTYPES)
    _multiply(s, dots, product)


def _mask(s: Schedule, shape: Shape, stages: Stages, loop: IterVar, lanes: int) -> IterVar:
    """Scores by blocks of keys, whose loop it is; squares of the mask are turned around in registers."""
    scores = stages.scores
    assert scores is not None
    s[scores].compute_at(s[stages.y], loop)
    *_, j, i = s[scores].op.axis
    block, j = s[scores].split(j, shape.keys)
    vectors, i = s[scores].split(i, lanes)
    square, j = s[scores].split(j, lanes)
    s[scores].reorder(block, vectors, square, j, i)
    s[scores].unroll(j)
    s[scores].vectorize(i)
    s[scores].loop_partition(block)
    for mask in stages.mask:
        s[mask].compute_at(s[scores], block)
        s[mask].vectorize(s[mask].split(s[mask].op.axis[-1], lanes)[1])
    return block


def _multiply(s: Schedule, sums: Tensor, product: TileProduct) -> None:
    """One call for the sums of a block."""
    *_, i, j = s[sums].op.axis
    s[sums].round_up(i)
    _, i = s[sums].split(i, product.rows)
    q, r = s[sums].split(s[sums].op.reduce_axis[0], DEPTH)
    s[sums].reorder(i, j, q, r)
    s[sums].tensorize(i, tile_product(product))


def _copy_keys(s: Schedule, stages: Stages) -> None:
    """All ahead, in tiles."""
    copied = s.pack(stages.keys, stages.dots, {3: DEPTH})
    s[stages.keys].compute_inline()
    b, h, j, step = s[copied].op.axis
    tiles, step = s[copied].split(step, DEPTH)
    s[copied].reorder(b, h, j, tiles, step)
    s[copied].vectorize(step)
    s[copied].parallel(s[copied].fuse(b, h, j))


def _copy_values(s: Schedule, stages: Stages, lanes: int) -> None:
    """All ahead, in tiles: pairs of rows are joined to words, and those turned around in registers."""
    copied, pairs = s.pack(stages.values, stages.sums, {3: DEPTH}), s[stages.pairs]
    s[stages.values].compute_inline()
    b, h, o, u = s[copied].op.axis
    tiles, u = s[copied].split(u, DEPTH)
    rows, o = s[copied].split(o, ROWS)
    s[copied].reorder(b, h, tiles, rows, o, u)
    s[copied].unroll(o)
    s[copied].vectorize(u)
    tile = s[copied].fuse(b, h, tiles)
    s[copied].parallel(tile)
    pairs.compute_at(s[copied], tile)
    _, o = pairs.split(pairs.op.axis[-1], lanes)
    pairs.vectorize(o)


def _copy_queries(s: Schedule, shape: Shape, stages: Stages, loop: IterVar, lanes: int) -> None:
    """Those of a tile where they are used, turned around in registers."""
    copied = s.pack(stages.queries, stages.dots, {2: shape.queries})
    s[stages.queries].compute_inline()
    copy_panel(s, copied, 2, shape.queries, lanes, parallel=False, is_turned=True)
    s[copied].compute_at(s[stages.y], loop)
