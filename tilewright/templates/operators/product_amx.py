"""The schedule of a product of bytes or of bfloat16 numbers in tiles that the processor multiplies whole.

The sums of a few rows and a panel of columns are scratch memory, from which C is written.
"""

from __future__ import annotations

from typing import Any

from tilewright.compiler.amx import (
    BLOCK,
    COLUMNS,
    DEPTH,
    LINE_BYTES,
    ROWS,
    TileProduct,
    multiplies_tiles,
    tile_product,
)
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.compiler.te.words import parts_of
from tilewright.templates.analytic import nearest
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.epilogue import apply_epilogue
from tilewright.templates.operators.product import Product, fetches_ahead, up_to
from tilewright.templates.operators.product_copies import copy_panel
from tilewright.templates.operators.product_tiles import (
    TileShape,
    TileStages,
    can_stay,
    depth_of,
    has_whole_steps,
    shape_tiles,
    write_tiles,
)

ROW_BLOCKS = (32, 64, 96, 128, 192, 256, 384, 512)
COLUMN_BLOCKS = (128, 256, 512, 1024, 2048)
ROWS_AT_ONCE = (32, 64, 128, 256)
PARTS = (4, 8, 16, 32)  # of the reduction, in tiles
# What a default takes: of the first cache for a panel of B, of the second for a block of B.
PANEL_SHARE, BLOCK_SHARE = 0.5, 0.5
MOST_COLUMNS, ROWS_OF_BLOCK = 1024, 128
# By the numbers in a word: of bytes, a product leaves more to write beside it.
DEPTH_OF_PART = {2: 16, 4: 8}
# Columns, from which on A is copied to where tiles are whole cache lines: large arrays seldom begin at one,
# and each line of a tile that crosses two takes twice as long.
COPIED_FROM = 256
# Tiles of a row that are copied before the next row: where they go, all are of one set of the first cache.
STRIP = 4


def is_for_tiles(product: Product, target: Target) -> bool:
    """Whether the processor has tiles for the types, and the result is as large as one."""
    types = product.types
    fills = product.m >= ROWS and product.n >= COLUMNS
    return fills and multiplies_tiles(target, (types.left, types.right))


def default_amx(product: Product, target: Target, threads: int) -> dict[str, Any]:
    """A block of B in the second cache; a long reduction in parts, for which a panel is in the first.

    A block is half of B if that is not too wide, for each copies A again; A has fewer rows at a time where
    both share the cache. A constant B is not in blocks: its panels are fetched in order, once for a block of
    rows. What a panel gives is written while the next one is multiplied.
    """
    depth = depth_of(product)
    part = DEPTH_OF_PART[parts_of(product.types.left)]
    is_deep = BLOCK * LINE_BYTES * depth > PANEL_SHARE * target.l1_bytes
    columns = int(BLOCK_SHARE * target.l2_bytes) // (depth * LINE_BYTES)
    share = -(-product.m // (threads if product.batch is None else 1))
    blocks = up_to(COLUMN_BLOCKS, product.n)
    wide = min(max(columns, product.n // 2), MOST_COLUMNS)
    has_both = is_deep and wide <= columns and not product.has_constant
    block = nearest(up_to(ROW_BLOCKS, product.m), min(share, ROWS_OF_BLOCK // (1 + has_both)))
    heights = [height for height in up_to(ROWS_AT_ONCE, product.m) if height <= block]
    fetches = fetches_ahead(product)
    rows = nearest(heights, ROWS_OF_BLOCK if fetches else BLOCK * (1 + is_deep))
    columns = blocks[-1] if product.has_constant else nearest(blocks, wide)
    shape = shape_tiles(product, block, rows, columns)
    fits = can_stay(product) and shape.all_rows == product.m
    return {
        "block_m": block,
        "rows": rows,
        "block_n": columns,
        "block_k": nearest(up_to(PARTS, depth), part) if is_deep else depth,
        "overlap": has_whole_steps(product, shape),
        "pack": "b" if fits and product.n < COPIED_FROM else "ab",
        **({"prefetch": product.n * depth * LINE_BYTES > target.l2_bytes // 2} if fetches else {}),
    }


def define_amx(cfg: TemplateConfig, product: Product) -> TileShape:
    """The knobs, and the tiles that they ask for."""
    cfg.define_knob("block_m", up_to(ROW_BLOCKS, product.m))
    cfg.define_knob("rows", up_to(ROWS_AT_ONCE, product.m))
    cfg.define_knob("block_n", up_to(COLUMN_BLOCKS, product.n))
    cfg.define_knob("block_k", up_to(PARTS, depth_of(product)))
    cfg.define_knob("pack", ["b", "ab"] if can_stay(product) else ["ab"])
    cfg.define_knob("overlap", [False, True])
    if fetches_ahead(product):
        cfg.define_knob("prefetch", [False, True])
    cfg.constrain(("block_m", "rows"), lambda block, rows: rows.val <= block.val)
    cfg.constrain(
        ("block_m", "rows", "pack"),
        lambda block, rows, pack: (
            pack.val == "ab" or shape_tiles(product, block.val, rows.val, COLUMNS).all_rows == product.m
        ),
    )
    cfg.constrain(
        ("block_m", "rows", "block_n", "overlap"),
        lambda block, rows, columns, overlap: (
            not overlap.val
            or has_whole_steps(product, shape_tiles(product, block.val, rows.val, columns.val))
        ),
    )
    return shape_tiles(product, cfg["block_m"].val, cfg["rows"].val, cfg["block_n"].val)


def schedule_amx(cfg: TemplateConfig, product: Product) -> tuple[Schedule, list[Tensor]]:
    """Blocks of columns, of rows, panels; a panel's sums in one call, then what is done with them."""
    shape = define_amx(cfg, product)
    stages = write_tiles(product, shape)
    finished = apply_epilogue(stages.result, product.epilogue, dtype=product.types.result)
    output = finished.output
    s = create_schedule(output)
    if output is not stages.result:
        s[stages.result].compute_inline()
    stage, lanes = s[output], cfg.target.lanes(product.item)
    *batch, i, j = stage.op.axis
    block_n, j = stage.split(j, shape.columns)
    block_m, i = stage.split(i, shape.rows, tail="guard")
    panel, j = stage.split(j, shape.panel, tail="guard")
    vectors, j = stage.split(j, lanes, tail="guard")
    high, i = stage.split(i, shape.high, tail="guard")
    stage.reorder(*batch, block_n, block_m, panel, high, i, vectors, j)
    stage.vectorize(j)
    has_turns = cfg["overlap"].val
    if has_turns:
        high = stage.fuse(panel, high)
    stage.parallel(stage.fuse(*batch) if batch else block_m)
    s[stages.sums].compute_at(stage, high)
    if has_turns:
        stage.software_pipeline(high, [stages.sums])
        stage.unroll(vectors)
    is_packed = cfg["pack"].val == "ab"
    types = (product.types.left, product.types.right)
    is_ahead = fetches_ahead(product) and cfg["prefetch"].val
    marks = (is_packed, is_ahead, has_turns)
    tile = TileProduct(shape.high, shape.panel, shape.depth, cfg["block_k"].val, types, *marks)
    multiply_tiles(s, stages.sums, tile)
    if is_packed:
        copy_left(s, stages, output, block_m)
    copy_right(s, stages, product, shape.panel, lanes, (output, block_n))
    s[stages.left].compute_inline()
    s[stages.right].compute_inline()
    return s, [*stages.inputs, *finished.operands, output]


def multiply_tiles(s: Schedule, sums: Tensor, product: TileProduct) -> None:
    """The sums of a panel by one call."""
    (*_, i, j), (r,) = s[sums].op.axis, s[sums].op.reduce_axis
    s[sums].round_up(i)
    s[sums].round_up(j)
    q, r = s[sums].split(r, DEPTH)
    s[sums].reorder(i, j, q, r)
    s[sums].tensorize(i, tile_product(product))


def copy_left(s: Schedule, stages: TileStages, main: Tensor, place: IterVar) -> None:
    """Strips of rows as they lie; a transposed operand's words turned around in registers."""
    packed = s.pack(stages.left, stages.sums, {stages.left.ndim - 1: DEPTH})
    s[packed].compute_at(s[main], place)
    *batch, i, step = s[packed].op.axis
    tiles, inside = s[packed].split(step, DEPTH)
    s[packed].vectorize(inside)
    if stages.joined is None:
        strips, tiles = s[packed].split(tiles, STRIP)
        s[packed].reorder(*batch, strips, i, tiles, inside)
        s[packed].unroll(tiles)
        s[packed].loop_partition(strips)
        return
    block, i = s[packed].split(i, ROWS)
    s[packed].reorder(*batch, tiles, block, i, inside)
    s[packed].unroll(i)
    s[stages.joined].compute_at(s[main], place)
    _, inside = s[stages.joined].split(s[stages.joined].op.axis[-1], DEPTH)
    s[stages.joined].vectorize(inside)


def copy_right(
    s: Schedule, stages: TileStages, product: Product, panel: int, lanes: int, place: tuple[Tensor, IterVar]
) -> None:
    """Rows of B as they lie; where they run along ``k``, blocks of whole words turned around."""
    packed = s.pack(stages.right, stages.sums, {stages.right.ndim - 1: panel})
    if not product.has_constant:
        s[packed].compute_at(s[place[0]], place[1])
    *batch, steps, j = s[packed].op.axis
    is_parallel = not batch or product.has_constant
    if product.transpose_b and product.k % parts_of(product.types.left) == 0:
        copy_panel(s, packed, len(batch) + 1, panel, lanes, is_parallel, is_turned=True)
        return
    outer, inside = s[packed].split(j, panel)
    s[packed].reorder(*batch, steps, outer, inside)
    s[packed].loop_partition(steps)
    s[packed].loop_partition(outer)
    if not product.transpose_b:
        s[packed].vectorize(inside)
    if is_parallel:
        s[packed].parallel(steps)
