"""A product in tiles that the processor multiplies whole (AMX): its shape and its tensor expressions.

::

    left[i, s]    words of a row of A, zeros past k; rows past m repeat the last
    right[s, j]   words of a column of B, zeros past k and past n
    sums[i, j]    sum(dot(left[i, s], right[s, j])), for whole blocks of rows, whole panels of columns
    C[i, j]       sums[i, j]

A transposed A is joined to words as B is, and those are turned around.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tilewright.compiler import te
from tilewright.compiler.amx import BLOCK, COLUMNS, DEPTH, ROWS
from tilewright.compiler.te import Expr, IterVar, Tensor
from tilewright.compiler.te.words import WORD, parts_of
from tilewright.templates.operators.product import Product
from tilewright.templates.operators.product_stages import join_word

Read = Callable[..., Expr]


@dataclass(frozen=True, slots=True)
class TileShape:
    """The product in tiles.

    Attributes:
        rows: of a block.
        high: the rows that are multiplied at a time, whole tiles that divide a block.
        columns: of a block, whole panels.
        panel: the columns that are multiplied at a time.
        depth: the reduction in tiles.
        all_rows, all_columns: those of all blocks.
    """

    rows: int
    high: int
    columns: int
    panel: int
    depth: int
    all_rows: int
    all_columns: int

    @property
    def steps(self) -> int:
        """The reduction in words."""
        return self.depth * DEPTH


def shape_tiles(product: Product, rows: int, high: int, columns: int) -> TileShape:
    """Blocks of about the rows and columns asked for, as even as whole tiles can be."""
    count = -(-product.m // rows)
    block = -(-product.m // count)
    high = round_up(-(-block // -(-block // high)), ROWS)
    while high > product.m:
        high = round_up(high // 2, ROWS)
    block = round_up(block, high)
    panel = BLOCK if product.n >= BLOCK else COLUMNS
    across = -(-product.n // columns)
    wide = round_up(-(-product.n // across), panel)
    return TileShape(block, high, wide, panel, depth_of(product), block * count, wide * across)


def has_whole_steps(product: Product, shape: TileShape) -> bool:
    """Whether each block has as many panels, and as many groups of rows, as the first."""
    has_panels = shape.all_columns == round_up(product.n, shape.panel)
    return has_panels and shape.all_rows - product.m < shape.high


def depth_of(product: Product) -> int:
    """The reduction in tiles."""
    return -(-product.k // (DEPTH * parts_of(product.types.left)))


def round_up(extent: int, size: int) -> int:
    """The extent of whole tiles of a size."""
    return -(-extent // size) * size


def can_stay(product: Product) -> bool:
    """Whether A is stored as tiles are read, and has whole ones."""
    is_whole = product.m % ROWS == 0 and product.k % (DEPTH * parts_of(product.types.left)) == 0
    return is_whole and not product.transpose_a


@dataclass(frozen=True, slots=True)
class TileStages:
    """The stages of a product, as the head of this module shows them; ``joined``: a transposed A's words."""

    inputs: tuple[Tensor, Tensor]
    left: Tensor
    right: Tensor
    sums: Tensor
    result: Tensor
    joined: Tensor | None


def write_tiles(product: Product, shape: TileShape) -> TileStages:
    """The stages."""
    operands, types, name = product.operands(), product.types, product.names[2]
    *batch, m, n = operands.extents
    a, b = operands.a, operands.b
    joined = None
    if product.transpose_a:
        read = _swapped(operands.read_a)
        joined = _words_across(
            a, f"{a.name}.joined", read, (*batch, shape.steps, shape.all_rows), product.k, m
        )
        left = _turned(joined, f"{a.name}.words")
    else:
        extents = (*batch, shape.all_rows, shape.steps)
        left = _words_along(a, f"{a.name}.words", operands.read_a, extents, product.k, m)
    extents = (*batch, shape.steps, shape.all_columns)
    right = _words_across(b, f"{b.name}.words", operands.read_b, extents, product.k, n)
    r = te.reduce_axis((0, shape.steps), name="k")

    def total(*index: IterVar) -> Expr:
        *before, i, j = index
        return te.sum(
            te.dot(left[(*before, i, r)], right[(*before, r, j)], (types.left, types.right)), axis=r
        )

    count = {"FLOP": 2 * product.k * m * n * (product.batch or 1)}
    sums = te.compute((*batch, shape.all_rows, shape.all_columns), total, name=f"{name}.sums", attrs=count)
    result = te.compute((*batch, m, n), lambda *index: sums[index], name=name, attrs={"FLOP": 0})
    return TileStages((a, b), left, right, sums, result, joined)


def _swapped(read: Read) -> Read:
    """The same element, the last two indices given the other way round."""
    return lambda *index: read(*index[:-2], index[-1], index[-2])


def _words_along(
    operand: Tensor, name: str, read: Read, extents: tuple[int, ...], k: int, rows: int
) -> Tensor:
    """The words of rows, ``(..., all rows, steps)``."""

    def element(*index: IterVar) -> Expr:
        *before, i, step = index
        row = te.minimum(i, rows - 1) if extents[-2] > rows else i
        return join_word(lambda place: read(*before, row, place), step, extents[-1], k, operand.dtype)

    return te.compute(extents, element, name=name, attrs={"FLOP": 0})


def _words_across(
    operand: Tensor, name: str, read: Read, extents: tuple[int, ...], k: int, columns: int
) -> Tensor:
    """The words of columns, ``(..., steps, all columns)``."""

    def element(*index: IterVar) -> Expr:
        *before, step, j = index
        value = join_word(lambda place: read(*before, place, j), step, extents[-2], k, operand.dtype)
        return te.if_then_else(j < columns, value, te.const(0, WORD)) if extents[-1] > columns else value

    return te.compute(extents, element, name=name, attrs={"FLOP": 0})


def _turned(words: Tensor, name: str) -> Tensor:
    """The words with the last two dimensions exchanged."""
    *batch, steps, rows = words.shape
    read = _swapped(lambda *index: words[index])
    return te.compute((*batch, rows, steps), lambda *index: read(*index), name=name, attrs={"FLOP": 0})
