"""What Winograd's convolution computes, as tensor expressions: tiles in blocks, and the stages over them.

For each block of tiles, with the channels last from the image's transform to the inverse one:

::

    patch     = the block's pixels with their border        [row][column][c]
    v         = B^T d B of each tile                        [point][tile][c]
    products  = (m + 2)^2 matrix products of v and u        [point][tile][o]
    y         = A^T M A                                     [row][column][o]

``u = G g G^T`` comes from the weight alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from tilewright.compiler import te
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.operators.convolution import Convolution
from tilewright.templates.operators.window import arrange, divide
from tilewright.templates.operators.winograd_transforms import Algorithm, choose
from tilewright.templates.split import divisors


@dataclass(frozen=True, slots=True)
class Blocks:
    """The tiles of a batch in blocks of ``images`` by ``height`` by ``width``.

    There are ``batches`` of images, each of ``down`` by ``across`` blocks. Tiles are of m x m outputs; those
    of the last blocks may lie beyond the image. ``lanes`` are a vector's.
    """

    m: int
    lanes: int
    images: int
    height: int
    width: int
    batches: int
    down: int
    across: int

    @classmethod
    def of(cls, conv: Convolution, m: int, tiles: int, lanes: int) -> Blocks:
        """Blocks of about so many tiles, of equal size and as wide as the image where they can be.

        A row of one block among several is whole vectors of pixels. Small images share a block.
        """
        rows, columns = (-(-extent // m) for extent in conv.places)
        width = -(-columns // -(-columns // tiles))
        if width < columns:
            unit = max(1, lanes // m)
            width = min(columns, -(-width // unit) * unit)
        down = -(-rows // max(1, tiles // width))
        images = max(size for size in divisors(conv.n) if size == 1 or size * rows * columns <= tiles)
        return cls(m, lanes, images, -(-rows // down), width, conv.n // images, down, -(-columns // width))

    def whole_vectors(self, channels: int) -> int:
        """So many channels, and what is left of the last vector."""
        return -(-channels // self.lanes) * self.lanes

    @property
    def tiles(self) -> int:
        """Tiles of a block."""
        return self.images * self.height * self.width

    @property
    def grid(self) -> tuple[int, int, int]:
        """How the blocks lie."""
        return self.batches, self.down, self.across

    def shared_by(self, threads: int) -> str:
        """What threads share: batches of images, blocks of tiles or, where these are few, what is in one."""
        if self.batches >= threads:
            return "batch"
        return "block" if self.down * self.across >= threads else "panel"

    @property
    def count(self) -> int:
        """All blocks."""
        return self.batches * self.down * self.across


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of the algorithm, in order; ``image`` is the image with channels last, rows joined."""

    x: Tensor
    weight: Tensor
    image: Tensor
    patch: Tensor
    half_v: Tensor
    v: Tensor
    half_u: Tensor
    u: Tensor
    products: Tensor
    half_y: Tensor
    y: Tensor
    result: Tensor


def describe(conv: Convolution, algorithm: Algorithm, blocks: Blocks) -> Stages:
    """The stages as tensor expressions.

    Between image and result channels come in whole vectors, zero past the last: tails would double the code.
    """
    x, weight = conv.operands()
    image = x
    if not conv.is_channels_last:
        h, w = conv.extents
        image = te.compute((conv.n, h * w, conv.c), lambda b, p, k: x[b, k, p // w, p % w], name="image")
    patch = _pad(image, conv, blocks)
    half_v, v = _transform_image(patch, algorithm, blocks)
    half_u, u = _transform_weight(weight, algorithm, blocks)
    products = _multiply(v, u, 2 * conv.n * conv.o * prod(conv.places) * conv.depth)
    half_y, y = _invert(products, algorithm, blocks)
    result = _assemble(y, conv, blocks)
    return Stages(x, weight, image, patch, half_v, v, half_u, u, products, half_y, y, result)


def _pad(image: Tensor, conv: Convolution, blocks: Blocks) -> Tensor:
    """The image with a border of zeros as wide as its tiles reach; zeros fill the last vector of channels."""
    (top, left), (h, w), channels = conv.window.before, conv.extents, blocks.whole_vectors(conv.c)
    rows = blocks.down * blocks.height * blocks.m + 2
    columns = blocks.across * blocks.width * blocks.m + 2

    def pixel(b: IterVar, i: IterVar, j: IterVar, k: IterVar) -> te.Expr:
        is_inside = te.all(i >= top, i < h + top, j >= left, j < w + left)
        if channels > conv.c:
            is_inside = te.all(is_inside, k < conv.c)
        row, column = i - top, j - left
        place = (row, column) if image.ndim == 4 else (row * w + column,)
        return te.if_then_else(is_inside, image[(b, *place, k)], te.const(0, conv.dtype))

    return te.compute((conv.n, rows, columns, channels), pixel, name="patch")


def _transform_image(patch: Tensor, algorithm: Algorithm, blocks: Blocks) -> tuple[Tensor, Tensor]:
    """``V = B^T d B`` of every tile."""
    c, m, points, grid = patch.shape[3], blocks.m, algorithm.points, blocks.grid
    share = blocks.height * blocks.width

    def column(b: IterVar, y: IterVar, x: IterVar, t: IterVar, p: IterVar, j: IterVar, k: IterVar) -> te.Expr:
        image = b * blocks.images + t // share
        row = (y * blocks.height + t % share // blocks.width) * m
        place = (x * blocks.width + t % blocks.width) * m + j
        return choose(p, algorithm.image([patch[image, row + i, place, k] for i in range(points)]))

    half = te.compute((*grid, blocks.tiles, points, points, c), column, name="half_v", attrs={"FLOP": 0})

    def row(
        b: IterVar, y: IterVar, x: IterVar, p: IterVar, q: IterVar, t: IterVar, k: IterVar, lane: IterVar
    ) -> te.Expr:
        channel = k * blocks.lanes + lane
        return choose(q, algorithm.image([half[b, y, x, t, p, j, channel] for j in range(points)]))

    vectors = (c // blocks.lanes, blocks.lanes)
    whole = te.compute((*grid, points, points, blocks.tiles, *vectors), row, name="v", attrs={"FLOP": 0})
    return half, whole


def _transform_weight(weight: Tensor, algorithm: Algorithm, blocks: Blocks) -> tuple[Tensor, Tensor]:
    """``U = G g G^T`` of every pair of channels."""
    o, c, *_ = weight.shape
    points, channels = algorithm.points, blocks.whole_vectors(o)

    def tap(f: IterVar, k: IterVar, i: int, j: IterVar) -> te.Expr:
        value: te.Expr = weight[f, k, i, j]
        return te.if_then_else(f < o, value, te.const(0, weight.dtype)) if channels > o else value

    half = te.compute(
        (points, 3, c, channels),
        lambda p, j, k, f: choose(p, algorithm.filter([tap(f, k, i, j) for i in range(3)])),
        name="half_u",
        attrs={"FLOP": 0},
    )
    whole = te.compute(
        (points, points, c, channels),
        lambda p, q, k, f: choose(q, algorithm.filter([half[p, j, k, f] for j in range(3)])),
        name="u",
        attrs={"FLOP": 0},
    )
    return half, whole


def _multiply(v: Tensor, u: Tensor, flops: int) -> Tensor:
    """A matrix product for each point."""
    *grid, points, _, tiles, _, lanes = v.shape
    r = te.reduce_axis((0, u.shape[2]), "r")

    def element(
        b: IterVar, y: IterVar, x: IterVar, p: IterVar, q: IterVar, t: IterVar, f: IterVar
    ) -> te.Expr:
        return te.sum(v[b, y, x, p, q, t, r // lanes, r % lanes] * u[p, q, r, f], axis=r)

    shape = (*grid, points, points, tiles, u.shape[3])
    return te.compute(shape, element, name="products", attrs={"FLOP": flops})


def _invert(products: Tensor, algorithm: Algorithm, blocks: Blocks) -> tuple[Tensor, Tensor]:
    """``Y = A^T M A`` of every tile; rows and columns of pixels beside one another in memory."""
    *grid, points, _, tiles, o = products.shape
    m = blocks.m

    def column(b: IterVar, y: IterVar, x: IterVar, t: IterVar, i: IterVar, q: IterVar, f: IterVar) -> te.Expr:
        return choose(i, algorithm.inverse([products[b, y, x, p, q, t, f] for p in range(points)]))

    half = te.compute((*grid, tiles, m, points, o), column, name="half_y", attrs={"FLOP": 0})

    def row(
        b: IterVar,
        y: IterVar,
        x: IterVar,
        image: IterVar,
        ty: IterVar,
        i: IterVar,
        tx: IterVar,
        j: IterVar,
        f: IterVar,
        lane: IterVar,
    ) -> te.Expr:
        tile = (image * blocks.height + ty) * blocks.width + tx
        channel = f * blocks.lanes + lane
        return choose(j, algorithm.inverse([half[b, y, x, tile, i, q, channel] for q in range(points)]))

    pixels = (blocks.height, m, blocks.width, m)
    shape = (*grid, blocks.images, *pixels, o // blocks.lanes, blocks.lanes)
    return half, te.compute(shape, row, name="y.tiles", attrs={"FLOP": 0})


def _assemble(y: Tensor, conv: Convolution, blocks: Blocks) -> Tensor:
    """The pixels of the result from the tiles of its blocks."""
    m, rows, columns = blocks.m, blocks.height * blocks.m, blocks.width * blocks.m

    def element(*index: IterVar) -> te.Expr:
        b, f, (i, j) = divide(conv.layout, index)
        block = (i // rows if blocks.down > 1 else 0, j // columns if blocks.across > 1 else 0)
        row, column = i - block[0] * rows, j - block[1] * columns
        place = (b % blocks.images, row // m, row % m, column // m, column % m)
        value: te.Expr = y[b // blocks.images, *block, *place, f // blocks.lanes, f % blocks.lanes]
        return value

    return te.compute(arrange(conv.layout, conv.n, conv.o, conv.places), element, name="y")
