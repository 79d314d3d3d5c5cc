"""Two-dimensional convolution of each channel with its own kernel: no sum over channels.

The weight, ``(c, kh, kw)``, is constant by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.analytic import fits_registers
from tilewright.templates.collector import TemplateConfig, get_config
from tilewright.templates.epilogue import apply_epilogue, finish
from tilewright.templates.operators.convolution import Constant
from tilewright.templates.operators.convolution_direct import ROWS, pack_weight
from tilewright.templates.operators.product import BYTES, Dtype
from tilewright.templates.operators.window import Layout, Pair, Sides, Window, channel_axis, pad_image
from tilewright.templates.template import template

Array = npt.NDArray[Any]
VECTORS = (1, 2, 3, 4, 6, 8)
MOST_SUMS = 12


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
    image = x if layout == "NCHW" else x.transpose(0, 3, 1, 2)
    windows = Window.of(weight.shape[1:], stride, padding, dilation).slide(image)
    y = np.einsum("nchwij,cij->nchw", windows, weight, optimize=True)
    y = y if layout == "NCHW" else y.transpose(0, 2, 3, 1)
    return finish(y, epilogue, operands, channel_axis(layout))


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration: the largest tile of whole vectors, at most a dozen sums."""
    window = Window.of(*(arguments[name] for name in ("kernel", "stride", "padding", "dilation")))
    height, width = window.output((arguments["h"], arguments["w"]))
    lanes = target.lanes(BYTES[arguments["dtype"]])
    across, down = (arguments["c"], width) if arguments["layout"] == "NHWC" else (width, height)
    vectors = max(v for v in VECTORS if v <= min(4, -(-across // lanes)))
    rows = [r for r in ROWS if r <= min(down, MOST_SUMS // vectors)]
    whole = [r for r in rows if down % r == 0]
    return {"rows": max(whole), "vectors": vectors, "unroll_kh": 0}


def define_space(cfg: TemplateConfig, across: int, down: int, lanes: int) -> None:
    """The knobs."""
    registers = cfg.target.vector_registers
    cfg.define_knob("rows", [r for r in ROWS if r <= down])
    cfg.define_knob("vectors", [v for v in VECTORS if v <= -(-across // lanes)])
    cfg.define_knob("unroll_kh", [0, 1])
    cfg.constrain(("rows", "vectors"), lambda r, v: fits_registers(r.val, v.val, registers))


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
    dtype: Dtype = "float32",
    epilogue: tuple[str, ...] = (),
    constant: Constant = ("weight",),
) -> tuple[Schedule, list[Tensor]]:
    """A tile of pixels whose lanes lie along the contiguous axis: the row's pixels, or the channels."""
    window = Window.of(kernel, stride, padding, dilation)
    window.check("depthwise_conv2d", (h, w), c, c, c)
    height, width = window.output((h, w))
    cfg = get_config()
    lanes = cfg.target.lanes(BYTES[dtype])
    has_last = layout == "NHWC"
    define_space(cfg, *((c, width) if has_last else (width, height)), lanes)
    x = te.placeholder((n, h, w, c) if has_last else (n, c, h, w), dtype, name="x")
    weight = te.placeholder((c, *window.kernel), dtype, name="weight")
    padded = pad_image(x, window, layout)
    y = convolve(padded, weight, window, layout, (height, width))
    finished = apply_epilogue(y, epilogue, channel_axis(layout))
    s = create_schedule(finished.output)
    panels = schedule_tile(s, (y, finished.output), weight, cfg, has_last, lanes)
    if padded is not x:  # a few channels at a time, which stay in the cache
        s[padded].vectorize(s[padded].op.axis[-1])
        s[padded].compute_at(s[finished.output], panels)
    return s, [x, weight, *finished.operands, finished.output]


def convolve(image: Tensor, weight: Tensor, window: Window, layout: str, extents: tuple[int, int]) -> Tensor:
    """What is computed, on an image that is padded already."""
    c, kh, kw = weight.shape
    ry, rx = te.reduce_axis((0, kh), "ry"), te.reduce_axis((0, kw), "rx")

    def element(b: IterVar, k: IterVar, i: IterVar, j: IterVar) -> te.Expr:
        row = i * window.stride[0] + ry * window.dilation[0]
        column = j * window.stride[1] + rx * window.dilation[1]
        place = (b, k, row, column) if layout == "NCHW" else (b, row, column, k)
        return te.sum(image[place] * weight[k, ry, rx], axis=(ry, rx))

    if layout == "NCHW":
        return te.compute((image.shape[0], c, *extents), lambda b, k, i, j: element(b, k, i, j), name="y")
    return te.compute((image.shape[0], *extents, c), lambda b, i, j, k: element(b, k, i, j), name="y")


def schedule_tile(
    s: Schedule,
    tensors: tuple[Tensor, Tensor],
    weight: Tensor,
    cfg: TemplateConfig,
    has_last: bool,
    lanes: int,
) -> IterVar:
    """Rows of pixels and vectors along the last axis, accumulated in registers; the outermost loop."""
    sums, y = tensors
    tile = s.cache_write(sums, "register")
    if y is not sums:
        s[sums].compute_inline()
    # NCHW: rows of the image by pixels of a row. NHWC: pixels of a row by channels.
    b, outer, row, column = s[y].op.axis
    down, row = s[y].split(row, cfg["rows"].val)
    across, column = s[y].split(column, cfg["vectors"].val * lanes)
    order = (b, across, outer, down) if has_last else (b, outer, down, across)
    s[y].reorder(*order, row, column)
    s[tile].compute_at(s[y], order[-1])
    s[y].unroll(row)
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
        pack_weight(s, weight, tile, cfg["vectors"].val * lanes)
    return outermost
