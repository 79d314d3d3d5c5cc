"""Attention with queries in the lanes: all of them take an element of a key, or of a value, at a time.

The greatest score, the total and the result of a vector of queries are vectors, so that no lanes are joined,
and neither keys nor values are copied: only queries and results are turned around. A tile of queries goes
over all keys at once; its greatest scores and totals are taken from scores and powers still in registers.
Where the processor multiplies pairs of bfloat16 numbers, queries and keys are words of neighbouring elements,
and powers and values those of neighbouring keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.operators.attention_by_keys import convert_ahead
from tilewright.templates.operators.attention_words import (
    DTYPES,
    ones,
    power_word,
    row_words,
    value_words,
)
from tilewright.templates.operators.attention_workload import Attention
from tilewright.templates.operators.lanes import greatest_number
from tilewright.templates.operators.product import compute_tile
from tilewright.templates.operators.product_copies import copy_panel

# Vectors of powers that are computed side by side, so that the processor has enough to do at a time.
POWERS = 2
# Steps over keys that values and powers are fetched ahead.
AHEAD = 8


@dataclass(frozen=True, slots=True)
class Stages:
    """What is computed, in order; queries are the last dimension of all but the first and the last.

    Attributes:
        parts: numbers that are multiplied at once: of two, all operands of products are words.
        queries, keys, values: as they are multiplied.
        dots: of keys and queries.
        scores: with what the mask adds.
        most: the greatest score of a query.
        powers: of the scores less that.
        total: of a query's powers.
        sums: of values by powers.
        share: one over the total.
        y: the result.
    """

    parts: int
    queries: Tensor
    keys: Tensor
    values: Tensor
    dots: Tensor
    scores: Tensor
    most: Tensor
    powers: Tensor
    total: Tensor
    sums: Tensor
    share: Tensor
    y: Tensor

    @classmethod
    def of(cls, attention: Attention, operands: Sequence[Tensor], parts: int) -> Stages:
        """The stages of an attention."""
        q, k, v, *mask = operands
        if parts > 1:
            steps = -(-attention.d // parts)
            queries, keys = row_words(q, steps, attention.m), row_words(k, steps, attention.n)
            values = value_words(v, -(-attention.n // parts), attention.d)
        else:
            queries, keys, values = attention.scaled_queries(q), attention.widened(k), attention.widened(v)
        dots, scores = _scores(attention, queries, keys, mask, parts)
        most, powers, total = _powers(attention, scores, parts)
        sums = _sums(attention, powers, values, parts)
        share = te.compute(total.shape, lambda *at: 1 / total[at], name="share")

        def mean(b: IterVar, h: IterVar, i: IterVar, o: IterVar) -> te.Expr:
            weighted: te.Expr = sums[b, h, o, i] * share[b, h, i]
            return weighted.astype(attention.dtype)

        y = te.compute(q.shape, mean, name="y")
        return cls(parts, queries, keys, values, dots, scores, most, powers, total, sums, share, y)


def _scores(
    attention: Attention, queries: Tensor, keys: Tensor, mask: Sequence[Tensor], parts: int
) -> tuple[Tensor, Tensor]:
    """The dots and the scores of all keys and queries."""
    e = te.reduce_axis((0, queries.shape[-1]), "e")

    def dot(b: IterVar, h: IterVar, j: IterVar, i: IterVar) -> te.Expr:
        return te.sum(_times(keys[b, attention.group(h), j, e], queries[b, h, i, e], parts), axis=e)

    def score(b: IterVar, h: IterVar, j: IterVar, i: IterVar) -> te.Expr:
        scaled = dots[b, h, j, i] * attention.factor if parts > 1 else dots[b, h, j, i]
        return attention.masked(scaled, (b, h, i, j), mask)

    dots = te.compute((attention.b, attention.heads, attention.n, attention.m), dot, name="dots")
    return dots, te.compute(dots.shape, score, name="scores")


def _powers(attention: Attention, scores: Tensor, parts: int) -> tuple[Tensor, Tensor, Tensor]:
    """The greatest score of each query, the powers of its scores, and their total."""
    b, heads, n, m = scores.shape
    steps = -(-n // parts)
    r, t = te.reduce_axis((0, n), "r"), te.reduce_axis((0, steps), "t")

    def greatest(b: IterVar, h: IterVar, i: IterVar) -> te.Expr:
        return greatest_number(scores[b, h, r, i], r, attention.is_seen(i, r))

    def power(b: IterVar, h: IterVar, u: IterVar, i: IterVar) -> te.Expr:
        def of_key(j: te.Expr) -> te.Expr:
            key = te.minimum(j, n - 1) if steps * parts > n else j
            return attention.power(te.Load(scores, (b, h, key, i)) - most[b, h, i])

        return power_word(attention, of_key, u, i, steps * parts) if parts > 1 else of_key(u)

    def add(b: IterVar, h: IterVar, i: IterVar) -> te.Expr:
        value = powers[b, h, t, i]
        counted = te.dot(value, ones(), DTYPES) if parts > 1 else value
        return te.sum(counted, axis=t, where=attention.is_seen(i, t * parts))

    most = te.compute((b, heads, m), greatest, name="most")
    powers = te.compute((b, heads, steps, m), power, name="powers")
    return most, powers, te.compute((b, heads, m), add, name="total")


def _sums(attention: Attention, powers: Tensor, values: Tensor, parts: int) -> Tensor:
    """The values that a query sees by its powers, added up."""
    b, heads, steps, m = powers.shape
    u = te.reduce_axis((0, steps), "u")

    def add(b: IterVar, h: IterVar, o: IterVar, i: IterVar) -> te.Expr:
        value = _times(powers[b, h, u, i], values[b, attention.group(h), u, o], parts)
        return te.sum(value, axis=u, where=attention.is_seen(i, u * parts))

    return te.compute((b, heads, attention.d, m), add, name="sums")


def _times(a: te.Expr, b: te.Expr, parts: int) -> te.Expr:
    """The product of two numbers, or the sum of those of two words' numbers."""
    return te.dot(a, b, DTYPES) if parts > 1 else a * b


def schedule_by_queries(
    cfg: TemplateConfig, attention: Attention, lanes: int, parts: int
) -> tuple[Schedule, list[Tensor]]:
    """The schedule that the knobs say, and its arguments."""
    operands = attention.operands()
    stages = Stages.of(attention, operands, parts)
    s, y = create_schedule(stages.y), stages.y
    queries = cfg["vectors"].val * lanes
    wide = cfg["wide"].val
    loop, across = _loop_over_results(s, y, queries, wide * lanes, cfg["across"].val * lanes // wide)
    s[y].pragma(loop, "fuse_loops")
    for reduction in (stages.most, stages.total, stages.sums):
        s[reduction].trim()
    _sum_values(s, stages, across, cfg["prefetch"].val)
    powers = 1 if stages.powers.shape[2] % POWERS else max(1, POWERS // cfg["vectors"].val // stages.parts)
    _weigh(s, stages, loop, cfg["rows"].val, powers)
    packed = s.pack(stages.queries, _score(s, stages, loop, cfg["rows"].val), {2: queries})
    s[stages.queries].compute_inline()
    copy_panel(s, packed, 2, queries, lanes, parallel=False, is_turned=True)
    s[packed].compute_at(s[y], loop)
    if stages.parts > 1 and attention.d % stages.parts == 0:
        s[stages.keys].compute_inline()  # words as they lie
    elif stages.keys not in operands:
        convert_ahead(s, stages.keys, lanes)
    if stages.values not in operands:
        convert_ahead(s, stages.values, lanes)
    return s, [*operands, y]


def _loop_over_results(
    s: Schedule, y: Tensor, queries: int, columns: int, values: int
) -> tuple[IterVar, IterVar]:
    """The loop over tiles of queries, and inside it that over register tiles, which are turned around.

    A register tile has so many elements of a value as rows, and ``columns`` queries.
    """
    b, h, i, o = s[y].op.axis
    block, i = s[y].split(i, queries, tail="shift_inwards")
    vector, i = s[y].split(i, columns)
    across, o = s[y].split(o, values)
    s[y].reorder(b, h, block, vector, across, i, o)
    s[y].unroll(i)
    s[y].vectorize(o)
    loop = s[y].fuse(b, h, block)
    s[y].parallel(loop)
    return loop, across


def _sum_values(s: Schedule, stages: Stages, across: IterVar, is_ahead: bool) -> None:
    """A register tile of the result, accumulated over all keys; only where some are hidden is that tested.

    Each step reads a line of the values and one of each vector of powers, for a few instructions.
    """
    tile = s.cache_write(stages.sums, "register")
    s[stages.sums].compute_inline()
    s[tile].compute_at(s[stages.y], across)
    compute_tile(s, tile, 1)
    for read in (stages.values, stages.powers) if is_ahead else ():
        s[tile].prefetch(read, s[tile].op.reduce_axis[0], AHEAD)
    s[tile].loop_partition(s[tile].op.reduce_axis[0])


def _weigh(s: Schedule, stages: Stages, loop: IterVar, rows: int, powers: int) -> None:
    """The greatest scores by tiles of them, totals by powers: passes over what was just computed."""
    for stage, steps in ((stages.most, rows), (stages.total, powers)):
        (*_, i), (key,) = s[stage].op.axis, s[stage].op.reduce_axis
        outer, key = s[stage].split(key, steps)
        _pass(s, stage, outer, key, i)
        s[stage].compute_at(s[stages.y], loop)
    (*_, j, i) = s[stages.powers].op.axis
    outer, j = s[stages.powers].split(j, powers)
    _pass(s, stages.powers, outer, j, i)
    s[stages.powers].compute_at(s[stages.y], loop)
    s[stages.share].compute_at(s[stages.y], loop)
    s[stages.share].vectorize(s[stages.share].op.axis[-1])


def _score(s: Schedule, stages: Stages, loop: IterVar, rows: int) -> Tensor:
    """Scores in register tiles of so many keys; the tile."""
    scores = stages.scores
    (*_, j, i) = s[scores].op.axis
    outer, j = s[scores].split(j, rows)
    _pass(s, scores, outer, j, i)
    s[scores].compute_at(s[stages.y], loop)
    tile = s.cache_write(stages.dots, "register")
    s[stages.dots].compute_inline()
    s[tile].compute_at(s[scores], outer)
    compute_tile(s, tile, 1)
    return tile


def _pass(s: Schedule, stage: Tensor, outer: IterVar, key: IterVar, query: IterVar) -> None:
    """Some keys at a time, written out, for the queries in the lanes."""
    s[stage].reorder(outer, key, query)
    s[stage].unroll(outer, 1)
    s[stage].unroll(key)
    s[stage].vectorize(query)
