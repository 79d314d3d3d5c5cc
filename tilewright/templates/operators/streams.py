"""Arrays that the last cache cannot hold: in which order they are best read, and how they are written."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.templates.collector import TemplateConfig

STREAMED = "streamed"
# The share of the last cache for what a call finds there from the one before.
L3_SHARE = 0.5
# Rows of fewer bytes are read to the end before prefetchers could lose them; of longer ones few share a page.
SHORTEST_STREAM = 256
LONGEST_STREAM = 2 * 4096


def breaks_streams(touched: int, row: int, target: Target) -> bool:
    """Whether neighbouring rows are better read one after the other than side by side.

    Prefetchers follow what goes through a page line after line: several rows of one page at a time lose them.
    That matters where data come from memory.

    Args:
        touched: the bytes that a call reads and writes.
        row: the bytes of a row.
        target: the machine.
    """
    return touched >= L3_SHARE * target.l3_bytes and SHORTEST_STREAM <= row <= LONGEST_STREAM


def choose_store(cfg: TemplateConfig, s: Schedule, y: Tensor) -> bool:
    """A knob for results that the last cache cannot hold: whether they are written past the caches.

    Returns whether they are.
    """
    if not default_store(cfg.target, y.shape, y.dtype):
        return False
    cfg.define_knob("store", [STREAMED, "cached"])
    is_streamed: bool = cfg["store"].val == STREAMED
    if is_streamed:
        s[y].store_nontemporal()
    return is_streamed


def default_store(target: Target, extents: Sequence[int], dtype: str) -> dict[str, Any]:
    """The untuned choice of the knob, where there is one."""
    return {"store": STREAMED} if prod(extents) * BYTES[dtype] > target.l3_bytes else {}
