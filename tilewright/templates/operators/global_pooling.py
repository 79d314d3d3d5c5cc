"""Averages of whole images: a sum along what is contiguous, or beside it."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.operators.lanes import compute_lanes, halve_lanes
from tilewright.templates.operators.operand import Operand, computed_lanes

Array = npt.NDArray[Any]
VECTORS = (1, 2, 4, 8)
# Sums side by side that hide the latency of an addition.
FEW = 4
ROWS = (1, 2, 4, 8)


def mean_reference(x: Array, *, layout: str) -> Array:
    """The averages in NumPy; the spatial dimensions stay, of extent 1."""
    axes = tuple(range(1, x.ndim - 1) if layout.endswith("C") else range(2, x.ndim))
    return np.asarray(x.mean(axis=axes, keepdims=True))


def default_mean(target: Target, threads: int, n: int, c: int, **arguments: Any) -> dict[str, Any]:
    """A few sums side by side."""
    lanes = computed_lanes(target, arguments["dtype"])
    if arguments["layout"].endswith("C"):
        return {"vectors": [v for v in VECTORS if v <= FEW and v < 2 * -(-c // lanes)][-1]}
    return {"rows": [r for r in ROWS if r <= min(FEW, c)][-1], "vectors": 1}


def schedule_mean(
    cfg: TemplateConfig, outer: tuple[int, int], spatial: tuple[int, ...], layout: str, dtype: str
) -> tuple[Schedule, list[Tensor]]:
    """Vectors of channels where these are contiguous, else lanes of partial sums along the image."""
    n, c = outer
    is_last, ones = layout.endswith("C"), (1,) * len(spatial)
    lanes, scale = computed_lanes(cfg.target, dtype), 1.0 / prod(spatial)
    x = Operand(te.placeholder((n, *spatial, c) if is_last else (n, c, *spatial), dtype, name="x"))
    steps = [te.reduce_axis((0, e), name=f"r{d}") for d, e in enumerate(spatial)]

    def element(b: IterVar, channel: IterVar) -> te.Expr:
        index = (b, *steps, channel) if is_last else (b, channel, *steps)
        return te.sum(x[index], axis=steps)

    total = te.compute((n, c), element, name="total")
    shape = (n, *ones, c) if is_last else (n, c, *ones)

    def mean(*i: IterVar) -> te.Expr:
        return te.cast(dtype, total[i[0], i[-1] if is_last else i[1]] * scale)

    y = te.compute(shape, mean, name="y")
    s = create_schedule(y)
    if is_last:
        _beside(s, cfg, total, y, lanes)
    else:
        _along(s, cfg, total, y, lanes, spatial[-1])
    return s, [x.tensor, y]


def _beside(s: Schedule, cfg: TemplateConfig, total: Tensor, y: Tensor, lanes: int) -> None:
    cfg.define_knob("vectors", [v for v in VECTORS if v < 2 * -(-y.shape[-1] // lanes)])
    tile = s.cache_write(total, "register")
    s[total].compute_inline()
    batch, *ones, channel = s[y].op.axis
    outer, inner = s[y].split(channel, cfg["vectors"].val * lanes)
    s[y].reorder(batch, outer, *ones, inner)
    s[y].parallel(s[y].fuse(batch, outer))
    s[y].vectorize(inner)
    s[tile].compute_at(s[y], ones[-1])
    i, j = s[tile].op.axis
    s[tile].reorder(i, *s[tile].op.reduce_axis, j)
    s[tile].vectorize(j)


def _along(s: Schedule, cfg: TemplateConfig, total: Tensor, y: Tensor, lanes: int, size: int) -> None:
    cfg.define_knob("rows", [r for r in ROWS if r <= y.shape[1]])
    cfg.define_knob("vectors", [v for v in VECTORS if v == 1 or v * lanes <= size])
    partial = halve_lanes(s, total, lanes, cfg["vectors"].val)
    batch, channel, *ones = s[y].op.axis
    outer, inner = s[y].split(channel, cfg["rows"].val)
    s[y].reorder(batch, outer, *ones, inner)
    s[y].parallel(batch if batch.extent >= cfg.threads else outer)
    s[y].vectorize(inner)
    for stage in (*partial, total):
        s[stage].compute_at(s[y], outer)
    s[total].unroll(s[total].op.axis[1])
    for stage in partial:
        compute_lanes(s, stage, 1 if stage is partial[0] else 0)
