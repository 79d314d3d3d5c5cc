"""The matrix product that several operators share: what is computed, its knobs and its schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.analytic import (
    choose_columns,
    choose_depth,
    choose_register_tile,
    fits_registers,
    nearest,
    pays_packing,
)
from tilewright.templates.collector import TemplateConfig

Dtype = Literal["float32", "float64"]
BYTES = {"float32": 4, "float64": 8}
ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 28)
VECTORS = (1, 2, 3, 4, 6, 8)
ROW_BLOCKS = (48, 96, 144, 192, 288, 384, 768)
COLUMN_BLOCKS = (256, 512, 1024, 2048)
DEPTHS = (64, 128, 192, 256, 384, 512, 768, 1024)


@dataclass(frozen=True, slots=True)
class Product:
    """``C[m, n] = sum over k of A[m, k] * B[k, n]``, for each of ``batch`` pairs where that is given.

    Attributes:
        m, n, k: the extents.
        transpose_a, transpose_b: the operand is stored as (k, m), as (n, k).
        dtype: of all three.
        batch: the number of products; None for one, without a dimension for it.
        has_constant: B is the same in many calls, so that packing it costs nothing.
        names: of the operands and the result.
    """

    m: int
    n: int
    k: int
    transpose_a: bool = False
    transpose_b: bool = False
    dtype: str = "float32"
    batch: int | None = None
    has_constant: bool = False
    names: tuple[str, str, str] = ("A", "B", "C")

    @property
    def item(self) -> int:
        """Bytes of an element."""
        return BYTES[self.dtype]

    @property
    def row_axis(self) -> int:
        """The dimension of A that m runs along."""
        return (self.batch is not None) + self.transpose_a

    @property
    def column_axis(self) -> int:
        """The dimension of B that n runs along."""
        return (self.batch is not None) + (not self.transpose_b)

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """The operands and what is computed of them."""
        m, n, k = self.m, self.n, self.k
        head = () if self.batch is None else (self.batch,)
        left, right, result = self.names
        a = te.placeholder((*head, *((k, m) if self.transpose_a else (m, k))), self.dtype, name=left)
        b = te.placeholder((*head, *((n, k) if self.transpose_b else (k, n))), self.dtype, name=right)
        r = te.reduce_axis((0, k), name="k")

        def element(*indices: IterVar) -> te.Expr:
            *before, i, j = indices
            x = a[(*before, r, i)] if self.transpose_a else a[(*before, i, r)]
            y = b[(*before, j, r)] if self.transpose_b else b[(*before, r, j)]
            return te.sum(x * y, axis=r)

        if self.batch is None:
            return a, b, te.compute((m, n), lambda i, j: element(i, j), name=result)
        return a, b, te.compute((*head, m, n), lambda b, i, j: element(b, i, j), name=result)


def default_product(product: Product, target: Target, threads: int) -> dict[str, Any]:
    """The untuned configuration, from registers and cache sizes."""
    m, n, k, item = product.m, product.n, product.k, product.item
    lanes = target.lanes(item)
    heights, widths = _heights(m), _widths(n, lanes)
    tile = choose_register_tile(m, n, k, lanes, target.vector_registers, heights, widths)
    share = -(-m // threads) if product.batch is None else m
    block_rows = nearest(
        [v for v in up_to(ROW_BLOCKS, m) if v <= 192] or up_to(ROW_BLOCKS, m), min(share, 96)
    )
    panel = tile.vectors * lanes
    depth = nearest(up_to(DEPTHS, k), choose_depth(k, block_rows, panel, tile.rows, item, target))
    columns = up_to(COLUMN_BLOCKS, n)
    fitting = [c for c in columns if c <= choose_columns(depth, item, target)] or columns[:1]
    is_packed = pays_packing(m, k, n, item, target) or (product.transpose_b and m > tile.rows)
    return {
        "rows": tile.rows,
        "vectors": tile.vectors,
        "block_m": block_rows,
        "block_n": fitting[-1],
        "block_k": depth,
        "pack": "b" if is_packed or product.has_constant else "none",
        "order": "nm",
        "unroll_k": 1,
    }


def up_to(values: tuple[int, ...], extent: int) -> list[int]:
    """The candidates below an extent, and the extent itself: one whole block."""
    return [*(v for v in values if v < extent), extent]


def _heights(m: int) -> list[int]:
    return [h for h in ROWS if h <= m]


def _widths(n: int, lanes: int) -> list[int]:
    most = -(-n // lanes)
    return [w for w in VECTORS if w <= most]


def define_space(cfg: TemplateConfig, product: Product) -> None:
    """The knobs."""
    registers, lanes = cfg.target.vector_registers, cfg.target.lanes(product.item)
    cfg.define_knob("rows", _heights(product.m))
    cfg.define_knob("vectors", _widths(product.n, lanes))
    cfg.define_knob("block_m", up_to(ROW_BLOCKS, product.m))
    cfg.define_knob("block_n", up_to(COLUMN_BLOCKS, product.n))
    cfg.define_knob("block_k", up_to(DEPTHS, product.k))
    cfg.define_knob("pack", ["b", "none", "ab"])
    cfg.define_knob("order", ["nm", "mn"])
    cfg.define_knob("unroll_k", [1, 2, 4])
    cfg.constrain(("rows", "vectors"), lambda rows, vectors: fits_registers(rows.val, vectors.val, registers))
    cfg.constrain(("rows", "block_m"), lambda rows, block: rows.val <= block.val)


def schedule_product(cfg: TemplateConfig, product: Product) -> tuple[Schedule, list[Tensor]]:
    """A register tile of C, accumulated over blocks of k, with packed operands."""
    define_space(cfg, product)
    a, b, c = product.tensors()
    lanes = cfg.target.lanes(product.item)
    rows, columns = cfg["rows"].val, cfg["vectors"].val * lanes
    s = create_schedule(c)
    (*batch, i, j), (r,) = s[c].op.axis, s[c].op.reduce_axis

    block_k, _ = s[c].split(r, cfg["block_k"].val)
    block_n, j = s[c].split(j, cfg["block_n"].val)
    block_m, i = s[c].split(i, cfg["block_m"].val)
    tile_m, i = s[c].split(i, rows)
    tile_n, j = s[c].split(j, columns)
    tiles = (tile_n, tile_m) if cfg["order"].val == "nm" else (tile_m, tile_n)
    s[c].reorder(*batch, block_n, block_k, block_m, *tiles, i, j)

    tile = s.cache_inplace(c, "register", axis=block_k)
    s[tile].compute_at(s[c], tiles[1])
    compute_tile(s, tile, cfg["unroll_k"].val)
    s[c].unroll(i)
    s[c].vectorize(j)
    s[c].parallel(batch[0] if batch else block_m)

    if "b" in cfg["pack"].val:
        packed = s.pack(b, tile, {product.column_axis: columns})
        if not product.has_constant:
            s[packed].compute_at(s[c], block_k)
        copy_panel(s, packed, product.column_axis, columns, parallel=not batch)
    if "a" in cfg["pack"].val:
        packed = s.pack(a, tile, {product.row_axis: rows})
        s[packed].compute_at(s[c], block_m)
        copy_panel(s, packed, product.row_axis, rows, parallel=False)
    return s, [a, b, c]


def compute_tile(s: Schedule, tile: Tensor, unroll_k: int) -> None:
    """A tile whose rows are unrolled and whose columns are vectors lives in registers."""
    (*_, i, j), (r,) = s[tile].op.axis, s[tile].op.reduce_axis
    s[tile].reorder(r, i, j)
    s[tile].unroll(r, unroll_k)
    s[tile].unroll(i)
    s[tile].vectorize(j)


def copy_panel(s: Schedule, packed: Tensor, dimension: int, size: int, parallel: bool) -> None:
    """Copy an operand panel by panel, in the order in which the tile reads it."""
    axes: Sequence[IterVar] = s[packed].op.axis
    panel, inside = s[packed].split(axes[dimension], size)
    others = [axis for place, axis in enumerate(axes) if place != dimension]
    s[packed].reorder(panel, *others, inside)
    s[packed].vectorize(inside)
    if parallel:
        s[packed].parallel(panel)
