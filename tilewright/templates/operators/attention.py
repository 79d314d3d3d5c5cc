"""Scaled dot-product attention in one kernel: ``softmax(q @ k.T * scale + mask) @ v`` for each head.

A tile of queries at a time goes over all keys, or over blocks of them. Its scores are turned into weights,
and these multiply the values: no more scores than those of a tile are kept. With a causal mask a tile ends at
the last key that its last query sees.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler.schedule import Schedule
from tilewright.compiler.te import Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.templates.collector import get_config
from tilewright.templates.operators.attention_amx import is_for_tiles, schedule_amx
from tilewright.templates.operators.attention_by_keys import schedule_by_keys
from tilewright.templates.operators.attention_by_queries import schedule_by_queries
from tilewright.templates.operators.attention_tiles import (
    PANELS,
    ROWS,
    TILES,
    WIDE,
    Tile,
    default,
    has_whole_blocks,
    lanes_of,
    may_block,
    parts_of,
    vectors_of,
)
from tilewright.templates.operators.attention_workload import Attention
from tilewright.templates.operators.operand import FloatDtype
from tilewright.templates.template import template

Array = npt.NDArray[Any]
TILE = ("lanes", "rows", "vectors", "across", "wide")


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
    dtype: FloatDtype = "float32",
) -> tuple[Schedule, list[Tensor]]:
    """``softmax(q @ k.T * scale + mask) @ v`` for each head."""
    cfg = get_config()
    described = Attention.of(b, heads, m, n, d, kv_heads, causal, mask, scale, dtype)
    width, registers = cfg.target.lanes(BYTES[described.sum]), cfg.target.vector_registers
    if is_for_tiles(described, cfg.target):
        return schedule_amx(cfg, described, width)
    cfg.define_knob("lanes", lanes_of(described, width))
    cfg.define_knob("rows", [r for r in ROWS if r <= max(m, n)])
    cfg.define_knob("vectors", vectors_of(max(m, n), width))
    cfg.define_knob("across", vectors_of(d, width))
    cfg.define_knob("wide", list(WIDE))
    names: tuple[str, ...] = TILE
    if len(parts_of(described, cfg.target)) > 1:
        cfg.define_knob("parts", parts_of(described, cfg.target))
        names = (*TILE, "parts")
    cfg.define_knob("pack", [1, 0])
    cfg.define_knob("panels", [p for p in PANELS if p * width < n])
    cfg.define_knob("tiles", [t for t in TILES if t <= m])
    cfg.define_knob("prefetch", [False, True])
    cfg.constrain(names, lambda *tile: _tile(*tile).is_possible(described, width, registers))
    cfg.constrain(("lanes", "prefetch"), lambda lanes, ahead: lanes.val == "queries" or not ahead.val)
    cfg.constrain(("lanes", "pack", "panels", "tiles"), lambda *knobs: may_block(*_values(*knobs)))
    cfg.constrain(
        ("rows", "vectors", "panels", "tiles"),
        lambda *knobs: has_whole_blocks(described, width, *_values(*knobs)),
    )
    if cfg["lanes"].val == "keys":
        return schedule_by_keys(cfg, described, width)
    return schedule_by_queries(cfg, described, width, cfg["parts"].val if "parts" in names else 1)


def _tile(*knobs: Any) -> Tile:
    return Tile(*_values(*knobs))


def _values(*knobs: Any) -> list[Any]:
    return [knob.val for knob in knobs]
