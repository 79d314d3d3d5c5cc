"""Direct convolution: a register tile of pixels by channels, either of them in the lanes.

The weight is packed into panels of the tile's channels, ``[o / width][c][kernel][width]``, once where it is
constant. The last tile of a row is moved back to end with it, and the last panel is padded, so that one tile
is all of the code; the first and the last of a row have code of their own where they skip the border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from tilewright.compiler.analysis.machine import LINE_BYTES
from tilewright.compiler.schedule import Schedule, Stage, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.analytic import (
    LOADS_PER_CYCLE,
    LOADS_SEEN,
    even_parts,
    tile_cycles,
    turn_cycles,
)
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.epilogue import apply_epilogue, is_costly
from tilewright.templates.operators.convolution import Convolution
from tilewright.templates.operators.window import divide
from tilewright.templates.split import divisors

ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 28)
VECTORS = (1, 2, 3, 4, 6)
LINES = (1, 2, 3, 4, 7)
# Cycles beside the arithmetic of a tile: the loops around it.
TILE_OVERHEAD = 12
# Multiply-adds of a row of taps that are written out; more, and registers are spilled.
MOST_WRITTEN = 90
# Functions of an epilogue that may be written out for the first, the last and the other tiles of a row.
MOST_FUNCTIONS = 3
# What the thread with the most lines may have, to the mean.
UNEVEN = 1.1
# Panels of the weight for each thread, of which a thread's share is then about as much as another's.
PANELS_OF_THREAD = 2
# Of the second cache, that the panel in use and the one that is fetched may take.
PANELS_SHARE = 0.75
# Steps of a sum, from which on there is time to fetch the lines of a tile's results.
FETCHED_FROM = 64
# Cycles to test whether the line of a tap is in the image, which each line of a tile has to itself.
TEST_CYCLES = 0.6
# Of few registers, the share that sums may take if the pixels of a row of taps are to stay beside them; and
# what it costs a tile of one vector, which has the most pixels to load, that they do not.
FEW_REGISTERS = 16
SUMS_SHARE = 0.5
RELOADED = 1.3
# What it costs to fetch a byte of the image, whose lines lie apart, to that of a byte of a packed panel.
SCATTERED = 2.5
# Pixels of a result, to a byte of a vector: of more there is so much arithmetic that no panel is waited for.
PIXELS_OF_BYTE = 4
# Loads that begin anywhere cross lines of the cache, where those of a packed panel do not.
UNALIGNED = 1.1


def default(conv: Convolution, target: Target, threads: int) -> dict[str, Any]:
    """The untuned configuration: the tile that covers the result in the fewest cycles."""
    best = _best(conv, target)
    # Where the weight stays in the second cache, a strip of a long row stays in the first, and a thread has
    # lines of the image to itself.
    has_own = conv.window.rank == 1 or (threads > 1 and best.is_shared_evenly(conv, threads))
    weight_bytes = conv.o * conv.depth * conv.item
    by_rows = has_own and weight_bytes <= target.l2_bytes // 2
    if threads == 1 and conv.window.rank > 1 and best.is_across and conv.groups == conv.phases == 1:
        by_rows = weight_bytes <= target.l2_bytes and best.reads_image_most(conv, target.lanes(conv.item))
    # Written out, a row of taps spares the loop around them.
    sums = best.lines * best.rows * best.vectors
    is_short = conv.phases == 1 and conv.taps[-1] * sums <= MOST_WRITTEN
    order = "rows" if by_rows else "channels"
    has_room = is_short and best.lines == 1 and len(conv.epilogue) <= MOST_FUNCTIONS
    is_skipped = "skip" in _borders(conv) and _can_skip(conv, best.form, best.rows, order)
    is_skipped = is_skipped and (has_room or _is_row(conv, best.rows))
    panels = conv.n * -(-conv.o // (best.vectors * target.lanes(conv.item)))
    is_large = weight_bytes > target.l2_bytes // 2 and _is_awaited(conv, target)
    has_panels = threads == 1 or panels >= PANELS_OF_THREAD * threads
    is_ahead = is_large and has_panels and _has_room_ahead(conv, best.vectors, target)
    return {
        "lanes": best.form,
        "rows": best.rows,
        "vectors": best.vectors,
        "lines": best.lines,
        "order": order,
        "unroll_kw": 0 if is_skipped or is_short else 1,
        "border": "skip" if is_skipped else "copy",
        **({"prefetch": best.is_across and not by_rows and is_ahead} if fetches_ahead(conv) else {}),
    }


def fetches_ahead(conv: Convolution) -> bool:
    """Whether the next panel of the weight can be fetched while one is multiplied: all taps are, in order."""
    return conv.groups == 1 and conv.phases == 1 and not conv.has_uneven_taps


def _is_awaited(conv: Convolution, target: Target) -> bool:
    """Whether a panel is used for so few pixels that the next one would come late."""
    return prod(conv.places) <= PIXELS_OF_BYTE * target.vector_bits // 8


def _has_room_ahead(conv: Convolution, vectors: int, target: Target) -> bool:
    """Whether the second cache holds two panels of the weight, of so many vectors of channels, and more."""
    panel = vectors * target.vector_bits // 8 * conv.depth
    return 2 * panel <= PANELS_SHARE * target.l2_bytes


def estimate(conv: Convolution, target: Target) -> float:
    """Cycles that it should take with that configuration."""
    return conv.n * conv.groups * _best(conv, target).cycles(conv, target)


def _best(conv: Convolution, target: Target) -> Tile:
    lanes, registers = target.lanes(conv.item), target.vector_registers
    return min(
        (tile for tile in _tiles(conv, lanes) if tile.fits(conv, registers - tile.pixels(conv))),
        key=lambda tile: (tile.cycles(conv, target), tile.lines, -tile.rows),
    )


@dataclass(frozen=True, slots=True)
class Tile:
    """``form`` lies in the lanes: ``vectors`` of it by ``rows`` of the other, in ``lines`` lines.

    Pixels of different phases are different rows.
    """

    form: str
    rows: int
    vectors: int
    lines: int

    @property
    def is_across(self) -> bool:
        """Whether the channels lie in the lanes."""
        return self.form == "channels"

    def pixels(self, conv: Convolution) -> int:
        """Pixels of the image that stay in registers for another column of the kernel.

        That is where both columns are written out, as the last one is where taps are uneven.
        """
        is_written_out = conv.has_uneven_taps and conv.taps[-1] == 2
        return self.rows // conv.phases + 1 if is_written_out else 0

    def fits(self, conv: Convolution, registers: int) -> bool:
        """Whether its sums fit beside the weights that they share; the least tile always does."""
        phases = conv.phases if self.rows > conv.phases else 1
        sums = self.lines * self.rows * self.vectors
        is_least = sums == conv.phases
        return is_least or sums + phases * self.vectors + 1 <= registers

    def is_shared_evenly(self, conv: Convolution, threads: int) -> bool:
        """Whether threads that share the bands of lines have about as many each."""
        bands = conv.n * prod(conv.places[:-2]) * -(-_height(conv) // self.lines)
        return -(-bands // threads) * threads <= UNEVEN * bands

    def reads_image_most(self, conv: Convolution, lanes: int) -> bool:
        """Whether a tile of channels waits longer for its pixels than for its weights."""
        *_, height, width = conv.taps
        stride = conv.window.stride
        lines = height + (self.lines - 1) * stride[-2]
        pixels = lines * self.rows * stride[-1]
        return SCATTERED * pixels > height * width * self.vectors * lanes

    def step_cycles(self, conv: Convolution, registers: int) -> float:
        """Cycles of one tap of one channel, with channels in the lanes."""
        cycles = tile_cycles(self.lines * self.rows, self.vectors, conv.phases)
        if self.lines > 1 and conv.has_tested_lines:  # each by itself
            loads = self.lines * (self.rows + self.vectors) / LOADS_PER_CYCLE
            cycles = max(cycles, loads * (1 + LOADS_SEEN)) + self.lines * TEST_CYCLES
        is_reloaded = registers <= FEW_REGISTERS and self.lines * self.rows > SUMS_SHARE * registers
        if is_reloaded and self.vectors == 1 and conv.taps[-1] > 1:
            cycles *= RELOADED
        return cycles

    def cycles(self, conv: Convolution, target: Target) -> float:
        """Cycles to cover one image and one group with whole tiles."""
        lanes, width, height = target.lanes(conv.item), conv.places[-1], _height(conv)
        if self.is_across:
            tiles = (
                -(-height // self.lines) * -(-width // self.rows) * -(-conv.share // (self.vectors * lanes))
            )
            work = conv.depth * self.step_cycles(conv, target.vector_registers)
            turned = 0.0 if conv.is_channels_last else turn_cycles(self.rows, self.vectors, lanes)
        else:
            rows, width = _extents(conv, self.form)
            vectors = -(-min(width, self.vectors * lanes) // lanes)
            tiles = height * -(-width // (self.vectors * lanes)) * -(-rows // self.rows)
            work = conv.depth * tile_cycles(self.rows, vectors) * UNALIGNED
            # Neighbours are phases: a vector is spread over as many.
            turned = 2.0 * self.rows * vectors * conv.phases if conv.phases > 1 else 0.0
        stores = self.lines * (self.rows * self.vectors + turned)
        return tiles * (work + stores + TILE_OVERHEAD)


def forms(conv: Convolution) -> list[str]:
    """What can lie in the lanes: channels; pixels where neighbours are read side by side."""
    return ["channels", "pixels"] if conv.is_side_by_side else ["channels"]


def _height(conv: Convolution) -> int:
    return conv.places[-2] if conv.window.rank > 1 else 1


def _extents(conv: Convolution, form: str) -> tuple[int, int]:
    """What the rows of a tile, and its vectors, run over."""
    width = conv.groups_of_pixels
    return (width * conv.phases, conv.share) if form == "channels" else (conv.share * conv.phases, width)


def _rows(conv: Convolution, form: str) -> list[int]:
    extent, _ = _extents(conv, form)
    step = conv.phases
    parts = {r for r in (*ROWS, *even_parts(extent // step)) if r * step <= min(extent, ROWS[-1])}
    return sorted(r * step for r in parts)


def _vectors(conv: Convolution, form: str, lanes: int) -> list[int]:
    _, extent = _extents(conv, form)
    return [v for v in VECTORS if v <= -(-extent // lanes)]


def _lines(conv: Convolution) -> list[int]:
    return [n for n in LINES if n <= _height(conv)] if conv.has_equal_lines else [1]


def _borders(conv: Convolution) -> list[str]:
    """Whether the border at the ends of a row is written into a copy, or skipped tap by tap."""
    can_skip = conv.has_border and (conv.places[-1] <= ROWS[-1] or conv.is_read_in_place)
    return ["copy", "skip"] if can_skip else ["copy"]


def _is_row(conv: Convolution, rows: int) -> bool:
    """Whether a tile of so many pixels is a whole row."""
    return rows >= conv.places[-1]


def _can_skip(conv: Convolution, form: str, rows: int, order: str) -> bool:
    """Whether it is known which of a tile's taps meet the border.

    It is where a tile is a row; else the first and the last of a row have code of their own, which the order
    allows if it goes through a row. Where the image is copied anyway, its border is too.
    """
    last = conv.window.only(conv.window.rank - 1)
    reach = -(-max(last.padding) // last.stride[-1])
    has_ends = order == "channels" and reach <= rows and conv.is_read_in_place
    return form == "channels" and (has_ends or _is_row(conv, rows))


def _tiles(conv: Convolution, lanes: int) -> list[Tile]:
    return [
        Tile(form, rows, vectors, lines)
        for form in forms(conv)
        for rows, vectors, lines in product(
            _rows(conv, form), _vectors(conv, form, lanes), _lines(conv) if form == "channels" else [1]
        )
    ]


def define_space(cfg: TemplateConfig, conv: Convolution) -> None:
    """The knobs."""
    lanes, registers = cfg.target.lanes(conv.item), cfg.target.vector_registers
    names = forms(conv)
    cfg.define_knob("lanes", names)
    cfg.define_knob("rows", sorted({r for form in names for r in _rows(conv, form)}))
    cfg.define_knob("vectors", sorted({v for form in names for v in _vectors(conv, form, lanes)}))
    cfg.define_knob("lines", _lines(conv))
    cfg.define_knob("order", ["channels", "rows"])
    cfg.define_knob("unroll_kw", [1, 0])
    cfg.define_knob("border", _borders(conv))
    if fetches_ahead(conv):
        cfg.define_knob("prefetch", [False, True])
        cfg.constrain(
            ("lanes", "order", "prefetch"),
            lambda form, order, prefetch: (
                not prefetch.val or (form.val, order.val) == ("channels", "channels")
            ),
        )
        cfg.constrain(
            ("vectors", "prefetch"),
            lambda v, prefetch: not prefetch.val or _has_room_ahead(conv, v.val, cfg.target),
        )
    cfg.constrain(
        ("lanes", "rows", "vectors", "lines"),
        lambda form, r, v, n: Tile(form.val, r.val, v.val, n.val).fits(conv, registers),
    )
    cfg.constrain(
        ("lanes", "rows", "vectors"),
        lambda form, r, v: (
            r.val <= _extents(conv, form.val)[0] and v.val <= -(-_extents(conv, form.val)[1] // lanes)
        ),
    )
    cfg.constrain(("lanes", "lines"), lambda form, n: form.val == "channels" or n.val == 1)
    cfg.constrain(
        ("lanes", "rows", "order", "unroll_kw", "border"),
        lambda form, r, o, u, b: b.val == "copy" or (u.val == 0 and _can_skip(conv, form.val, r.val, o.val)),
    )


def schedule(cfg: TemplateConfig, conv: Convolution) -> tuple[Schedule, list[Tensor]]:
    """A tile of the sums, accumulated in registers over the whole reduction, and stored finished.

    The knobs are those of :func:`define_space`.
    """
    x, weight = conv.operands()
    padded, filters = conv.image(x, cfg["border"].val != "skip"), conv.filters(weight)
    sums, y = conv.compute(padded, filters, cfg["lanes"].val)
    finished = apply_epilogue(y, conv.epilogue, conv.channel_axis, conv.result)
    s = create_schedule(finished.output)
    chosen = Tile(cfg["lanes"].val, cfg["rows"].val, cfg["vectors"].val, cfg["lines"].val)
    held = s.cache_write(sums, "call") if is_costly(conv.epilogue) else sums
    tile = s.cache_write(held, "register")
    for stage in {sums.name: sums, y.name: y}.values():
        if stage is not finished.output:
            s[stage].compute_inline()
    is_ahead = fetches_ahead(conv) and cfg["prefetch"].val
    tiles = [tile] if held is sums else [held, tile]
    channels, repeat = _store_tile(s, finished.output, tiles, conv, chosen, cfg, is_ahead)
    _compute_tile(s, tile, conv, chosen, cfg["unroll_kw"].val)
    if held is not sums:
        _hold(s, held)
    packed = pack_weight(s, filters, tile, channels, conv.weight_axis)
    if is_ahead:
        _fetch_panel(s[tile], packed, channels * conv.item, repeat)
    if filters is not weight:
        s[filters].compute_inline()
    if padded is not x:
        _copy_image(s[padded], conv, cfg.threads)
    return s, [x, weight, *finished.operands, finished.output]


def _copy_image(stage: Stage, conv: Convolution, threads: int) -> None:
    """Copy the image; threads share its lines, as they do those of the result."""
    outer: Sequence[IterVar] = stage.op.axis[:2]
    if threads > 1 and conv.window.rank > 1:
        b, c, (line, *rest) = divide(conv.layout, stage.op.axis)
        stage.reorder(b, line, *([*rest, c] if conv.is_channels_last else [c, *rest]))
        outer = b, line
    stage.vectorize(stage.op.axis[-1])
    stage.parallel(stage.fuse(*outer))


def _store_tile(
    s: Schedule,
    y: Tensor,
    tiles: list[Tensor],
    conv: Convolution,
    chosen: Tile,
    cfg: TemplateConfig,
    is_ahead: bool,
) -> tuple[int, IterVar]:
    """Walk over the result in tiles, each computed where it is stored.

    The channels of a tile, and of the loops that use a panel of the weight the one of most iterations.
    """
    lanes = cfg.target.lanes(conv.item)
    columns = chosen.vectors * lanes
    channels = columns if chosen.is_across else chosen.rows // conv.phases
    if conv.groups > 1:  # a tile reads one group's channels
        channels = max(size for size in divisors(conv.share) if size <= channels)
    stage = s[y]
    b, f, spatial = divide(conv.layout, stage.op.axis)
    *rest, j = spatial
    group, f = stage.split(f, conv.share)
    panel, f = stage.split(f, channels, tail="guard")
    strip, inside = _split_row(stage, j, conv.phases, chosen, columns)
    if rest:
        *rest, i = rest
        band, i = stage.split(i, chosen.lines, tail="shift_inwards")
        rest, inside = [*rest, band], [i, *inside]
    by_channels = (group, panel, *rest, strip)
    outer = by_channels if cfg["order"].val == "channels" else (*rest, strip, group, panel)
    order = [*inside, f] if conv.is_channels_last else [f, *inside]
    stage.reorder(b, *outer, *order)
    for tile in tiles:
        s[tile].compute_at(stage, outer[-1])
    for axis in order[:-1]:
        stage.unroll(axis, 1 if is_costly(conv.epilogue) else 0)
    stage.vectorize(order[-1])
    if cfg["border"].val == "skip" and not _is_row(conv, chosen.rows):
        stage.loop_partition(strip)
    repeats = (*rest, strip)
    shared = stage.fuse(b, group, panel) if is_ahead else stage.fuse(b, *outer[:-1])
    stage.parallel(shared)
    if not conv.is_channels_last and conv.depth >= FETCHED_FROM:
        _fetch_result(stage, y, [shared, *repeats] if is_ahead else [shared, outer[-1]])
    return min(channels, conv.share), max(repeats, key=lambda loop: loop.extent)


def _fetch_panel(stage: Stage, packed: Tensor, step_bytes: int, repeat: IterVar) -> None:
    """Fetch the next panel while one is multiplied, a share of it in each iteration of ``repeat``.

    One line at a time, in the outermost loop of the sum that is frequent enough: each fetch computes its
    address, and parts what may be written out together.
    """
    axes = stage.op.reduce_axis
    for place, axis in enumerate(axes):
        steps = prod(inner.extent for inner in axes[place + 1 :])
        if axis is axes[-1] or steps * step_bytes <= LINE_BYTES * repeat.extent:
            ahead = prod(outer.extent for outer in axes[: place + 1])
            stage.prefetch(packed, axis, ahead, level=2, over=repeat)
            return


def _fetch_result(stage: Stage, result: Tensor, loops: Sequence[IterVar]) -> None:
    """Fetch the lines that a tile is stored to while its sums are computed.

    There is a short piece for each channel, further apart than prefetchers see, and stores that wait for
    lines hold up what is loaded behind them.
    """
    for loop in [loop for loop in loops if loop.extent > 1][-1:]:
        stage.prefetch(result, loop, 0, level=2)


def _hold(s: Schedule, held: Tensor) -> None:
    """Copy the sums of a tile into memory, from where a loop that is not written out finishes them."""
    *axes, last = s[held].op.axis
    for axis in axes:
        s[held].unroll(axis)
    s[held].vectorize(last)


def _split_row(
    stage: Stage, j: IterVar, phases: int, chosen: Tile, columns: int
) -> tuple[IterVar, list[IterVar]]:
    """A row in strips, all phases in each: the loop over strips, and those inside."""
    pixels = chosen.rows if chosen.is_across else columns
    if phases == 1:
        strip, j = stage.split(j, pixels, tail="shift_inwards")
        return strip, [j]
    group, phase = stage.split(j, phases)
    strip, group = stage.split(group, pixels // phases if chosen.is_across else pixels, tail="shift_inwards")
    return strip, [stage.fuse(group, phase)] if chosen.is_across else [phase, group]


def _compute_tile(s: Schedule, tile: Tensor, conv: Convolution, chosen: Tile, unroll_kw: int) -> None:
    """The reduction around, the tile inside it written out."""
    stage = s[tile]
    _, f, spatial = divide(conv.layout, stage.op.axis)
    if conv.phases > 1 and chosen.is_across:
        *rest, j = spatial
        if conv.places[-1] % conv.phases:
            stage.round_up(j)
        group, phase = stage.split(j, conv.phases)
        spatial = (*rest, group, phase)
    inside = [*spatial, f] if chosen.is_across else [f, *spatial]
    stage.reorder(*stage.op.reduce_axis, *inside)
    column = stage.op.reduce_axis[-1]
    stage.unroll(column, unroll_kw)
    if conv.has_uneven_taps:
        stage.loop_partition(column)
    for axis in inside[:-1]:
        stage.unroll(axis)
    stage.vectorize(inside[-1])
    if conv.groups == 1:
        stage.round_up(f)


def pack_weight(s: Schedule, weight: Tensor, tile: Tensor, channels: int, axis: int = 0) -> Tensor:
    """Copy the weight into panels of so many output channels, at the root: once where it is constant."""
    packed = s.pack(weight, tile, {axis: channels}, pad=True)
    axes = list(s[packed].op.axis)
    panel, inside = s[packed].split(axes.pop(axis), channels)
    s[packed].reorder(panel, *axes, inside)
    s[packed].vectorize(inside)
    s[packed].parallel(panel)
    return packed
