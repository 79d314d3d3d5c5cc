"""What attention computes: its sizes, and its stages over all keys at once or over blocks of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.compiler import te
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.analytic import tile_cycles
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.lanes import greatest_number

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Attention:
    """The sizes of an attention.

    Attributes:
        b, heads: batch, and heads of the queries.
        m, n: queries and keys.
        d: elements of a query, a key and a value.
        kv_heads: heads of keys and values; as many heads of queries share one.
        causal: the last query sees all keys, each before it one less.
        mask: the shape of what is added to the scores, which broadcasts to (b, heads, m, n); () for none.
        scale: of the scores.
        dtype: of all arrays; those of 16 bits are multiplied and added as float32.
    """

    b: int
    heads: int
    m: int
    n: int
    d: int
    kv_heads: int
    causal: bool
    mask: Shape
    scale: float
    dtype: str

    @classmethod
    def of(
        cls,
        b: int,
        heads: int,
        m: int,
        n: int,
        d: int,
        kv_heads: int | None,
        causal: bool,
        mask: Shape,
        scale: float | None,
        dtype: str,
    ) -> Attention:
        """From the operator's parameters.

        Raises:
            WorkloadError: heads cannot be grouped so, or the mask has no such shape.
        """
        groups = heads if kv_heads is None else kv_heads
        if groups < 1 or heads % groups:
            raise WorkloadError(f"attention: kv_heads={kv_heads} must divide heads={heads}")
        full = (b, heads, m, n)
        if len(mask) > 4 or any(e not in (1, size) for e, size in zip(mask[::-1], full[::-1], strict=False)):
            raise WorkloadError(f"attention: mask={mask} does not broadcast to {full}")
        return cls(b, heads, m, n, d, groups, causal, mask, d**-0.5 if scale is None else scale, dtype)

    @property
    def sum(self) -> str:
        """The type of scores and sums."""
        return "float64" if self.dtype == "float64" else "float32"

    def cycles(self, tile: tuple[int, int, int], lanes: int) -> float:
        """Cycles of both products of a head, by tiles of so many rows by vectors of keys, and of values."""
        rows, keys, values = tile
        scores = -(-self.n // (keys * lanes)) * self.d * tile_cycles(rows, keys)
        sums = -(-self.d // (values * lanes)) * self.n * tile_cycles(rows, values)
        return -(-self.m // rows) * (scores + sums)

    def operands(self) -> list[Tensor]:
        """Queries, keys, values, and the mask where there is one."""
        sizes = {"q": (self.heads, self.m), "k": (self.kv_heads, self.n), "v": (self.kv_heads, self.n)}
        shapes: dict[str, Shape] = {name: (self.b, *size, self.d) for name, size in sizes.items()}
        if self.mask:
            shapes["mask"] = self.mask
        return [te.placeholder(shape, self.dtype, name=name) for name, shape in shapes.items()]

    def finish_score(self, score: te.Expr, place: Sequence[IterVar], mask: Sequence[Tensor]) -> te.Expr:
        """A score as the softmax takes it."""
        score = score * self.scale
        for tensor in mask:
            fitting = zip(place[4 - len(self.mask) :], self.mask, strict=True)
            added = tensor[tuple(at if extent > 1 else te.const(0) for at, extent in fitting)]
            score = score + added.astype(self.sum)
        return score

    def is_seen(self, i: IterVar, j: te.Expr) -> te.Expr | None:
        """Whether a query sees a key; None where each sees all."""
        return j <= i + (self.n - self.m) if self.causal else None


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
        scores: scaled and masked.
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
        wide = tuple(_widen(tensor, attention.sum) for tensor in operands[:3])
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
    shared = attention.heads // attention.kv_heads
    e = te.reduce_axis((0, attention.d), "e")

    def dot(b: IterVar, h: IterVar, i: IterVar, j: IterVar) -> te.Expr:
        return te.sum(q[b, h, i, e] * k[b, h // shared, j, e], axis=e)

    dots = te.compute(shape, dot, name="dots")
    scores = te.compute(shape, lambda *at: attention.finish_score(dots[at], at, mask), name="scores")
    return dots, scores


def _blocks(keys: Keys, scores: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The greatest score, the powers, their total and the weighted sums of values, of each block of keys."""
    b, heads, m, n = scores.shape
    shared = heads // keys.attention.kv_heads
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
        return te.exp(scores[b, h, i, j] - most[(b, h, *around, i)])

    def add_powers(b: IterVar, h: IterVar, *at: IterVar) -> te.Expr:
        *around, i = at
        key = keys.place(around, t)
        return te.sum(powers[b, h, i, key], axis=t, where=keys.counts(i, key))

    def add_values(b: IterVar, h: IterVar, *at: IterVar) -> te.Expr:
        *around, i, o = at
        key = keys.place(around, u)
        value = powers[b, h, i, key] * v[b, h // shared, key, o]
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
            less = te.exp(te.if_then_else(is_greater, greatest - here, here - greatest))
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


def _widen(tensor: Tensor, dtype: str) -> Tensor:
    if tensor.dtype == dtype:
        return tensor
    return te.compute(tensor.shape, lambda *at: tensor[at].astype(dtype), name=f"{tensor.name}.wide")
