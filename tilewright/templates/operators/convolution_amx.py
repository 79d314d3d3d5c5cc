"""Convolutions of bytes or bfloat16 numbers in tiles that the processor multiplies whole (AMX).

With the channels first:

::

    image[n, q, y, x]                  words of neighbouring channels, zeros around
    panels[n, band, strip, k, j]       what step k multiplies, for each pixel j of a panel
    sums[n, band, strip, f, j]         sum(dot(weight[f, k], panels[n, band, strip, k, j]))
    y[n, f, i, j]                      the sums, in the order of the result

A panel has 16 or 32 pixels: a strip of a line, or of a band of neighbouring lines where those are short.
Steps are the words of all taps, those of one tap after another, and zeros that fill tiles. With the channels
last the matrices lie the other way round, and pixels are the rows of the product; there zeros follow each run
of words that are neighbours in memory, those of a row of taps or of one tap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any, TypeVar

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
from tilewright.templates.operators.product_tiles import round_up
from tilewright.templates.operators.window import arrange, divide

T = TypeVar("T")

CHANNELS = (32, 64, 128, 256, 512)
PARTS = (4, 8, 16, 32)  # of the reduction, in tiles
# What a default takes of the first cache for a part of a panel, and of the second for what is read again.
PANEL_SHARE, READ_SHARE = 0.5, 0.5
# Channels of the result for each step of the reduction, from which on it is the result that takes the time.
MANY_CHANNELS = 4
MOST_DIMENSIONS = 2
# The least share of words in a run, the rest of which is zeros, by the numbers in a word: bytes are
# multiplied faster without tiles.
FULL = {2: 0.125, 4: 0.5}


def in_tiles(conv: Convolution, target: Target) -> WordConvolution | None:
    """The convolution as tiles multiply it; None where the processor has none for it, or it fills none."""
    if not isinstance(conv, WordConvolution) or not multiplies_tiles(target, _types(conv)):
        return None
    if conv.groups > 1 or conv.window.rank > MOST_DIMENSIONS:
        return None
    conv = replace(conv, bias=0)
    runs = Runs.of(conv)
    is_sparse = conv.is_channels_last and runs.length < FULL[conv.parts] * runs.padded
    fills = conv.o >= ROWS and Panels.of(conv).columns >= COLUMNS
    return conv if fills and not is_sparse else None


def _types(conv: WordConvolution) -> Dtypes:
    """Of the words that are multiplied: those of the weight are the left ones, but with the channels last."""
    types = conv.types.right, conv.types.left
    return _turn(conv, types)


def _turn(conv: WordConvolution, pair: Sequence[T]) -> tuple[T, T]:
    """What belongs to rows and columns of a matrix, the other way round with the channels last."""
    row, column = pair
    return (column, row) if conv.is_channels_last else (row, column)


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


@dataclass(frozen=True, slots=True)
class Runs:
    """The steps of the reduction, in runs of whole tiles.

    Attributes:
        taps: whose words are in a run.
        length: of a run; ``padded`` with the zeros that follow.
    """

    taps: int
    length: int
    padded: int

    @classmethod
    def of(cls, conv: WordConvolution) -> Runs:
        """All steps; with the channels last those of which the words are neighbours in the image."""
        taps = prod(conv.taps)
        if conv.is_channels_last:
            taps = conv.taps[-1] if conv.window.dilation[-1] == 1 else 1
        return cls(taps, taps * conv.words, round_up(taps * conv.words, DEPTH))

    def count(self, conv: WordConvolution) -> int:
        """How many there are."""
        return prod(conv.taps) // self.taps


def _steps(conv: WordConvolution) -> int:
    """The steps of the reduction, whole tiles."""
    runs = Runs.of(conv)
    return runs.count(conv) * runs.padded


def default_amx(conv: WordConvolution, target: Target) -> dict[str, Any]:
    """All channels for one panel after another, unless the weight or the result is too large for that.

    A weight that the second cache cannot hold is read once. A large result of few steps, with an image for
    each channel, is written to few of them at a time: a core keeps the translations of so many pages only.
    """
    steps, shape, kept = _steps(conv), Panels.of(conv), READ_SHARE * target.l2_bytes
    part = int(PANEL_SHARE * target.l1_bytes) // (shape.columns * conv.item * DEPTH)
    has_large_weight = conv.o * steps * conv.item > kept
    has_images = not conv.is_channels_last and conv.o >= MANY_CHANNELS * steps
    has_large_result = has_images and conv.o * prod(conv.places) * conv.item > kept
    return {
        "order": "channels" if has_large_weight or has_large_result else "pixels",
        "channels": _channels(conv)[0],
        "part": nearest(up_to(PARTS, steps // DEPTH), min(part, steps // DEPTH)),
    }


def _channels(conv: WordConvolution) -> list[int]:
    """The channels that a call may have, whole tiles; a block of columns where they are such."""
    most = round_up(conv.o, ROWS)
    choices = CHANNELS[:1] if conv.is_channels_last else CHANNELS
    return sorted({min(channels, most) for channels in choices})


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

        def add(b: IterVar, band: IterVar, strip: IterVar, *at: IterVar) -> Expr:
            f, j = _turn(conv, at)
            weight = te.Load(words, _turn(conv, (f, k)))
            pixel = te.Load(panels, (b, band, strip, *_turn(conv, (k, j))))
            return te.sum(te.dot(*_turn(conv, (weight, pixel)), _types(conv)), axis=k)

        count = {"FLOP": conv.operations}
        block = _turn(conv, (round_up(conv.o, channels), shape.columns))
        sums = te.compute((conv.n, shape.bands, shape.strips, *block), add, name="sums", attrs=count)

        def pixel(*index: IterVar) -> Expr:
            b, f, (*rest, j) = divide(conv.layout, index)
            i: Expr = rest[0] if rest else te.const(0)
            place = (i % shape.lines) * shape.width + j % shape.width
            return te.Load(sums, (b, i // shape.lines, j // shape.width, *_turn(conv, (f, place))))

        extents = arrange(conv.layout, conv.n, conv.o, conv.places)
        seen = arrange(conv.layout, conv.n, conv.o, conv.outer_extents or conv.places)
        y = te.compute(extents, pixel, name="y", attrs={"FLOP": 0}, argument_shape=seen)
        return cls(x, weight, image, words, panels, sums, y)


def _image(conv: WordConvolution, x: Tensor, shape: Panels) -> Tensor:
    """The image as words, with zeros wherever a panel reads past its edges."""
    window = conv.window
    counts = (*((shape.bands * shape.lines,) * (window.rank - 1)), shape.strips * shape.width)
    pairs = zip(counts, window.stride, window.span, strict=True)
    stored = [(count - 1) * step + span for count, step, span in pairs]

    def element(*index: IterVar) -> Expr:
        b, q, places = divide(conv.layout, index)
        inner = [place - before for place, before in zip(places, window.before, strict=True)]
        read = partial(_read, conv, x, b, inner)
        value = conv.join(read, te.const(0), q, conv.types.left)
        tests = [place >= 0 for place, before in zip(inner, window.before, strict=True) if before]
        ends = zip(inner, stored, window.before, conv.extents, strict=True)
        tests += [place < extent for place, size, before, extent in ends if size - before > extent]
        return _where(tests, value)

    shape_of_words = arrange(conv.layout, conv.n, conv.words, stored)
    return te.compute(shape_of_words, element, name="x.words", attrs={"FLOP": 0})


def _read(conv: WordConvolution, image: Tensor, b: Expr, places: Sequence[Expr], channel: Expr) -> Expr:
    """A channel, or a word of channels, of a pixel."""
    return te.Load(image, arrange(conv.layout, b, channel, places))


def _place(conv: WordConvolution, k: Expr) -> tuple[Expr, list[Expr], list[Expr]]:
    """The word and the tap of a step, and the condition, if there is one, under which it has them."""
    runs, (*_, across) = Runs.of(conv), conv.taps
    run, r = (k // runs.padded, k % runs.padded) if runs.count(conv) > 1 else (te.const(0), k)
    tap = run if runs.taps == 1 else run * runs.taps + r // conv.words
    word = r if runs.taps == 1 else r % conv.words
    tests = [r < runs.length] if runs.padded > runs.length else []
    if conv.window.rank == 1:
        return word, [tap], tests
    if runs.taps == across:
        return word, [run, r // conv.words], tests
    return word, [tap // across, tap % across], tests


def _where(tests: Sequence[Expr], value: Expr) -> Expr:
    """The word, or zero where a test fails."""
    return te.if_then_else(te.all(*tests), value, te.const(0, WORD)) if tests else value


def _weight(conv: WordConvolution, weight: Tensor, channels: int) -> Tensor:
    """The weight as words, zeros where steps have none; channels past the last repeat it."""
    rows = round_up(conv.o, channels)

    def element(*at: IterVar) -> Expr:
        f, k = _turn(conv, at)
        word, taps, tests = _place(conv, k)
        row = te.minimum(f, conv.o - 1) if rows > conv.o else f
        read = partial(_read_weight, weight, row, taps)
        return _where(tests, conv.join(read, te.const(0), word, conv.types.right))

    extents = _turn(conv, (rows, _steps(conv)))
    return te.compute(extents, element, name="weight.words", attrs={"FLOP": 0})


def _read_weight(weight: Tensor, row: Expr, taps: Sequence[Expr], channel: Expr) -> Expr:
    return te.Load(weight, (row, channel, *taps))


def _panels(conv: WordConvolution, image: Tensor, shape: Panels) -> Tensor:
    """What each step multiplies; zeros where it has no word: infinity times those of the weight is NaN."""
    window = conv.window

    def element(b: IterVar, band: IterVar, strip: IterVar, *at: IterVar) -> Expr:
        k, j = _turn(conv, at)
        word, taps, tests = _place(conv, k)
        line, column = band * shape.lines + j // shape.width, strip * shape.width + j % shape.width
        places = [line, column][-window.rank :]
        steps = zip(places, window.stride, taps, window.dilation, strict=True)
        read = [place * step + tap * apart for place, step, tap, apart in steps]
        return _where(tests, _read(conv, image, b, read, word))

    extents = (conv.n, shape.bands, shape.strips, *_turn(conv, (_steps(conv), shape.columns)))
    return te.compute(extents, element, name="panels", attrs={"FLOP": 0})


def schedule_amx(cfg: TemplateConfig, conv: WordConvolution) -> tuple[Schedule, list[Tensor]]:
    """The schedule that the knobs say, and its arguments."""
    define_amx(cfg, conv)
    shape, lanes = Panels.of(conv), cfg.target.lanes(conv.item)
    channels, by_pixels = cfg["channels"].val, cfg["order"].val == "pixels"
    stages = Stages.of(conv, shape, channels)
    finished = apply_epilogue(stages.y, conv.epilogue, conv.channel_axis, conv.result)
    s, output = create_schedule(finished.output), finished.output
    if output is not stages.y:
        s[stages.y].compute_inline()
    panel, call = _loop_over_result(s, output, conv, shape, channels, lanes, by_pixels)
    s[stages.sums].compute_at(s[output], call)
    _multiply(s, stages, shape, channels, conv, cfg["part"].val)
    _copy_operands(s, stages, conv, channels)
    panels = _copy_panels(s, stages, shape, conv, lanes, is_inside=by_pixels)
    if by_pixels:
        s[panels].compute_at(s[output], panel)
    return s, [stages.x, stages.weight, *finished.operands, output]


def _loop_over_result(
    s: Schedule,
    y: Tensor,
    conv: WordConvolution,
    shape: Panels,
    channels: int,
    lanes: int,
    by_pixels: bool,
) -> tuple[IterVar, IterVar]:
    """Panels and blocks of channels, either of them outside: the outer loop, and that of calls."""
    stage = s[y]
    b, f, (*rest, j) = divide(conv.layout, stage.op.axis)
    block, f = stage.split(f, channels, tail="guard")
    strip, j = stage.split(j, shape.width, tail="guard")
    outer, lines = [b], []
    if rest:
        band, i = stage.split(rest[0], shape.lines, tail="guard")
        outer, lines = [b, band], [i]
    inside, last = ([*lines, j], f) if conv.is_channels_last else ([f, *lines], j)
    vector, last = stage.split(last, lanes, tail="guard")
    stage.vectorize(last)
    if not by_pixels:
        stage.reorder(block, *outer, strip, *inside, vector, last)
        stage.parallel(block)
        return block, strip
    stage.reorder(*outer, strip, block, *inside, vector, last)
    panel = stage.fuse(*outer, strip)
    stage.parallel(panel)
    return panel, block


def _multiply(
    s: Schedule, stages: Stages, shape: Panels, channels: int, conv: WordConvolution, part: int
) -> None:
    """The sums of a panel and a block of channels by one call."""
    sums = stages.sums
    *_, row, column = s[sums].op.axis
    rows, columns = _turn(conv, (channels, shape.columns))
    for axis in (row, column):
        s[sums].round_up(axis)
    _, row = s[sums].split(row, rows)
    _, column = s[sums].split(column, columns)
    q, r = s[sums].split(s[sums].op.reduce_axis[0], DEPTH)
    s[sums].reorder(row, column, q, r)
    product = TileProduct(rows, columns, _steps(conv) // DEPTH, part, _types(conv))
    s[sums].tensorize(row, tile_product(product))


def _copy_operands(s: Schedule, stages: Stages, conv: WordConvolution, channels: int) -> None:
    """The weight as tiles are read, and the image as words unless panels have each pixel once."""
    width = channels if conv.is_channels_last else DEPTH
    packed = s.pack(stages.words, stages.sums, {1: width})
    s[stages.words].compute_inline()
    row, column = s[packed].op.axis
    tiles, column = s[packed].split(column, width)
    s[packed].reorder(tiles, row, column)
    s[packed].parallel(tiles)
    image = s[stages.image]
    if prod(conv.taps) == 1:
        image.compute_inline()
        return
    image.vectorize(image.op.axis[-1])
    image.parallel(image.fuse(*image.op.axis[:2]))


def _copy_panels(
    s: Schedule, stages: Stages, shape: Panels, conv: WordConvolution, lanes: int, is_inside: bool
) -> Tensor:
    """The copies: vectors of neighbours, all panels ahead unless each is made where it is used."""
    copied = stages.panels
    if conv.is_channels_last:
        copied = s.pack(stages.panels, stages.sums, {4: DEPTH})
        s[stages.panels].compute_inline()
    panels = s[copied]
    b, band, strip, *at = panels.op.axis
    k, j = _turn(conv, at)
    line, j = panels.split(j, shape.width)
    if conv.is_channels_last:
        run, k = panels.split(k, Runs.of(conv).padded)
        vector, k = panels.split(k, DEPTH)
        panels.reorder(b, band, strip, line, j, run, vector, k)
        panels.loop_partition(vector)
        panels.vectorize(k)
    else:
        tap, k = panels.split(k, conv.words)
        vector, j = panels.split(j, lanes)
        panels.reorder(b, band, strip, tap, k, line, vector, j)
        panels.unroll(line)
        panels.vectorize(j)
    panels.unroll(vector)
    if not is_inside:
        panels.parallel(panels.fuse(b, band, strip))
    return copied
