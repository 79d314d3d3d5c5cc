"""Two-dimensional convolution, direct: tiles of pixels by channels, either of them in the lanes.

The weight, ``(o, c / groups, kh, kw)``, is constant by default and is packed once into panels of the vectors'
width: ``[o / width][c][kh][kw][width]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.analytic import choose_register_tile, fits_registers
from tilewright.templates.collector import TemplateConfig, get_config
from tilewright.templates.epilogue import apply_epilogue, finish
from tilewright.templates.operators.window import Layout, Pair, Sides, Window, pad_image
from tilewright.templates.split import divisors
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Dtype = Literal["float32", "float64"]
Constant = tuple[Literal["weight"], ...]
BYTES = {"float32": 4, "float64": 8}
ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 28)
VECTORS = (1, 2, 3, 4, 6)
# Steps of the reduction below which turning a tile around costs more than lanes that lie idle.
SHALLOW = 256


def reference(
    x: Array,
    weight: Array,
    *operands: Array,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    layout: str,
    epilogue: Sequence[str],
) -> Array:
    """The convolution in NumPy."""
    image = x if layout == "NCHW" else x.transpose(0, 3, 1, 2)
    windows = Window.of(weight.shape[2:], stride, padding, dilation).slide(image)
    n, c, *_ = windows.shape
    grouped = windows.reshape(n, groups, c // groups, *windows.shape[2:])
    filters = weight.reshape(groups, -1, *weight.shape[1:])
    y = np.einsum("ngchwij,gocij->ngohw", grouped, filters, optimize=True)
    y = y.reshape(n, -1, *y.shape[3:])
    y = y if layout == "NCHW" else y.transpose(0, 2, 3, 1)
    return finish(y, epilogue, operands, channel_axis(layout))


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration: the tile that covers a row of the output in the fewest cycles."""
    window = Window.of(*(arguments[name] for name in ("kernel", "stride", "padding", "dilation")))
    (_, width), channels = (
        window.output(arguments["h"], arguments["w"]),
        arguments["o"] // arguments["groups"],
    )
    lanes = target.lanes(BYTES[arguments["dtype"]])
    depth = arguments["c"] // arguments["groups"] * window.kernel[0] * window.kernel[1]
    form = forms(arguments["layout"], window)[-1] if depth < SHALLOW else "channels"
    rows, across = (width, channels) if form == "channels" else (channels, width)
    # A width that divides the channels leaves no tail, and half the code.
    widths = _widths(across, lanes)
    widths = [v for v in widths if across % (v * lanes) == 0] or widths
    tile = choose_register_tile(
        rows, across, depth, lanes, target.vector_registers, _up_to(ROWS, rows), widths
    )
    return {
        "lanes": form,
        "rows": tile.rows,
        "vectors": tile.vectors,
        "order": "channels",
        "unroll_kw": 1,
    }


def forms(layout: str, window: Window) -> list[str]:
    """What can lie in the lanes: channels; pixels where neighbours are read and written side by side."""
    return ["channels", "pixels"] if layout == "NCHW" and window.stride[1] == 1 else ["channels"]


def _up_to(values: tuple[int, ...], most: int) -> list[int]:
    return [value for value in values if value <= most]


def _widths(channels: int, lanes: int) -> list[int]:
    return _up_to(VECTORS, -(-channels // lanes))


def define_space(
    cfg: TemplateConfig, window: Window, layout: str, width: int, channels: int, lanes: int
) -> None:
    """The knobs."""
    registers = cfg.target.vector_registers
    cfg.define_knob("lanes", forms(layout, window))
    cfg.define_knob("rows", _up_to(ROWS, max(width, channels)))
    cfg.define_knob("vectors", _widths(max(width, channels), lanes))
    cfg.define_knob("order", ["channels", "rows"])
    cfg.define_knob("unroll_kw", [1, 0])
    cfg.constrain(("rows", "vectors"), lambda r, v: fits_registers(r.val, v.val, registers))
    extents = {"channels": (width, channels), "pixels": (channels, width)}
    cfg.constrain(
        ("lanes", "rows", "vectors"),
        lambda form, r, v: r.val <= extents[form.val][0] and v.val <= -(-extents[form.val][1] // lanes),
    )


@template(
    "conv2d",
    reference=reference,
    default=default,
    positive=("n", "c", "h", "w", "o", "kernel", "stride", "dilation", "groups"),
)
def conv2d(
    n: int,
    c: int,
    h: int,
    w: int,
    o: int,
    kernel: Pair,
    stride: Pair = 1,
    padding: Sides = 0,
    dilation: Pair = 1,
    groups: int = 1,
    layout: Layout = "NCHW",
    dtype: Dtype = "float32",
    epilogue: tuple[str, ...] = (),
    constant: Constant = ("weight",),
) -> tuple[Schedule, list[Tensor]]:
    """Pixels of a row by vectors of channels, accumulated in registers over the whole reduction."""
    window = Window.of(kernel, stride, padding, dilation)
    window.check("conv2d", h, w, c, o, groups)
    cfg = get_config()
    lanes = cfg.target.lanes(BYTES[dtype])
    define_space(cfg, window, layout, window.output(h, w)[1], o // groups, lanes)
    x = te.placeholder((n, c, h, w) if layout == "NCHW" else (n, h, w, c), dtype, name="x")
    weight = te.placeholder((o, c // groups, *window.kernel), dtype, name="weight")
    padded = pad_image(x, window, layout)
    y = convolve(padded, weight, window, layout, groups, window.output(h, w))
    finished = apply_epilogue(y, epilogue, channel_axis(layout))
    s = create_schedule(finished.output)
    schedule_tile(s, (y, finished.output), weight, cfg, layout, groups, lanes)
    if padded is not x:
        *_, last = s[padded].op.axis
        s[padded].vectorize(last)
        s[padded].parallel(s[padded].fuse(*s[padded].op.axis[:2]))
    return s, [x, weight, *finished.operands, finished.output]


def channel_axis(layout: str) -> int:
    """The dimension of the channels."""
    return 1 if layout == "NCHW" else 3


def convolve(
    image: Tensor, weight: Tensor, window: Window, layout: str, groups: int, extents: tuple[int, int]
) -> Tensor:
    """What is computed, on an image that is padded already."""
    o, c, kh, kw = weight.shape
    rc, ry, rx = te.reduce_axis((0, c), "rc"), te.reduce_axis((0, kh), "ry"), te.reduce_axis((0, kw), "rx")

    def element(b: IterVar, f: IterVar, i: IterVar, j: IterVar) -> te.Expr:
        row = i * window.stride[0] + ry * window.dilation[0]
        column = j * window.stride[1] + rx * window.dilation[1]
        channel = rc if groups == 1 else f // (o // groups) * c + rc
        place = (b, channel, row, column) if layout == "NCHW" else (b, row, column, channel)
        return te.sum(image[place] * weight[f, rc, ry, rx], axis=(rc, ry, rx))

    batch = image.shape[0]
    if layout == "NCHW":
        return te.compute((batch, o, *extents), lambda b, f, i, j: element(b, f, i, j), name="y")
    return te.compute((batch, *extents, o), lambda b, i, j, f: element(b, f, i, j), name="y")


def schedule_tile(
    s: Schedule,
    tensors: tuple[Tensor, Tensor],
    weight: Tensor,
    cfg: TemplateConfig,
    layout: str,
    groups: int,
    lanes: int,
) -> None:
    """Compute a tile of the sums, rows by vectors; store it finished, along the contiguous axis."""
    sums, y = tensors
    has_last = layout == "NHWC"  # the channels are contiguous in y
    is_across = cfg["lanes"].val == "channels"  # the channels lie in the lanes
    share = y.shape[3 if has_last else 1] // groups
    columns, rows = cfg["vectors"].val * lanes, cfg["rows"].val
    channels, pixels = (columns, rows) if is_across else (rows, columns)
    if groups > 1:  # a tile reads one group's channels
        channels = max(size for size in divisors(share) if size <= channels)
    tile = s.cache_write(sums, "register")
    if y is not sums:
        s[sums].compute_inline()
    b, f, i, j = [s[y].op.axis[place] for place in ((0, 3, 1, 2) if has_last else (0, 1, 2, 3))]
    group, f = s[y].split(f, share)
    panel, f = s[y].split(f, channels)
    strip, j = s[y].split(j, pixels)
    outer = (group, panel, i) if cfg["order"].val == "channels" else (i, group, panel)
    s[y].reorder(b, *outer, strip, *((j, f) if has_last else (f, j)))
    s[tile].compute_at(s[y], strip)
    s[y].unroll(j if has_last else f)
    s[y].vectorize(f if has_last else j)
    s[y].parallel(s[y].fuse(b, *outer))

    axes = s[tile].op.axis
    i, j, f = axes[1:] if has_last else (axes[2], axes[3], axes[1])
    rc, ry, rx = s[tile].op.reduce_axis
    s[tile].reorder(rc, ry, rx, *((j, f) if is_across else (f, j)))
    s[tile].unroll(rx, cfg["unroll_kw"].val)
    s[tile].unroll(j if is_across else f)
    s[tile].vectorize(f if is_across else j)
    pack_weight(s, weight, tile, channels)


def pack_weight(s: Schedule, weight: Tensor, tile: Tensor, channels: int) -> None:
    """Copy the weight into panels of so many output channels, at the root: once where it is constant."""
    packed = s.pack(weight, tile, {0: channels})
    panel, inside = s[packed].split(s[packed].op.axis[0], channels)
    s[packed].reorder(panel, *s[packed].op.axis[1:], inside)
    s[packed].vectorize(inside)
    s[packed].parallel(panel)
