"""Two-dimensional convolution of each channel with its own kernel: no sum over channels.

The weight, ``(c, kh, kw)``, is constant by default.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.analysis.machine import Machine
from tilewright.compiler.schedule import Schedule, Stage, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.compiler.te.storage import computed_dtype
from tilewright.templates.analytic import even_parts, fits_registers
from tilewright.templates.collector import TemplateConfig, get_config
from tilewright.templates.epilogue import apply_epilogue, finish, is_costly
from tilewright.templates.operators.convolution import Constant
from tilewright.templates.operators.convolution_direct import ROWS, pack_weight
from tilewright.templates.operators.operand import FloatDtype, computed_bytes, computed_lanes, widened
from tilewright.templates.operators.window import (
    Layout,
    Pair,
    Sides,
    Window,
    arrange,
    channel_axis,
    channels_first,
    divide,
    in_layout,
    is_channels_last,
    pad_image,
)
from tilewright.templates.template import template

Array = npt.NDArray[Any]
VECTORS = (1, 2, 3, 4, 6, 8)
MOST_SUMS = 8
# Treatments of the border, the best first.
_BORDERS = ("peel", "lines", "image")
# Cycles of a load that mostly crosses a line of the cache, what a mask adds without registers for masks, and
# of the loops around a tile.
UNALIGNED_LOAD = 1.7
MASKED_LOAD = 0.5
TILE_OVERHEAD = 6
# Registers besides those of the sums and of what was read.
WEIGHTS_HELD = 3
# Rows of a small tile.
LEAST_ROWS = 3
# Lines of LLVM IR: a candidate may have 2,000.
MOST_CODE = 1700


def reference(
    x: Array,
    weight: Array,
    *operands: Array,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    layout: str,
    epilogue: Sequence[str],
) -> Array:
    """The convolution in NumPy."""
    windows = Window.of(weight.shape[1:], stride, padding, dilation).slide(channels_first(x, layout))
    y = np.einsum("nchwij,cij->nchw", windows, weight, optimize=True)
    return finish(in_layout(y, layout), epilogue, operands, channel_axis(layout))


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration: a tile of whole vectors, small enough for its border to be peeled."""
    window = Window.of(*(arguments[name] for name in ("kernel", "stride", "padding", "dilation")))
    shape = _Shape.of(**{name: arguments[name] for name in ("h", "w", "c", "layout", "dtype")}, window=window)
    lanes = computed_lanes(target, arguments["dtype"])
    vectors = _vectors(shape, lanes)
    tiles = [
        (r, v, b)
        for b in _borders(shape)
        for v in vectors
        for r in _rows(shape)
        if r * v <= MOST_SUMS and fits_registers(r, v, target.vector_registers)
    ]
    fitting = [t for t in tiles if shape.lines_of_code(*t, 0, lanes) <= MOST_CODE] or tiles[:1]
    borders = _BORDERS[::-1] if shape.collides(target) else _BORDERS
    rows, width, border = min(
        fitting, key=lambda t: (borders.index(t[2]), shape.cycles(t[0], t[1], target, lanes))
    )
    return {"rows": rows, "vectors": width, "unroll_kh": 0, "border": border}


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the choice of a tile depends on: the result's extents, and how the image is read."""

    height: int
    width: int
    channels: int
    is_channels_last: bool
    taps: tuple[int, int]
    is_padded: bool
    has_gaps: bool
    item: int

    @classmethod
    def of(cls, h: int, w: int, c: int, layout: str, dtype: str, window: Window) -> _Shape:
        """From the operator's parameters."""
        height, width = window.output((h, w))
        is_last = is_channels_last(layout)
        taps = window.kernel[0], window.kernel[1]
        gaps = not is_last and window.stride[1] > 1
        return cls(height, width, c, is_last, taps, any(window.padding), gaps, computed_bytes(dtype))

    @property
    def across(self) -> int:
        """The extent of the contiguous axis."""
        return self.channels if self.is_channels_last else self.width

    @property
    def down(self) -> int:
        """The extent of the axis that the rows of a tile run along."""
        return self.width if self.is_channels_last else self.height

    def lines_of_code(self, rows: int, vectors: int, border: str, unroll_kh: int, lanes: int) -> int:
        """About how many lines of LLVM IR a tile takes, with the copies that peeling and a tail make."""
        written = self.taps[1] * (1 if unroll_kh else self.taps[0])
        columns = vectors * lanes
        copies = 1
        if border == "peel" and self.is_padded:
            others = self.height if self.is_channels_last else -(-self.width // columns)
            copies = min(3, -(-self.down // rows)) * min(3, others)
        if self.is_channels_last and self.channels > columns and self.channels % columns:
            copies *= 2
        return copies * rows * vectors * (written * 4 + 18)

    def cycles(self, rows: int, vectors: int, target: Target, lanes: int) -> float:
        """Cycles to cover a plane with tiles: the slower of arithmetic and loads, and what each tile adds."""
        covered = min(vectors, self.across / lanes)
        tail_loads = 0
        if not target.has_avx512 and self._is_masked(vectors, lanes):
            covered, tail_loads = math.ceil(covered), math.prod(self.taps)
        whole, tail = divmod(self.down, rows)
        heights = ((rows, whole), (tail, 1 if tail else 0))
        total = 0.0
        for height, count in heights:
            work = covered * max(height * self.taps[0] * self.taps[1], self._loads(height, vectors, target))
            total += count * (work + height * tail_loads * MASKED_LOAD + TILE_OVERHEAD)
        return total * -(-self.across // (vectors * lanes))

    def _is_masked(self, vectors: int, lanes: int) -> bool:
        """Whether a tile is wider than what it covers by lanes that no narrower vector leaves out."""
        tail = self.across % lanes
        return vectors * lanes > self.across and tail.bit_count() > 1

    def collides(self, target: Target) -> bool:
        """Whether neighbouring pixels fall into so few sets of L1 that it does not hold two windows.

        A copy of the image, which is made a block of channels at a time, has its pixels side by side.
        """
        if not self.is_channels_last:
            return False
        level1 = Machine.of(target).caches[0]
        sets = level1.size_bytes // (level1.block_bytes * level1.ways)
        apart = max(1, self.channels * self.item // level1.block_bytes)
        lines = level1.ways * sets // math.gcd(apart, sets)
        return lines < 2 * self.taps[0] * (LEAST_ROWS + self.taps[1] - 1)

    def _loads(self, rows: int, vectors: int, target: Target) -> float:
        """Cycles to load a column of vectors: rows share reads that registers hold beside the sums."""
        taps_down, taps_across = self.taps
        shared = taps_across * (rows + taps_down - 1)
        is_held = vectors * (shared + rows) + WEIGHTS_HELD <= target.vector_registers
        return UNALIGNED_LOAD * (shared if is_held else rows * taps_down * taps_across)


def _borders(shape: _Shape) -> list[str]:
    if not shape.is_padded:
        return ["image"]
    # A read with gaps, masked, is a gather.
    return ["image", "lines"] if shape.has_gaps else ["image", "lines", "peel"]


def _rows(shape: _Shape) -> list[int]:
    return sorted({r for r in (*ROWS, *even_parts(shape.down)) if r <= min(shape.down, ROWS[-1])})


def _vectors(shape: _Shape, lanes: int) -> list[int]:
    most = -(-shape.across // lanes)
    return sorted({v for v in (*VECTORS, *even_parts(most)) if v <= min(most, VECTORS[-1])})


def define_space(cfg: TemplateConfig, shape: _Shape, lanes: int) -> None:
    """The knobs."""
    registers = cfg.target.vector_registers
    cfg.define_knob("rows", _rows(shape))
    cfg.define_knob("vectors", _vectors(shape, lanes))
    cfg.define_knob("unroll_kh", [0, 1])
    cfg.define_knob("border", _borders(shape))
    cfg.constrain(("rows", "vectors"), lambda r, v: fits_registers(r.val, v.val, registers))
    cfg.constrain(
        ("rows", "vectors", "border", "unroll_kh"),
        lambda r, v, b, u: (
            (r.val, v.val) == (1, 1) or shape.lines_of_code(r.val, v.val, b.val, u.val, lanes) <= MOST_CODE
        ),
    )


@template(
    "depthwise_conv2d",
    reference=reference,
    default=default,
    positive=("n", "c", "h", "w", "kernel", "stride", "dilation"),
)
def depthwise_conv2d(
    n: int,
    c: int,
    h: int,
    w: int,
    kernel: Pair,
    stride: Pair = 1,
    padding: Sides = 0,
    dilation: Pair = 1,
    layout: Layout = "NCHW",
    dtype: FloatDtype = "float32",
    epilogue: tuple[str, ...] = (),
    constant: Constant = ("weight",),
) -> tuple[Schedule, list[Tensor]]:
    """A tile of pixels whose lanes lie along the contiguous axis: the row's pixels, or the channels."""
    window = Window.of(kernel, stride, padding, dilation)
    window.check("depthwise_conv2d", (h, w), c, c, c)
    height, width = window.output((h, w))
    cfg = get_config()
    lanes = computed_lanes(cfg.target, dtype)
    has_last = is_channels_last(layout)
    shape = _Shape.of(h, w, c, layout, dtype, window)
    define_space(cfg, shape, lanes)
    x = te.placeholder(arrange(layout, n, c, (h, w)), dtype, name="x")
    weight = te.placeholder((c, *window.kernel), dtype, name="weight")
    wide = computed_dtype(dtype)
    padded, filters = pad_image(x, window, layout, wide), widened(weight, wide)
    y = convolve(padded, filters, window, layout, (height, width))
    finished = apply_epilogue(y, epilogue, channel_axis(layout), dtype)
    s = create_schedule(finished.output)
    panels = schedule_tile(s, (y, finished.output), filters, cfg, has_last, is_costly(epilogue))
    if filters is not weight:
        _schedule_filters(s[filters], has_last)
    if padded is not x and cfg["border"].val == "peel":
        s[padded].compute_inline()
        for loop in (panels["lines"], panels["strips"]):
            s[finished.output].loop_partition(loop)
    elif padded is not x:
        s[padded].vectorize(s[padded].op.axis[-1])
        s[padded].compute_at(s[finished.output], panels[cfg["border"].val])
    return s, [x, weight, *finished.operands, finished.output]


def _schedule_filters(stage: Stage, is_packed: bool) -> None:
    """Convert the weight while it is packed, else ahead."""
    if is_packed:
        stage.compute_inline()
    else:
        stage.vectorize(stage.op.axis[-1])


def convolve(image: Tensor, weight: Tensor, window: Window, layout: str, extents: tuple[int, int]) -> Tensor:
    """What is computed, on an image that is padded already."""
    c, kh, kw = weight.shape
    ry, rx = te.reduce_axis((0, kh), "ry"), te.reduce_axis((0, kw), "rx")

    def element(*index: IterVar) -> te.Expr:
        b, k, (i, j) = divide(layout, index)
        row = i * window.stride[0] + ry * window.dilation[0]
        column = j * window.stride[1] + rx * window.dilation[1]
        return te.sum(image[arrange(layout, b, k, (row, column))] * weight[k, ry, rx], axis=(ry, rx))

    return te.compute(arrange(layout, image.shape[0], c, extents), element, name="y")


def schedule_tile(
    s: Schedule,
    tensors: tuple[Tensor, Tensor],
    weight: Tensor,
    cfg: TemplateConfig,
    has_last: bool,
    is_costly: bool,
) -> dict[str, IterVar]:
    """Rows of pixels and vectors along the last axis, accumulated in registers; the loops around a tile."""
    sums, y = tensors
    lanes = cfg.target.lanes(BYTES[sums.dtype])
    tile = s.cache_write(sums, "call" if is_costly else "register")
    if y is not sums:
        s[sums].compute_inline()
    # NCHW: rows of the image by pixels of a row. NHWC: pixels of a row by channels.
    b, outer, row, column = s[y].op.axis
    down, row = s[y].split(row, cfg["rows"].val, tail="shift_inwards")
    width = cfg["vectors"].val * lanes
    across, column = s[y].split(column, width, tail="" if has_last else "shift_inwards")
    order = (b, across, outer, down) if has_last else (b, outer, down, across)
    s[y].reorder(*order, row, column)
    s[tile].compute_at(s[y], order[-1])
    s[y].unroll(row, 1 if is_costly else 0)
    s[y].vectorize(column)
    outermost = s[y].fuse(*order[:2])
    s[y].parallel(outermost)

    _, _, row, column = s[tile].op.axis
    ry, rx = s[tile].op.reduce_axis
    s[tile].reorder(ry, rx, row, column)
    s[tile].unroll(ry, cfg["unroll_kh"].val)
    s[tile].unroll(rx)
    s[tile].unroll(row)
    s[tile].vectorize(column)
    if has_last:
        pack_weight(s, weight, tile, width)
    return {"image": outermost, "lines": order[2], "strips": order[3]}
