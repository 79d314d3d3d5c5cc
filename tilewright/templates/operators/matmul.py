"""Matrix product: ``C[m, n] = sum over k of A[m, k] * B[k, n]``, each operand transposed or not."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

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
from tilewright.templates.collector import TemplateConfig, get_config
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Dtype = Literal["float32", "float64"]
BYTES = {"float32": 4, "float64": 8}
ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 28)
VECTORS = (1, 2, 3, 4, 6)
ROW_BLOCKS = (48, 96, 144, 192, 288, 384, 768)
COLUMN_BLOCKS = (256, 512, 1024, 2048)
DEPTHS = (64, 128, 192, 256, 384, 512, 768, 1024)


def multiply(
    m: int, n: int, k: int, transpose_a: bool, transpose_b: bool, dtype: str
) -> tuple[Tensor, Tensor, Tensor]:
    """What is computed."""
    a = te.placeholder((k, m) if transpose_a else (m, k), dtype, name="A")
    b = te.placeholder((n, k) if transpose_b else (k, n), dtype, name="B")
    r = te.reduce_axis((0, k), name="k")

    def element(i: IterVar, j: IterVar) -> te.Expr:
        left = a[r, i] if transpose_a else a[i, r]
        right = b[j, r] if transpose_b else b[r, j]
        return te.sum(left * right, axis=r)

    return a, b, te.compute((m, n), element, name="C")


def reference(a: Array, b: Array, *, transpose_a: bool, transpose_b: bool) -> Array:
    """The product in NumPy."""
    return np.asarray((a.T if transpose_a else a) @ (b.T if transpose_b else b))


def up_to(values: tuple[int, ...], extent: int) -> list[int]:
    """The candidates below an extent, and the extent itself: one whole block."""
    return [*(v for v in values if v < extent), extent]


def default(
    target: Target, threads: int, m: int, n: int, k: int, transpose_a: bool, transpose_b: bool, dtype: str
) -> dict[str, Any]:
    """The untuned configuration, from registers and cache sizes."""
    item = BYTES[dtype]
    lanes = target.lanes(item)
    heights, widths = _heights(m), _widths(n, lanes)
    tile = choose_register_tile(m, n, k, lanes, target.vector_registers, heights, widths)
    share = -(-m // threads)
    block_rows = nearest(
        [v for v in up_to(ROW_BLOCKS, m) if v <= 192] or up_to(ROW_BLOCKS, m), min(share, 96)
    )
    panel = tile.vectors * lanes
    depth = nearest(up_to(DEPTHS, k), choose_depth(k, block_rows, panel, tile.rows, item, target))
    columns = up_to(COLUMN_BLOCKS, n)
    fitting = [c for c in columns if c <= choose_columns(depth, item, target)] or columns[:1]
    is_packed = pays_packing(m, k, n, item, target) or (transpose_b and m > tile.rows)
    return {
        "rows": tile.rows,
        "vectors": tile.vectors,
        "block_m": block_rows,
        "block_n": fitting[-1],
        "block_k": depth,
        "pack": "b" if is_packed else "none",
        "order": "nm",
        "unroll_k": 1,
    }


def _heights(m: int) -> list[int]:
    return [h for h in ROWS if h <= m]


def _widths(n: int, lanes: int) -> list[int]:
    most = -(-n // lanes)
    return [w for w in VECTORS if w <= most]


def define_space(cfg: TemplateConfig, m: int, n: int, k: int, lanes: int) -> None:
    """The knobs."""
    registers = cfg.target.vector_registers
    cfg.define_knob("rows", _heights(m))
    cfg.define_knob("vectors", _widths(n, lanes))
    cfg.define_knob("block_m", up_to(ROW_BLOCKS, m))
    cfg.define_knob("block_n", up_to(COLUMN_BLOCKS, n))
    cfg.define_knob("block_k", up_to(DEPTHS, k))
    cfg.define_knob("pack", ["b", "none", "ab"])
    cfg.define_knob("order", ["nm", "mn"])
    cfg.define_knob("unroll_k", [1, 2, 4])
    cfg.constrain(("rows", "vectors"), lambda rows, vectors: fits_registers(rows.val, vectors.val, registers))
    cfg.constrain(("rows", "block_m"), lambda rows, block: rows.val <= block.val)


@template("matmul", reference=reference, default=default)
def matmul(
    m: int, n: int, k: int, transpose_a: bool = False, transpose_b: bool = False, dtype: Dtype = "float32"
) -> tuple[Schedule, list[Tensor]]:
    """A register tile of C, accumulated over blocks of k, with packed operands."""
    a, b, c = multiply(m, n, k, transpose_a, transpose_b, dtype)
    cfg = get_config()
    lanes = cfg.target.lanes(BYTES[dtype])
    define_space(cfg, m, n, k, lanes)
    rows, columns = cfg["rows"].val, cfg["vectors"].val * lanes
    s = create_schedule(c)
    (i, j), (r,) = s[c].op.axis, s[c].op.reduce_axis

    block_k, _ = s[c].split(r, cfg["block_k"].val)
    block_n, j = s[c].split(j, cfg["block_n"].val)
    block_m, i = s[c].split(i, cfg["block_m"].val)
    tile_m, i = s[c].split(i, rows)
    tile_n, j = s[c].split(j, columns)
    tiles = (tile_n, tile_m) if cfg["order"].val == "nm" else (tile_m, tile_n)
    s[c].reorder(block_n, block_k, block_m, *tiles, i, j)

    tile = s.cache_inplace(c, "register", axis=block_k)
    s[tile].compute_at(s[c], tiles[1])
    compute_tile(s, tile, cfg["unroll_k"].val)
    s[c].unroll(i)
    s[c].vectorize(j)
    s[c].parallel(block_m)

    if "b" in cfg["pack"].val:
        packed = s.pack(b, tile, {0 if transpose_b else 1: columns})
        s[packed].compute_at(s[c], block_k)
        copy_panel(s, packed, 0 if transpose_b else 1, columns)
    if "a" in cfg["pack"].val:
        packed = s.pack(a, tile, {1 if transpose_a else 0: rows})
        s[packed].compute_at(s[c], block_m)
        copy_panel(s, packed, 1 if transpose_a else 0, rows, parallel=False)
    return s, [a, b, c]


def compute_tile(s: Schedule, tile: Tensor, unroll_k: int) -> None:
    """A tile whose rows are unrolled and whose columns are vectors lives in registers."""
    (i, j), (r,) = s[tile].op.axis, s[tile].op.reduce_axis
    s[tile].reorder(r, i, j)
    s[tile].unroll(r, unroll_k)
    s[tile].unroll(i)
    s[tile].vectorize(j)


def copy_panel(s: Schedule, packed: Tensor, dimension: int, size: int, parallel: bool = True) -> None:
    """Copy an operand panel by panel, in the order in which the tile reads it."""
    axes = list(s[packed].op.axis)
    panel, inside = s[packed].split(axes.pop(dimension), size)
    s[packed].reorder(panel, *axes, inside)
    s[packed].vectorize(inside)
    if parallel:
        s[packed].parallel(panel)
