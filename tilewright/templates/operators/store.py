"""How results are written that the last cache cannot hold: past the caches, or through them."""

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


def choose_store(cfg: TemplateConfig, s: Schedule, y: Tensor) -> None:
    """A knob for results that the last cache cannot hold: whether they are written past the caches."""
    if default_store(cfg.target, y.shape, y.dtype):
        cfg.define_knob("store", [STREAMED, "cached"])
        if cfg["store"].val == STREAMED:
            s[y].store_nontemporal()


def default_store(target: Target, extents: Sequence[int], dtype: str) -> dict[str, Any]:
    """The untuned choice of the knob, where there is one."""
    return {"store": STREAMED} if prod(extents) * BYTES[dtype] > target.l3_bytes else {}
