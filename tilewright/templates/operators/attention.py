"""Scaled dot-product attention in one kernel: ``softmax(q @ k.T * scale + mask) @ v`` for each head.

A tile of queries at a time goes over all keys, or over blocks of them, each of which may serve several tiles.
Its scores are turned into weights, and these multiply the values: no more scores than those of a tile and a
block are kept. With a causal mask a tile ends at the last key that its last query sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.templates.analytic import FMA_LATENCY, fits_registers
from tilewright.templates.collector import TemplateConfig, get_config
from tilewright.templates.operators.attention_stages import Attention, Stages
from tilewright.templates.operators.lanes import reduce_lanes
from tilewright.templates.operators.product import compute_tile
from tilewright.templates.operators.product_copies import copy_panel
from tilewright.templates.template import template

Array = npt.NDArray[Any]
AttentionDtype = Literal["float32", "float64", "bfloat16", "float16"]
ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14)
VECTORS = (1, 2, 3, 4)
# Keys, to a vector of them, of which each has its elements in the lanes.
SIDE_BY_SIDE = 2
# Panels of keys in a block, 0 for one block of all keys; and tiles of queries that a block serves.
PANELS = (0, 1, 2, 4, 8, 16)
TILES = (1, 2, 4, 8, 16)
# Queries whose lanes are joined side by side: all at once is much code.
JOINED_ROWS = 2
# Queries too few for their tile to repay a packed copy of the keys.
FEW = 4


def reference(q: Array, k: Array, v: Array, *mask: Array, causal: bool, scale: float | None) -> Array:
    """The attention in NumPy; what a causal mask hides has no part in it, whatever it holds."""
    group = q.shape[1] // k.shape[1]
    k, v = (np.repeat(x, group, axis=1) for x in (k, v))
    scores = q @ k.swapaxes(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    for added in mask:
        scores = scores + added
    m, n = scores.shape[-2:]
    seen = np.arange(n) <= np.arange(m)[:, None] + (n - m) if causal else np.full((m, n), True)
    scores = np.where(seen, scores, -np.inf)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return _weighted(powers / powers.sum(axis=-1, keepdims=True), v, seen)


def _weighted(weights: Array, v: Array, seen: Array) -> Array:
    """The sum of the seen values by their weights; no number times a weight of zero is no number."""
    is_number = np.isfinite(v)
    sums = weights @ np.where(is_number, v, 0)
    for place in np.flatnonzero(~is_number.all(axis=(0, 1, 3))):
        strange = np.where(is_number[:, :, place], 0, v[:, :, place])
        terms = weights[..., place, None] * strange[:, :, None, :]
        sums = sums + np.where(seen[:, place, None], terms, 0)
    return np.asarray(sums)


def flops(b: int, heads: int, m: int, n: int, d: int, **_: Any) -> int:
    """Of the two products."""
    return 4 * b * heads * m * n * d


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration: tiles that cover both products in the fewest cycles, blocks by caches."""
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
    is_packed = attention.m >= FEW
    return {
        "rows": rows,
        "vectors": keys,
        "across": values,
        "pack": int(is_packed),
        "panels": _panels(attention, rows, keys * lanes, target) if is_packed else 0,
        "tiles": 1,
    }


def _panels(attention: Attention, rows: int, columns: int, target: Target) -> int:
    """Panels of keys in a block: none where what a tile of queries goes through takes half the second cache.

    Else its scores and their powers may leave it while keys and values stream through: those of a block stay
    in the first cache.
    """
    item, n = BYTES[attention.sum], attention.n
    if 2 * n * (attention.d + rows) * item <= target.l2_bytes // 2:
        return 0
    fitting = [p for p in PANELS if p * columns < n and 2 * p * columns * rows * item <= target.l1_bytes]
    return fitting[-1]


def _may_block(n: int, lanes: int, vectors: int, pack: int, panels: int, tiles: int) -> bool:
    """Whether keys can be taken by so many panels, and these serve so many tiles; 0 panels are all keys."""
    return tiles == 1 if not panels else bool(pack) and panels * vectors * lanes < n


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
    cfg.define_knob("panels", [p for p in PANELS if p * lanes < n])
    cfg.define_knob("tiles", [t for t in TILES if t <= m])
    names = ("vectors", "pack", "panels", "tiles")
    cfg.constrain(names, lambda *knobs: _may_block(n, lanes, *(knob.val for knob in knobs)))
    cfg.constrain(("rows", "vectors"), lambda rows, vectors: _fits(rows.val, vectors.val, registers))
    cfg.constrain(("rows", "across"), lambda rows, across: _fits(rows.val, across.val, registers))
    cfg.constrain(("rows", "tiles"), lambda rows, tiles: rows.val * tiles.val <= m)
    stages = Stages.of(described, cfg["panels"].val * cfg["vectors"].val * lanes)
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
        place = _join_blocks(s, cfg, stages, lanes)
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


def _join_blocks(s: Schedule, cfg: TemplateConfig, stages: Stages, lanes: int) -> Place:
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
