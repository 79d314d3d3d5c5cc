"""Scaled dot-product attention in one kernel: ``softmax(q @ k.T * scale + mask) @ v`` for each head.

A tile of queries at a time goes over all keys, its scores are turned into weights, and these multiply the
values: the scores of a tile stay in the second cache even for ten thousands of keys, and no more are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.templates.analytic import fits_registers, tile_cycles
from tilewright.templates.collector import TemplateConfig, get_config
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.lanes import greatest_number, reduce_lanes
from tilewright.templates.operators.product import compute_tile
from tilewright.templates.operators.product_copies import copy_panel
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
AttentionDtype = Literal["float32", "float64", "bfloat16", "float16"]
ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14)
VECTORS = (1, 2, 3, 4)
# Keys, to a vector of them, of which each has its elements in the lanes.
SIDE_BY_SIDE = 2
# Queries too few for their tile to repay a packed copy of the keys.
FEW = 4


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


def reference(q: Array, k: Array, v: Array, *mask: Array, causal: bool, scale: float | None) -> Array:
    """The attention in NumPy."""
    group = q.shape[1] // k.shape[1]
    k, v = (np.repeat(x, group, axis=1) for x in (k, v))
    scores = q @ k.swapaxes(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    for added in mask:
        scores = scores + added
    if causal:
        m, n = scores.shape[-2:]
        scores = np.where(np.arange(n) <= np.arange(m)[:, None] + (n - m), scores, -np.inf)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True) @ v)


def flops(b: int, heads: int, m: int, n: int, d: int, **_: Any) -> int:
    """Of the two products."""
    return 4 * b * heads * m * n * d


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration: the tiles that cover both products in the fewest cycles."""
    attention = Attention.of(**arguments)
    lanes, registers = target.lanes(BYTES[attention.sum]), target.vector_registers
    choices = [
        (rows, keys, values)
        for rows in ROWS
        for keys in _vectors(attention.n, lanes)
        for values in _vectors(attention.d, lanes)
        if rows <= attention.m and _fits(rows, keys, registers) and _fits(rows, values, registers)
    ]
    rows, keys, values = min(choices, key=lambda tile: (attention.cycles(tile, lanes), -tile[0]))
    return {"rows": rows, "vectors": keys, "across": values, "pack": int(attention.m >= FEW)}


def _vectors(extent: int, lanes: int) -> list[int]:
    return [v for v in VECTORS if v == 1 or (v - 1) * lanes < extent]


def _fits(rows: int, vectors: int, registers: int) -> bool:
    return rows == 1 or fits_registers(rows, vectors, registers)


@template("attention", reference=reference, default=default, flops=flops)
def attention(
    b: int,
    heads: int,
    m: int,
    n: int,
    d: int,
    kv_heads: int | None = None,
    causal: bool = False,
    mask: tuple[int, ...] = (),
    scale: float | None = None,
    dtype: AttentionDtype = "float32",
) -> tuple[Schedule, list[Tensor]]:
    """``softmax(q @ k.T * scale + mask) @ v`` for each head."""
    cfg = get_config()
    described = Attention.of(b, heads, m, n, d, kv_heads, causal, mask, scale, dtype)
    lanes, registers = cfg.target.lanes(BYTES[described.sum]), cfg.target.vector_registers
    cfg.define_knob("rows", [r for r in ROWS if r <= m])
    cfg.define_knob("vectors", _vectors(n, lanes))
    cfg.define_knob("across", _vectors(d, lanes))
    cfg.define_knob("pack", [1, 0])
    cfg.constrain(("rows", "vectors"), lambda rows, vectors: _fits(rows.val, vectors.val, registers))
    cfg.constrain(("rows", "across"), lambda rows, across: _fits(rows.val, across.val, registers))
    stages = Stages.of(described)
    return _schedule(cfg, stages, lanes), [*stages.operands, stages.y]


@dataclass(frozen=True, slots=True)
class Stages:
    """What is computed, in order.

    Attributes:
        operands: queries, keys, values and perhaps a mask.
        wide: queries, keys and values as they are multiplied.
        dots: of queries and keys.
        scores: scaled and masked.
        most: the greatest score of a query.
        powers: of the scores less that.
        total: of a query's powers.
        share: one over that.
        sums: of values by powers.
        y: the result.
    """

    operands: list[Tensor]
    wide: tuple[Tensor, ...]
    dots: Tensor
    scores: Tensor
    most: Tensor
    powers: Tensor
    total: Tensor
    share: Tensor
    sums: Tensor
    y: Tensor

    @classmethod
    def of(cls, attention: Attention) -> Stages:
        """The stages of an attention."""
        operands = attention.operands()
        q, k, v = wide = tuple(_widen(tensor, attention.sum) for tensor in operands[:3])
        mask = operands[3:]
        m, n, d = attention.m, attention.n, attention.d
        heads = (attention.b, attention.heads)
        shared = attention.heads // attention.kv_heads
        e = te.reduce_axis((0, d), "e")
        r, t, u = (te.reduce_axis((0, n), name) for name in "rtu")

        def dot(b: IterVar, h: IterVar, i: IterVar, j: IterVar) -> te.Expr:
            return te.sum(q[b, h, i, e] * k[b, h // shared, j, e], axis=e)

        dots = te.compute((*heads, m, n), dot, name="dots")
        scores = te.compute(
            (*heads, m, n), lambda *at: attention.finish_score(dots[at], at, mask), name="scores"
        )
        most = te.compute((*heads, m), lambda *at: greatest_number(scores[(*at, r)], r, attention.is_seen(at[-1], r)), name="most")
        powers = te.compute((*heads, m, n), lambda *at: te.exp(scores[at] - most[at[:-1]]), name="powers")
        total = te.compute((*heads, m), lambda *at: te.sum(powers[(*at, t)], axis=t, where=attention.is_seen(at[-1], t)), name="total")
        share = te.compute((*heads, m), lambda *at: 1 / total[at], name="share")

        def add_values(b: IterVar, h: IterVar, i: IterVar, o: IterVar) -> te.Expr:
            return te.sum(powers[b, h, i, u] * v[b, h // shared, u, o], axis=u, where=attention.is_seen(i, u))

        sums = te.compute((*heads, m, d), add_values, name="sums")
        y = te.compute(
            (*heads, m, d), lambda *at: (sums[at] * share[at[:-1]]).astype(attention.dtype), name="y"
        )
        return cls(operands, wide, dots, scores, most, powers, total, share, sums, y)


def _widen(tensor: Tensor, dtype: str) -> Tensor:
    if tensor.dtype == dtype:
        return tensor
    return te.compute(tensor.shape, lambda *at: tensor[at].astype(dtype), name=f"{tensor.name}.wide")


def _schedule(cfg: TemplateConfig, stages: Stages, lanes: int) -> Schedule:
    """All stages of a tile of queries before those of the next; threads share the tiles of all heads."""
    y = stages.y
    s = create_schedule(y)
    b, h, i, o = s[y].op.axis
    block, i = s[y].split(i, cfg["rows"].val, tail="shift_inwards")
    across, o = s[y].split(o, cfg["across"].val * lanes)
    s[y].reorder(b, h, block, across, i, o)
    loop = s[y].fuse(b, h, block)
    s[y].parallel(loop)
    s[y].unroll(i)
    s[y].vectorize(o)
    for reduction in (stages.most, stages.total, stages.sums):
        s[reduction].trim()
    _sum_values(s, stages, across)
    _score(s, cfg, stages, lanes, loop)
    reduce_lanes(s, stages.most, lanes, 2, 1, y, loop)
    _raise(s, stages.powers, lanes)
    reduce_lanes(s, stages.total, lanes, 2, 1, y, loop)
    s[stages.share].vectorize(s[stages.share].op.axis[-1])
    for tensor in (stages.scores, stages.powers, stages.share):
        s[tensor].compute_at(s[y], loop)
    _widen_operands(s, cfg, stages, lanes, loop)
    return s


def _widen_operands(s: Schedule, cfg: TemplateConfig, stages: Stages, lanes: int, loop: IterVar) -> None:
    """Queries where they are used, values ahead of all, keys in their panels; of a few, all where read."""
    queries, keys, values = stages.wide
    if queries in stages.operands:
        return
    s[queries].compute_at(s[stages.y], loop)
    s[queries].vectorize(s[queries].op.axis[-1])
    if not cfg["pack"].val:
        s[values].compute_inline()
        s[keys].compute_inline()
        return
    s[keys].compute_inline()
    *around, elements = s[values].op.axis
    s[values].vectorize(s[values].split(elements, lanes)[1])
    s[values].parallel(s[values].fuse(*around))


def _sum_values(s: Schedule, stages: Stages, across: IterVar) -> None:
    """A register tile of the result, accumulated over all keys."""
    tile = s.cache_write(stages.sums, "register")
    s[stages.sums].compute_inline()
    s[tile].compute_at(s[stages.y], across)
    compute_tile(s, tile, 1)
    s[tile].loop_partition(s[tile].op.reduce_axis[0])


def _score(s: Schedule, cfg: TemplateConfig, stages: Stages, lanes: int, loop: IterVar) -> None:
    """Scores in register tiles over packed keys; or, for a few queries, a key's elements in the lanes."""
    scores, dots = stages.scores, stages.dots
    *_, i, j = s[scores].op.axis
    columns = cfg["vectors"].val * (lanes if cfg["pack"].val else SIDE_BY_SIDE)
    keys, j = s[scores].split(j, columns)
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


def _raise(s: Schedule, powers: Tensor, lanes: int) -> None:
    *_, i, j = s[powers].op.axis
    vectors, j = s[powers].split(j, lanes)
    s[powers].reorder(vectors, i, j)
    s[powers].unroll(vectors, 1)
    s[powers].unroll(i)
    s[powers].vectorize(j)
