"""Convolutions of bytes in tiles that the processor multiplies whole (AMX); images have the channels first.

::

    image[n, q, y, x]                  words of four channels, zeros around
    panels[n, band, strip, k, j]       what step k multiplies, for each pixel j of a panel
    sums[n, band, strip, f, j]         sum(dot(weight[f, k], panels[n, band, strip, k, j]))
    y[n, f, i, j]                      the sums, in the order of the result

A panel has 16 or 32 pixels: a strip of a line, or of a band of neighbouring lines where those are short.
Steps are the words of all taps, those of one tap after another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

from tilewright.compiler import te
from tilewright.compiler.amx import BLOCK, COLUMNS, DEPTH, ROWS, TileProduct, multiplies_tiles, tile_product
from tilewright.compiler.dot_instructions import Dtypes
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Expr, IterVar, Tensor
from tilewright.compiler.te.words import WORD
from tilewright.templates.analytic import nearest
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.epilogue import apply_epilogue
from tilewright.templates.operators.convolution import Convolution
from tilewright.templates.operators.convolution_words import WordConvolution
from tilewright.templates.operators.product import up_to

CHANNELS = (32, 64, 128, 256, 512)
PARTS = (4, 8, 16, 32)  # of the reduction, in tiles
# What a default takes of the first cache for a part of a panel, and of the second for what is read again.
PANEL_SHARE, READ_SHARE = 0.5, 0.5
# Channels of the result for each step of the reduction, from which on it is the result that takes the time.
MANY_CHANNELS = 4


def in_tiles(conv: Convolution, target: Target) -> WordConvolution | None:
    """The convolution as tiles multiply it; None where the processor has none for it, or it fills none."""
    if not isinstance(conv, WordConvolution) or conv.groups > 1 or conv.is_channels_last:
        return None
    fills = conv.o >= ROWS and Panels.of(conv).columns >= COLUMNS
    has_tiles = multiplies_tiles(target, _types(conv))
    return replace(conv, is_biased=False) if fills and has_tiles else None


def _types(conv: WordConvolution) -> Dtypes:
    """Of the words that are multiplied: those of the weight are the left ones."""
    return conv.types.right, conv.types.left


@dataclass(frozen=True, slots=True)
class Panels:
    """How the pixels of a result lie in panels.

    Attributes:
        width: the pixels of a line that lie side by side, a power of two.
        lines: of a band.
        strips, bands: the panels of a band, and the bands.
    """

    width: int
    lines: int
    strips: int
    bands: int

    @classmethod
    def of(cls, conv: Convolution) -> Panels:
        """As wide as a line, but for what does not fill tiles."""
        *rest, across = conv.places
        down = prod(rest)
        width = min(BLOCK, _power(across))
        lines = min(BLOCK // width, _power(down))
        return cls(width, lines, -(-across // width), -(-down // lines))

    @property
    def columns(self) -> int:
        """The pixels of a panel."""
        return self.width * self.lines


def _power(extent: int) -> int:
    """The least power of two that is as large."""
    return 1 << (extent - 1).bit_length()


def _steps(conv: WordConvolution) -> int:
    """The steps of the reduction, whole tiles."""
    return -(-conv.depth // DEPTH) * DEPTH


def default_amx(conv: WordConvolution, target: Target) -> dict[str, Any]:
    """All channels for one panel after another, unless the weight or the result is too large for that.

    A weight that the second cache cannot hold is read once, and a large result of few steps is written to few
    rows at a time: pages of many are more than their translations that a core keeps.
    """
    steps, shape, kept = _steps(conv), Panels.of(conv), READ_SHARE * target.l2_bytes
    part = int(PANEL_SHARE * target.l1_bytes) // (shape.columns * conv.item * DEPTH)
    has_large_weight = conv.o * steps * conv.item > kept
    has_large_result = conv.o * prod(conv.places) * conv.item > kept and conv.o >= MANY_CHANNELS * steps
    return {
        "order": "channels" if has_large_weight or has_large_result else "pixels",
        "channels": _channels(conv)[0],
        "part": nearest(up_to(PARTS, steps // DEPTH), min(part, steps // DEPTH)),
    }


def _channels(conv: WordConvolution) -> list[int]:
    """The channels that a call may have, whole tiles."""
    most = -(-conv.o // ROWS) * ROWS
    return sorted({min(channels, most) for channels in CHANNELS})


def define_amx(cfg: TemplateConfig, conv: WordConvolution) -> None:
    """The knobs: the outer loop, the channels of a call, the tiles of a part of the reduction."""
    cfg.define_knob("order", ["pixels", "channels"])
    cfg.define_knob("channels", _channels(conv))
    cfg.define_knob("part", up_to(PARTS, _steps(conv) // DEPTH))


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages, as the head of this module shows them."""

    x: Tensor
    weight: Tensor
    image: Tensor
    words: Tensor
    panels: Tensor
    sums: Tensor
    y: Tensor

    @classmethod
    def of(cls, conv: WordConvolution, shape: Panels, channels: int) -> Stages:
        """The stages, by blocks of so many channels."""
        x, weight = conv.operands()
        image, words = _image(conv, x, shape), _weight(conv, weight, channels)
        panels = _panels(conv, image, shape)
        k = te.reduce_axis((0, _steps(conv)), "k")

        def add(b: IterVar, band: IterVar, strip: IterVar, f: IterVar, j: IterVar) -> Expr:
            return te.sum(te.dot(words[f, k], panels[b, band, strip, k, j], _types(conv)), axis=k)

        count = {"FLOP": conv.operations}
        extents = (conv.n, shape.bands, shape.strips, words.shape[0], shape.columns)
        sums = te.compute(extents, add, name="sums", attrs=count)

        def pixel(b: IterVar, f: IterVar, *places: IterVar) -> Expr:
            *rest, j = places
            i: Expr = rest[0] if rest else te.const(0)
            place = (i % shape.lines) * shape.width + j % shape.width
            return te.Load(sums, (b, i // shape.lines, j // shape.width, f, place))

        seen = (conv.n, conv.o, *(conv.outer_extents or conv.places))
        y = te.compute(
            (conv.n, conv.o, *conv.places), pixel, name="y", attrs={"FLOP": 0}, argument_shape=seen
        )
        return cls(x, weight, image, words, panels, sums, y)


def _image(conv: WordConvolution, x: Tensor, shape: Panels) -> Tensor:
    """The image as words, with zeros wherever a panel reads past its edges."""
    window = conv.window
    counts = (*((shape.bands * shape.lines,) * (window.rank - 1)), shape.strips * shape.width)
    pairs = zip(counts, window.stride, window.span, strict=True)
    stored = [(count - 1) * step + span for count, step, span in pairs]

    def element(b: IterVar, q: IterVar, *places: IterVar) -> Expr:
        inner = [place - before for place, before in zip(places, window.before, strict=True)]
        value = conv.join(lambda channel: te.Load(x, (b, channel, *inner)), te.const(0), q, conv.types.left)
        tests = [place >= 0 for place, before in zip(inner, window.before, strict=True) if before]
        ends = zip(inner, stored, window.before, conv.extents, strict=True)
        tests += [place < extent for place, size, before, extent in ends if size - before > extent]
        return te.if_then_else(te.all(*tests), value, te.const(0, WORD)) if tests else value

    return te.compute((conv.n, conv.words, *stored), element, name="x.words", attrs={"FLOP": 0})


def _tap(conv: WordConvolution, k: Expr) -> tuple[Expr, list[Expr]]:
    """The word and the tap of a step; steps past the last are that one again."""
    k = te.minimum(k, conv.depth - 1) if _steps(conv) > conv.depth else k
    tap, word = k // conv.words, k % conv.words
    if conv.window.rank == 1:
        return word, [tap]
    across = conv.window.kernel[-1]
    return word, [tap // across, tap % across]


def _weight(conv: WordConvolution, weight: Tensor, channels: int) -> Tensor:
    """The weight as words, zeros past the last step; channels past the last repeat it."""
    blocks = -(-conv.o // channels)

    def element(f: IterVar, k: IterVar) -> Expr:
        word, taps = _tap(conv, k)
        row = te.minimum(f, conv.o - 1) if blocks * channels > conv.o else f
        value = conv.join(
            lambda channel: te.Load(weight, (row, channel, *taps)), te.const(0), word, conv.types.right
        )
        has_rest = _steps(conv) > conv.depth
        return te.if_then_else(k < conv.depth, value, te.const(0, WORD)) if has_rest else value

    return te.compute((blocks * channels, _steps(conv)), element, name="weight.words", attrs={"FLOP": 0})


def _panels(conv: WordConvolution, image: Tensor, shape: Panels) -> Tensor:
    """What each step multiplies; the weights of steps past the last are zero."""
    window = conv.window

    def element(b: IterVar, band: IterVar, strip: IterVar, k: IterVar, j: IterVar) -> Expr:
        word, taps = _tap(conv, k)
        line, column = band * shape.lines + j // shape.width, strip * shape.width + j % shape.width
        places = [line, column][-window.rank :]
        steps = zip(places, window.stride, taps, window.dilation, strict=True)
        return te.Load(image, (b, word, *(place * step + tap * apart for place, step, tap, apart in steps)))

    extents = (conv.n, shape.bands, shape.strips, _steps(conv), shape.columns)
    return te.compute(extents, element, name="panels", attrs={"FLOP": 0})


def schedule_amx(cfg: TemplateConfig, conv: WordConvolution) -> tuple[Schedule, list[Tensor]]:
    """The schedule that the knobs say, and its arguments."""
    define_amx(cfg, conv)
    shape, lanes = Panels.of(conv), cfg.target.lanes(conv.item)
    channels, by_pixels = cfg["channels"].val, cfg["order"].val == "pixels"
    stages = Stages.of(conv, shape, channels)
    finished = apply_epilogue(stages.y, conv.epilogue, conv.channel_axis)
    s, output = create_schedule(finished.output), finished.output
    if output is not stages.y:
        s[stages.y].compute_inline()
    panel, call = _loop_over_result(s, output, shape, channels, lanes, by_pixels)
    s[stages.sums].compute_at(s[output], call)
    if by_pixels:
        s[stages.panels].compute_at(s[output], panel)
    _multiply(s, stages, shape, channels, conv, cfg["part"].val)
    _copy_operands(s, stages, conv)
    _copy_panels(s, stages, shape, conv, lanes, is_inside=by_pixels)
    return s, [stages.x, stages.weight, *finished.operands, output]


def _loop_over_result(
    s: Schedule, y: Tensor, shape: Panels, channels: int, lanes: int, by_pixels: bool
) -> tuple[IterVar, IterVar]:
    """Panels and blocks of channels, either of them outside: the outer loop, and that of calls."""
    stage = s[y]
    b, f, *rest, j = stage.op.axis
    block, f = stage.split(f, channels, tail="guard")
    strip, j = stage.split(j, shape.width, tail="guard")
    vector, j = stage.split(j, lanes, tail="guard")
    outer, inside = [b], [f]
    if rest:
        band, i = stage.split(rest[0], shape.lines, tail="guard")
        outer, inside = [b, band], [f, i]
    stage.vectorize(j)
    if not by_pixels:
        stage.reorder(block, *outer, strip, *inside, vector, j)
        stage.parallel(block)
        return block, strip
    stage.reorder(*outer, strip, block, *inside, vector, j)
    panel = stage.fuse(*outer, strip)
    stage.parallel(panel)
    return panel, block


def _multiply(
    s: Schedule, stages: Stages, shape: Panels, channels: int, conv: WordConvolution, part: int
) -> None:
    """The sums of a panel and a block of channels by one call."""
    sums = stages.sums
    *_, f, j = s[sums].op.axis
    for axis in (f, j):
        s[sums].round_up(axis)
    _, f = s[sums].split(f, channels)
    _, j = s[sums].split(j, shape.columns)
    q, r = s[sums].split(s[sums].op.reduce_axis[0], DEPTH)
    s[sums].reorder(f, j, q, r)
    product = TileProduct(channels, shape.columns, _steps(conv) // DEPTH, part, _types(conv))
    s[sums].tensorize(f, tile_product(product))


def _copy_operands(s: Schedule, stages: Stages, conv: WordConvolution) -> None:
    """The weight in tiles, and the image as words unless panels have each pixel once."""
    packed = s.pack(stages.words, stages.sums, {1: DEPTH})
    s[stages.words].compute_inline()
    f, k = s[packed].op.axis
    tiles, k = s[packed].split(k, DEPTH)
    s[packed].reorder(tiles, f, k)
    s[packed].parallel(tiles)
    image = s[stages.image]
    if prod(conv.taps) == 1:
        image.compute_inline()
        return
    image.vectorize(image.op.axis[-1])
    image.parallel(image.fuse(*image.op.axis[:2]))


def _copy_panels(
    s: Schedule, stages: Stages, shape: Panels, conv: WordConvolution, lanes: int, is_inside: bool
) -> None:
    """Vectors of neighbouring pixels; all panels ahead unless each is made where it is used."""
    panels = s[stages.panels]
    b, band, strip, k, j = panels.op.axis
    tap, k = panels.split(k, conv.words)
    line, j = panels.split(j, shape.width)
    vector, j = panels.split(j, lanes)
    panels.reorder(b, band, strip, tap, k, line, vector, j)
    panels.unroll(line)
    panels.unroll(vector)
    panels.vectorize(j)
    if not is_inside:
        panels.parallel(panels.fuse(b, band, strip))
