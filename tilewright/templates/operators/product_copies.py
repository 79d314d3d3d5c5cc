"""Copies of a product's operands in the order in which a register tile reads them, converted if need be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tilewright.compiler.schedule import Schedule
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.operators.product_stages import ProductStages

if TYPE_CHECKING:
    from tilewright.templates.operators.product import Loops, Product

# Vectors of a block of columns whose sums are taken together.
SUMMED_VECTORS = 4


def copy_panel(
    s: Schedule,
    packed: Tensor,
    dimension: int,
    size: int,
    lanes: int,
    parallel: bool,
    is_turned: bool | None = None,
) -> None:
    """Copy an operand panel by panel, in the order in which the tile reads it.

    Where the panel runs across the operand's rows, square blocks of it are turned around in registers; only a
    few rows are read at a time, so that the processor can fetch each ahead. ``is_turned`` says so of an
    operand that is converted, too, and so lies otherwise than its copy's dimensions say.
    """
    axes: Sequence[IterVar] = s[packed].op.axis
    panel, inside = s[packed].split(axes[dimension], size)
    others = [axis for place, axis in enumerate(axes) if place != dimension]
    if dimension < len(axes) - 1 if is_turned is None else is_turned:
        outer, steps = s[packed].split(others.pop(), lanes, tail="shift_inwards")
        s[packed].unroll(steps)
        chunk, inside = s[packed].split(inside, lanes)
        others = [*others, chunk, outer, steps]
    s[packed].reorder(panel, *others, inside)
    s[packed].vectorize(inside)
    if parallel:
        s[packed].parallel(panel)


def copy_converted(
    s: Schedule,
    cfg: TemplateConfig,
    product: Product,
    stages: ProductStages,
    readers: tuple[Tensor, Tensor],
    loops: Loops,
) -> None:
    """Copy operands as the tile multiplies them: panels of the right one, rows of the left one."""
    tile, main = readers
    lanes = cfg.target.lanes(product.item)
    packed = s.pack(stages.right, tile, {stages.right.ndim - 1: cfg["vectors"].val * lanes})
    if not product.has_constant:
        s[packed].compute_at(s[main], loops.depth)
    _copy_right(s, cfg, product, packed, loops.is_shared or product.has_constant)
    if "a" in cfg["pack"].val:
        copied = _copy_left(s, cfg, product, stages.left, tile)
        s[copied].compute_at(s[main], loops.rows if loops.is_shared else loops.depth)
    s[stages.left].compute_inline()
    s[stages.right].compute_inline()
    if stages.column_sums is not None:
        _sum_columns(s, stages.column_sums, lanes)


def _copy_right(
    s: Schedule, cfg: TemplateConfig, product: Product, packed: Tensor, is_parallel: bool
) -> None:
    """Vectors along the operand's rows; where they run along ``k``, blocks of whole words turned around."""
    lanes, parts = cfg.target.lanes(product.item), product.types.parts(cfg.target)
    columns = cfg["vectors"].val * lanes
    stage = s[packed]
    *batch, steps, j = stage.op.axis
    if product.transpose_b and parts > 1 and product.k % parts == 0:
        copy_panel(s, packed, len(batch) + 1, columns, lanes, is_parallel, is_turned=True)
        return
    panel, inside = stage.split(j, columns)
    stage.reorder(panel, *batch, steps, inside)
    if product.k % parts:
        stage.loop_partition(steps)
    if not product.transpose_b:
        stage.vectorize(inside)
    if is_parallel:
        stage.parallel(panel)


def _copy_left(s: Schedule, cfg: TemplateConfig, product: Product, left: Tensor, tile: Tensor) -> Tensor:
    """Rows as they lie; of a transposed operand panels of as many rows as a tile has."""
    lanes, rows = cfg.target.lanes(product.item), cfg["rows"].val
    if product.transpose_a:
        packed = s.pack(left, tile, {left.ndim - 2: rows})
        *batch, i, steps = s[packed].op.axis
        panel, inside = s[packed].split(i, rows)
        s[packed].reorder(*batch, panel, steps, inside)
        s[packed].vectorize(inside)
        return packed
    copied = s.cache_read(left, "call", tile)
    _, inside = s[copied].split(s[copied].op.axis[-1], lanes)
    s[copied].vectorize(inside)
    if product.k % product.types.parts(cfg.target):
        s[copied].loop_partition(inside)  # whole words are read without tests
    return copied


def _sum_columns(s: Schedule, sums: Tensor, lanes: int) -> None:
    """The sums of a block of columns stay in registers while its rows are read."""
    stage = s[sums]
    (*batch, j), (r,) = stage.op.axis, stage.op.reduce_axis
    block, inside = stage.split(j, SUMMED_VECTORS * lanes)
    stage.reorder(*batch, block, r, inside)
    stage.vectorize(inside)
    stage.parallel(stage.fuse(*batch, block))
