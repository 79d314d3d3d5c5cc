"""The matrix product that several operators share: what is computed, its knobs and its schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tilewright.compiler import te
from tilewright.compiler.analysis.machine import LINE_BYTES, Machine
from tilewright.compiler.dot_instructions import multiplies_words
from tilewright.compiler.schedule import Schedule, Stage, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.analytic import (
    RegisterTile,
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
from tilewright.templates.operators.product_copies import copy_converted, copy_panel
from tilewright.templates.operators.product_stages import ProductOperands, ProductStages, write_stages
from tilewright.templates.operators.product_types import ProductTypes, choose_types

Dtype = Literal["float32", "float64"]
ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 28)
VECTORS = (1, 2, 3, 4, 6, 8)
ROW_BLOCKS = (48, 96, 144, 192, 288, 384, 768)
COLUMN_BLOCKS = (256, 512, 1024, 2048)
APART_REGISTERS = 4
# Steps of the reduction written out where a core multiplies two vectors a cycle, so that the loop would show,
# and for how many vectors of sums at most, in tiles of all shapes.
UNROLLED = 4
MOST_UNROLLED = 60
DEPTHS = (64, 128, 192, 256, 384, 512, 768, 1024)


@dataclass(frozen=True, slots=True)
class Product:
    """``C[m, n] = sum over k of A[m, k] * B[k, n]``, for each of ``batch`` pairs where that is given.

    Attributes:
        m, n, k: the extents.
        transpose_a, transpose_b: the operand is stored as (k, m), as (n, k).
        dtype: of A; of all three where nothing else is said.
        batch: the number of products; None for one, without a dimension for it.
        has_constant: B is the same in many calls, so that packing it costs nothing.
        names: of the operands and the result.
        epilogue: what is done with each element of the result; its channels are the columns.
        weight_dtype, out_dtype: of B and of the result.
    """

    m: int
    n: int
    k: int
    transpose_a: bool = False
    transpose_b: bool = False
    dtype: str = "float32"
    weight_dtype: str | None = None
    out_dtype: str | None = None
    batch: int | None = None
    has_constant: bool = False
    names: tuple[str, str, str] = ("A", "B", "C")
    epilogue: tuple[str, ...] = ()

    @property
    def item(self) -> int:
        """Bytes of a sum, and of what is multiplied at each step."""
        return self.types.item

    @property
    def row_axis(self) -> int:
        """The dimension of A that m runs along."""
        return (self.batch is not None) + self.transpose_a

    @property
    def column_axis(self) -> int:
        """The dimension of B that n runs along."""
        return (self.batch is not None) + (not self.transpose_b)

    @property
    def types(self) -> ProductTypes:
        """Those of the operands, the sums and the result."""
        return choose_types(self.dtype, self.weight_dtype, self.out_dtype)

    def steps(self, target: Target) -> int:
        """The steps of the reduction: of one element of k, or of as many as are in a word."""
        return -(-self.k // self.types.parts(target))

    def is_finished(self, target: Target) -> bool:
        """Whether anything is done with the sums before they are stored."""
        types = self.types
        return bool(self.epilogue) or types.sum != types.result or types.bias(target) != 0

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """The operands and the sums of a product whose types are all the same."""
        stages = write_stages(self.operands(), self.names[2], self.types, Target.host())
        return *stages.inputs, stages.total

    def stages(self, target: Target) -> ProductStages:
        """What is computed, as the target multiplies."""
        return write_stages(self.operands(), self.names[2], self.types, target)

    def operands(self) -> ProductOperands:
        """The operands and the order in which they are stored."""
        m, n, k = self.m, self.n, self.k
        head = () if self.batch is None else (self.batch,)
        types, (left, right, _) = self.types, self.names
        a = te.placeholder((*head, *((k, m) if self.transpose_a else (m, k))), types.left, name=left)
        b = te.placeholder((*head, *((n, k) if self.transpose_b else (k, n))), types.right, name=right)

        def read_a(*index: te.Expr) -> te.Expr:
            *before, i, r = index
            place = (r, i) if self.transpose_a else (i, r)
            return te.Load(a, (*before, *place))

        def read_b(*index: te.Expr) -> te.Expr:
            *before, r, j = index
            place = (j, r) if self.transpose_b else (r, j)
            return te.Load(b, (*before, *place))

        return ProductOperands(a, b, read_a, read_b, (*head, m, n), k, not self.transpose_a)


def default_tiles(product: Product, target: Target, threads: int) -> dict[str, Any]:
    """The untuned configuration, from registers and cache sizes.

    An epilogue is fused where the whole reduction of a block of rows can stay in the second cache.
    """
    m, n, k, item = product.m, product.n, product.steps(target), product.item
    lanes = target.lanes(item)
    heights, widths = _heights(m), _widths(n, lanes)
    tile = choose_register_tile(m, n, k, lanes, free_registers(product, target), heights, widths)
    share = -(-m // -(-threads // (product.batch or 1)))
    blocks = row_blocks(product, threads)
    heights_of_blocks = [v for v in blocks if v <= 192] or blocks
    even = even_block(share)
    block_rows = even if threads > 1 and even in blocks else nearest(heights_of_blocks, min(share, 96))
    panel = tile.vectors * lanes
    depth = nearest(up_to(DEPTHS, k), choose_depth(k, block_rows, panel, tile.rows, item, target))
    whole = [v for v in heights_of_blocks if v <= block_rows and fits_level2(k, v + panel, item, target)]
    if product.is_finished(target) and whole:
        depth, block_rows = k, whole[-1]
    columns = up_to(COLUMN_BLOCKS, n)
    fitting = [c for c in columns if c <= choose_columns(depth, item, target)] or columns[:1]
    is_packed = pays_packing(m, k, n, item, target) or (product.transpose_b and m > tile.rows)
    pack = "b" if is_packed or product.has_constant else "none"
    return {
        "rows": tile.rows,
        "vectors": tile.vectors,
        "block_m": block_rows,
        "block_n": fitting[-1],
        "block_k": depth,
        "pack": pack if product.types.is_plain else packings(product, target)[0],
        "order": "nm",
        "unroll_k": _unrolled(product, tile, (block_rows, fitting[-1]), target),
        **({"prefetch": n * k * item > target.l1_bytes} if _may_fetch(product) else {}),
    }


def fetches_ahead(product: Product) -> bool:
    """Whether the next panel of B can be fetched while one is multiplied: each follows the one before."""
    return product.has_constant and product.batch is None


def _may_fetch(product: Product) -> bool:
    """Whether there is a knob for that, as there is none where operands are converted."""
    return fetches_ahead(product) and product.types.is_plain


def _unrolled(product: Product, tile: RegisterTile, block: tuple[int, int], target: Target) -> int:
    """The steps to write out: one where tiles of many shapes, at the ends of blocks, would make much code."""
    if not product.types.is_plain or Machine.of(target).vectors_per_cycle <= 1:
        return 1
    lanes = target.lanes(product.item)
    panel = tile.vectors * lanes
    heights = {min(tile.rows, product.m), block[0] % tile.rows, product.m % block[0] % tile.rows}
    widths = {min(panel, product.n), block[1] % panel, product.n % block[1] % panel}
    sums = sum(heights) * sum(-(-width // lanes) for width in widths)
    return UNROLLED if sums <= MOST_UNROLLED else 1


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
    registers, lanes = free_registers(product, cfg.target), cfg.target.lanes(product.item)
    cfg.define_knob("rows", _heights(product.m))
    cfg.define_knob("vectors", _widths(product.n, lanes))
    cfg.define_knob("block_m", row_blocks(product, cfg.threads))
    cfg.define_knob("block_n", up_to(COLUMN_BLOCKS, product.n))
    cfg.define_knob("block_k", up_to(DEPTHS, product.steps(cfg.target)))
    cfg.define_knob("pack", packings(product, cfg.target))
    cfg.define_knob("order", ["nm", "mn"])
    cfg.define_knob("unroll_k", [1, 2, 4])
    if _may_fetch(product):
        cfg.define_knob("prefetch", [False, True])
        cfg.constrain(("order", "prefetch"), lambda order, prefetch: order.val == "nm" or not prefetch.val)
    cfg.constrain(("rows", "vectors"), lambda rows, vectors: fits_registers(rows.val, vectors.val, registers))
    cfg.constrain(("rows", "block_m"), lambda rows, block: rows.val <= block.val)


def packings(product: Product, target: Target) -> list[str]:
    """Which operands may be copied; those that have to be converted are."""
    if product.types.is_plain:
        return ["b", "none", "ab"]
    return ["ab"] if product.stages(target).needs_copy else ["b", "ab"]


def free_registers(product: Product, target: Target) -> int:
    """The vector registers, without those in which words are taken apart where no instruction does it."""
    types = product.types
    is_apart = types.sum == "int32" and not multiplies_words(target, types.multiplied(target))
    return target.vector_registers - (APART_REGISTERS if is_apart else 0)


def schedule_tiles(cfg: TemplateConfig, product: Product) -> tuple[Schedule, list[Tensor]]:
    """A register tile of C, accumulated over blocks of k, with packed operands.

    The epilogue finishes a tile before it is stored where one block is the whole of k; else it finishes
    blocks of columns, each as soon as it is complete.
    """
    define_space(cfg, product)
    stages = product.stages(cfg.target)
    c = stages.total
    finished = apply_epilogue(stages.result, product.epilogue, dtype=product.types.result)
    output = finished.output
    s = create_schedule(output)
    if stages.result is not c and stages.result is not output:
        s[stages.result].compute_inline()
    if output is not c and cfg["block_k"].val >= product.steps(cfg.target):
        in_registers = not is_costly(product.epilogue)
        main, tile = output, s.cache_write(c, "register" if in_registers else "call")
        s[c].compute_inline()
        loops = split_blocks(s, cfg, product, output)
        s[output].unroll(loops.i, 0 if in_registers else 1)
    else:
        around = finish_blocks(s, cfg, product, output) if output is not c else None
        if around is not None:
            s[c].compute_at(s[output], around)
        loops = split_blocks(s, cfg, product, c, is_inside=around is not None)
        main, tile = c, s.cache_inplace(c, "register", axis=loops.depth)
        s[c].unroll(loops.i)
    s[main].vectorize(loops.j)
    s[tile].compute_at(s[main], loops.tile)
    compute_tile(s, tile, cfg["unroll_k"].val, _shares_fetches(cfg, product, loops.tile))
    pack_operands(s, cfg, product, stages, (tile, main), loops)
    return s, [*stages.inputs, *finished.operands, output]


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
    stages: ProductStages,
    readers: tuple[Tensor, Tensor],
    loops: Loops,
) -> None:
    """Copy operands into the order in which the tile reads them; a constant B whole, ahead."""
    tile, main = readers
    lanes = cfg.target.lanes(product.item)
    if not stages.is_plain:
        copy_converted(s, cfg, product, stages, readers, loops)
        return
    a, b = stages.inputs
    rows, columns = cfg["rows"].val, cfg["vectors"].val * lanes
    if "b" in cfg["pack"].val:
        packed = s.pack(b, tile, {product.column_axis: columns})
        if not product.has_constant:
            s[packed].compute_at(s[main], loops.depth)
        elif _may_fetch(product) and cfg["prefetch"].val:
            _fetch_panel(s[tile], packed, product, loops.tile)
        copy_panel(s, packed, product.column_axis, columns, lanes, loops.is_shared or product.has_constant)
    if "a" in cfg["pack"].val:
        packed = s.pack(a, tile, {product.row_axis: rows})
        s[packed].compute_at(s[main], loops.rows if loops.is_shared else loops.depth)
        copy_panel(s, packed, product.row_axis, rows, lanes, parallel=False)


def _shares_fetches(cfg: TemplateConfig, product: Product, repeat: IterVar) -> bool:
    """Whether steps that are written out are a loop of their own, and a line is fetched for all of them."""
    if not _may_fetch(product) or not cfg["prefetch"].val:
        return False
    block, written = int(cfg["block_k"].val), int(cfg["unroll_k"].val)
    is_whole = product.k % block == 0 and block % written == 0
    panel_bytes = written * int(cfg["vectors"].val) * cfg.target.vector_bits // 8
    return written > 1 and is_whole and panel_bytes <= LINE_BYTES * repeat.extent


def _fetch_panel(stage: Stage, packed: Tensor, product: Product, repeat: IterVar) -> None:
    """Fetch the next panel of a constant B while one is multiplied, a share of it for each tile.

    Steps that are written out share a fetch, since each fetch computes its address.
    """
    (block,) = stage.op.reduce_axis
    steps = next(loop for loop in stage.leaf if loop not in stage.op.axis)
    stage.prefetch(packed, steps, product.k * steps.extent // block.extent, level=2, over=repeat)


def compute_tile(s: Schedule, tile: Tensor, unroll_k: int, is_parted: bool = False) -> None:
    """A tile whose rows are unrolled and whose columns are vectors lives in registers.

    ``unroll_k`` steps are written out, in a loop of their own if ``is_parted``.
    """
    (*_, i, j), (r,) = s[tile].op.axis, s[tile].op.reduce_axis
    if is_parted:
        r, inside = s[tile].split(r, unroll_k)
        s[tile].reorder(r, inside, i, j)
        s[tile].unroll(inside)
    else:
        s[tile].reorder(r, i, j)
        s[tile].unroll(r, unroll_k)
    s[tile].unroll(i)
    s[tile].vectorize(j)
