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
    fits_level2,
    fits_registers,
    nearest,
    pays_packing,
)
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.epilogue import apply_epilogue, is_costly

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
        epilogue: what is done with each element of the result; its channels are the columns.
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
    epilogue: tuple[str, ...] = ()

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


def default_tiles(product: Product, target: Target, threads: int) -> dict[str, Any]:
    """The untuned configuration, from registers and cache sizes.

    An epilogue is fused where the whole reduction of a block of rows can stay in the second cache.
    """
    m, n, k, item = product.m, product.n, product.k, product.item
    lanes = target.lanes(item)
    heights, widths = _heights(m), _widths(n, lanes)
    tile = choose_register_tile(m, n, k, lanes, target.vector_registers, heights, widths)
    share = -(-m // -(-threads // (product.batch or 1)))
    blocks = row_blocks(product, threads)
    heights_of_blocks = [v for v in blocks if v <= 192] or blocks
    even = even_block(share)
    block_rows = even if threads > 1 and even in blocks else nearest(heights_of_blocks, min(share, 96))
    panel = tile.vectors * lanes
    depth = nearest(up_to(DEPTHS, k), choose_depth(k, block_rows, panel, tile.rows, item, target))
    whole = [v for v in heights_of_blocks if v <= block_rows and fits_level2(k, v + panel, item, target)]
    if product.epilogue and whole:
        depth, block_rows = k, whole[-1]
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


def row_blocks(product: Product, threads: int) -> list[int]:
    """Rows of a block: the usual sizes, and the one of which all threads have as many."""
    usual = up_to(ROW_BLOCKS, product.m)
    even = even_block(-(-product.m // threads))
    is_offered = threads > 1 and product.batch is None and even > ROW_BLOCKS[0]
    return sorted({*usual, even}) if is_offered else usual


def even_block(rows: int) -> int:
    """The rows of a block where so many are divided evenly into blocks of 96 at most."""
    return -(-rows // -(-rows // 96))


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
    cfg.define_knob("block_m", row_blocks(product, cfg.threads))
    cfg.define_knob("block_n", up_to(COLUMN_BLOCKS, product.n))
    cfg.define_knob("block_k", up_to(DEPTHS, product.k))
    cfg.define_knob("pack", ["b", "none", "ab"])
    cfg.define_knob("order", ["nm", "mn"])
    cfg.define_knob("unroll_k", [1, 2, 4])
    cfg.constrain(("rows", "vectors"), lambda rows, vectors: fits_registers(rows.val, vectors.val, registers))
    cfg.constrain(("rows", "block_m"), lambda rows, block: rows.val <= block.val)


def schedule_tiles(cfg: TemplateConfig, product: Product) -> tuple[Schedule, list[Tensor]]:
    """A register tile of C, accumulated over blocks of k, with packed operands.

    The epilogue finishes a tile before it is stored where one block is the whole of k; else it finishes
    blocks of columns, each as soon as it is complete.
    """
    define_space(cfg, product)
    a, b, c = product.tensors()
    finished = apply_epilogue(c, product.epilogue)
    output = finished.output
    s = create_schedule(output)
    if product.epilogue and cfg["block_k"].val >= product.k:
        in_registers = not is_costly(product.epilogue)
        main, tile = output, s.cache_write(c, "register" if in_registers else "call")
        s[c].compute_inline()
        loops = split_blocks(s, cfg, product, output)
        s[output].unroll(loops.i, 0 if in_registers else 1)
    else:
        around = finish_blocks(s, cfg, product, output) if product.epilogue else None
        if around is not None:
            s[c].compute_at(s[output], around)
        loops = split_blocks(s, cfg, product, c, is_inside=around is not None)
        main, tile = c, s.cache_inplace(c, "register", axis=loops.depth)
        s[c].unroll(loops.i)
    s[main].vectorize(loops.j)
    s[tile].compute_at(s[main], loops.tile)
    compute_tile(s, tile, cfg["unroll_k"].val)
    pack_operands(s, cfg, product, (a, b), (tile, main), loops)
    return s, [a, b, *finished.operands, output]


@dataclass(frozen=True, slots=True)
class Loops:
    """Where things happen in a blocked stage.

    Attributes:
        depth: the loop over blocks of k; without one, the loop around that reads the same panel of B.
        rows: the loop over blocks of rows.
        tile: the loop whose body is one register tile, of the loops ``i`` and ``j``.
        is_shared: no loop around ``depth`` is parallel, so that threads may share what is done there.
    """

    depth: IterVar
    rows: IterVar
    tile: IterVar
    i: IterVar
    j: IterVar
    is_shared: bool


def split_blocks(
    s: Schedule, cfg: TemplateConfig, product: Product, main: Tensor, is_inside: bool = False
) -> Loops:
    """Split a stage into blocks and tiles; ``is_inside``: it computes one block of columns of its reader."""
    stage, lanes = s[main], cfg.target.lanes(product.item)
    *batch, i, j = stage.op.axis
    depths = [stage.split(r, cfg["block_k"].val)[0] for r in stage.op.reduce_axis]
    block_n = None
    if not is_inside:
        block_n, j = stage.split(j, column_block(cfg, product))
    block_m, i = stage.split(i, cfg["block_m"].val)
    tile_m, i = stage.split(i, cfg["rows"].val)
    tile_n, j = stage.split(j, cfg["vectors"].val * lanes)
    tiles = (tile_n, tile_m) if cfg["order"].val == "nm" else (tile_m, tile_n)
    across = [] if block_n is None else [block_n]
    if batch:
        stage.reorder(*batch, block_m, *across, *depths, *tiles, i, j)
        rows = stage.fuse(*batch, block_m)
    else:
        stage.reorder(*across, *depths, block_m, *tiles, i, j)
        rows = block_m
    if not (batch and is_inside):
        stage.parallel(rows)
    return Loops([*across, *depths][-1], rows, tiles[1], i, j, not batch)


def column_block(cfg: TemplateConfig, product: Product) -> int:
    """The columns of a block; whole panels, where the panels of a constant operand lie side by side."""
    block = int(cfg["block_n"].val)
    if not product.has_constant:
        return block
    panel = int(cfg["vectors"].val) * cfg.target.lanes(product.item)
    return -(-block // panel) * panel


def finish_blocks(s: Schedule, cfg: TemplateConfig, product: Product, output: Tensor) -> IterVar:
    """Let the epilogue run over blocks of columns; the loop at which the product of one is computed."""
    stage, lanes = s[output], cfg.target.lanes(product.item)
    *batch, i, j = stage.op.axis
    block_n, j = stage.split(j, column_block(cfg, product))
    block_m, i = stage.split(i, cfg["block_m"].val)
    vectors, j = stage.split(j, cfg["vectors"].val * lanes)
    if batch:
        stage.reorder(*batch, block_m, block_n, i, vectors, j)
        stage.parallel(stage.fuse(*batch, block_m))
    else:
        stage.reorder(block_n, block_m, i, vectors, j)
        stage.parallel(block_m)
    stage.vectorize(j)
    return block_n


def pack_operands(
    s: Schedule,
    cfg: TemplateConfig,
    product: Product,
    operands: tuple[Tensor, Tensor],
    stages: tuple[Tensor, Tensor],
    loops: Loops,
) -> None:
    """Copy operands into the order in which the tile reads them; a constant B whole, ahead."""
    (a, b), (tile, main) = operands, stages
    lanes = cfg.target.lanes(product.item)
    rows, columns = cfg["rows"].val, cfg["vectors"].val * lanes
    if "b" in cfg["pack"].val:
        packed = s.pack(b, tile, {product.column_axis: columns})
        if not product.has_constant:
            s[packed].compute_at(s[main], loops.depth)
        copy_panel(s, packed, product.column_axis, columns, lanes, loops.is_shared or product.has_constant)
    if "a" in cfg["pack"].val:
        packed = s.pack(a, tile, {product.row_axis: rows})
        s[packed].compute_at(s[main], loops.rows if loops.is_shared else loops.depth)
        copy_panel(s, packed, product.row_axis, rows, lanes, parallel=False)


def compute_tile(s: Schedule, tile: Tensor, unroll_k: int) -> None:
    """A tile whose rows are unrolled and whose columns are vectors lives in registers."""
    (*_, i, j), (r,) = s[tile].op.axis, s[tile].op.reduce_axis
    s[tile].reorder(r, i, j)
    s[tile].unroll(r, unroll_k)
    s[tile].unroll(i)
    s[tile].vectorize(j)


def copy_panel(s: Schedule, packed: Tensor, dimension: int, size: int, lanes: int, parallel: bool) -> None:
    """Copy an operand panel by panel, in the order in which the tile reads it.

    Where the panel runs across the operand's rows, square blocks of it are turned around in registers; only a
    few rows are read at a time, so that the processor can fetch each ahead.
    """
    axes: Sequence[IterVar] = s[packed].op.axis
    panel, inside = s[packed].split(axes[dimension], size)
    others = [axis for place, axis in enumerate(axes) if place != dimension]
    if dimension < len(axes) - 1:
        outer, steps = s[packed].split(others.pop(), lanes, tail="shift_inwards")
        s[packed].unroll(steps)
        chunk, inside = s[packed].split(inside, lanes)
        others = [*others, chunk, outer, steps]
    s[packed].reorder(panel, *others, inside)
    s[packed].vectorize(inside)
    if parallel:
        s[packed].parallel(panel)
