"""The schedule of a product, chosen from its shape: tiles, or one of those for a few vectors."""

from __future__ import annotations

from typing import Any

from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.operators.product import Product, default_tiles, schedule_tiles
from tilewright.templates.operators.product_amx import default_amx, is_for_tiles, schedule_amx
from tilewright.templates.operators.product_vectors import (
    choose_form,
    default_dot,
    default_stream,
    schedule_dot,
    schedule_stream,
)

SCHEDULES = {"tiles": schedule_tiles, "amx": schedule_amx, "dot": schedule_dot, "stream": schedule_stream}
DEFAULTS = {"tiles": default_tiles, "amx": default_amx, "dot": default_dot, "stream": default_stream}


def schedule_product(cfg: TemplateConfig, product: Product) -> tuple[Schedule, list[Tensor]]:
    """The schedule and its tensors, in the order of a call."""
    return SCHEDULES[_form(product, cfg.target)](cfg, product)


def default_product(product: Product, target: Target, threads: int) -> dict[str, Any]:
    """The untuned configuration."""
    return DEFAULTS[_form(product, target)](product, target, threads)


def _form(product: Product, target: Target) -> str:
    """The schedule's name; operands that are converted are multiplied in tiles only."""
    if is_for_tiles(product, target):
        return "amx"
    return choose_form(product, target.lanes(product.item)) if product.types.is_plain else "tiles"
