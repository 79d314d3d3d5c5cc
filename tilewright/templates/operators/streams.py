"""In which order large arrays are best read, and how results are written."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
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


def choose_store(
    cfg: TemplateConfig, s: Schedule, y: Tensor, written: IterVar | None = None, ahead: int = 1
) -> None:
    """A knob for results that the last cache cannot hold: whether they are written past the caches.

    Others' lines are fetched ``ahead`` iterations of the loop ``written`` before they are written, if that is
    given. Stores go one after another, and one that crosses two lines waits for each: passes over rows that
    lie in the second cache took up to six times as long where the result began in mid-line.
    """
    if default_store(cfg.target, y.shape, y.dtype):
        cfg.define_knob("store", [STREAMED, "cached"])
        if cfg["store"].val == STREAMED:
            s[y].store_nontemporal()
            return
    if written is not None:
        s[y].prefetch(y, written, ahead)


def default_store(target: Target, extents: Sequence[int], dtype: str) -> dict[str, Any]:
    """The untuned choice of the knob, where there is one."""
    return {"store": STREAMED} if prod(extents) * BYTES[dtype] > target.l3_bytes else {}
