"""One pass over a result in the order of memory: how operators go that compute element by element."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Literal

from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.operators.lanes import vectors_of
from tilewright.templates.operators.product import up_to
from tilewright.templates.operators.streams import choose_store, default_store

# What is moved as it is.
ElementDtype = Literal["float32", "float64", "bfloat16", "float16", "int32", "int64", "uint8", "int8", "bool"]
BLOCKS = (1024, 4096, 16384, 65536)
# Elements that keep a thread busy for longer than it takes to wake it.
BLOCK = 16384
# Vectors side by side that hide the latency of arithmetic and of memory.
FEW = 4


def default_sweep(
    target: Target, threads: int, extents: Sequence[int], dtype: str, lanes: int = 0, most: int = FEW
) -> dict[str, Any]:
    """The untuned configuration: ``most`` vectors at once, and where threads would idle shorter blocks.

    ``lanes`` are those of the result's ``dtype`` unless given.
    """
    last = extents[-1]
    share = -(-prod(extents) // threads)
    blocks = [block for block in up_to(BLOCKS, last) if block <= max(min(BLOCK, share), BLOCKS[0])]
    vectors = vectors_of(last, lanes or target.lanes(BYTES[dtype]))
    return {
        "vectors": [v for v in vectors if v <= most][-1],
        "block": last if threads == 1 or not blocks else blocks[-1],
        **default_store(target, extents, dtype),
    }


def sweep(cfg: TemplateConfig, y: Tensor, lanes: int) -> Schedule:
    """Vectors of the last dimension, in blocks that threads share with the dimensions around."""
    last = y.shape[-1]
    cfg.define_knob("vectors", vectors_of(last, lanes))
    cfg.define_knob("block", up_to(BLOCKS, last))
    s = create_schedule(y)
    *around, inner = s[y].op.axis
    block, inner = s[y].split(inner, cfg["block"].val)
    strip, lane = s[y].split(inner, cfg["vectors"].val * lanes)
    s[y].unroll(strip, 1)
    s[y].vectorize(lane)
    s[y].parallel(s[y].fuse(*around, block))
    choose_store(cfg, s, y, strip)
    return s


def no_flops(**_: Any) -> int:
    """What operators compute that only move elements."""
    return 0
