"""The knobs of Winograd's convolution, and what is chosen untuned: from registers, caches and work."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tilewright.compiler.target import Target
from tilewright.templates.analytic import (
    L2_SHARE,
    LOADS_PER_CYCLE,
    LOADS_SEEN,
    RegisterTile,
    cover_cycles,
    fits_registers,
)
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.operators.convolution import Convolution
from tilewright.templates.operators.winograd_stages import Blocks
from tilewright.templates.operators.winograd_transforms import ALGORITHMS

ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 16, 20, 24, 28)
VECTORS = (1, 2, 3, 4, 6)
TILES = (4, 7, 8, 14, 16, 28, 32, 49, 64, 98)
# Steps of the reduction by which the transformed weight is fetched ahead.
AHEAD = (0, 32, 64, 128)
# What a core reads at once from the third cache, and from memory, while it computes.
L3_BYTES_PER_CYCLE = 16
MEMORY_BYTES_PER_CYCLE = 8
# Reads and writes of a vector by the transforms of a tile, for each of its points.
TRANSFORM_ACCESSES = 7


def applies(conv: Convolution) -> bool:
    """Whether the algorithms can do a convolution: two dimensions, 3x3, stride 1, dilation 1, one group."""
    window = conv.window
    is_dense = (window.stride, window.dilation, conv.groups) == ((1, 1), (1, 1), 1)
    return is_dense and window.kernel == (3, 3)


def error_bound(conv: Convolution, name: str) -> float:
    """What an algorithm may lose to rounding, as a share of the greatest output: see ``Algorithm.error``.

    Beyond 512 channels it grows with the square root of their number, as the sums' own error does.
    """
    eps = float(np.finfo(conv.dtype).eps / np.finfo("float32").eps)
    return ALGORITHMS[name].error * eps * math.sqrt(max(1.0, conv.c / 512))


def define_space(cfg: TemplateConfig, conv: Convolution) -> None:
    """The knobs, the same for all algorithms.

    ``tiles``: about so many make a block; ``tile_rows`` of them by ``tile_vectors`` vectors of output
    channels are a register tile; ``ahead``: steps by which the weight is fetched ahead.
    """
    registers, lanes = cfg.target.vector_registers, cfg.target.lanes(conv.item)
    cfg.define_knob("tiles", list(TILES))
    cfg.define_knob("tile_rows", list(ROWS))
    cfg.define_knob("tile_vectors", _widths(conv, lanes))
    cfg.define_knob("ahead", list(AHEAD))
    cfg.constrain(("tile_rows", "tile_vectors"), lambda r, v: fits_registers(r.val, v.val, registers))
    cfg.constrain(("tiles", "tile_rows"), lambda t, r: r.val <= t.val)


def _widths(conv: Convolution, lanes: int) -> list[int]:
    return [v for v in VECTORS if v <= -(-conv.o // lanes)]


def default(target: Target, threads: int, conv: Convolution, name: str) -> dict[str, Any]:
    """The untuned knobs of an algorithm: those that should take the fewest cycles."""
    _, tiles, tile = min(_options(target, threads, conv, name), key=lambda option: option[0])
    return {"tiles": tiles, "tile_rows": tile.rows, "tile_vectors": tile.vectors, "ahead": 64}


def estimate(target: Target, threads: int, conv: Convolution, name: str) -> float:
    """Cycles that an algorithm should take with its untuned knobs, in the measure of ``cover_cycles``."""
    return min(option[0] for option in _options(target, threads, conv, name))


def _options(
    target: Target, threads: int, conv: Convolution, name: str
) -> Iterator[tuple[float, int, RegisterTile]]:
    """Blocks and register tiles, with the cycles of a thread."""
    lanes, registers = target.lanes(conv.item), target.vector_registers
    widths = _widths(conv, lanes)
    # A width that divides the vectors of channels leaves no tail, and half the code.
    widths = [v for v in widths if -(-conv.o // lanes) % v == 0]
    for tiles in TILES:
        blocks = Blocks.of(conv, ALGORITHMS[name].outputs, tiles, lanes)
        sizes = itertools.product([r for r in ROWS if r <= min(tiles, blocks.tiles)], widths)
        shapes = [RegisterTile(*size) for size in sizes if fits_registers(*size, registers)]
        for tile in shapes:
            yield _cycles(target, threads, conv, blocks, tile), tiles, tile


def _cycles(target: Target, threads: int, conv: Convolution, blocks: Blocks, tile: RegisterTile) -> float:
    item, points = conv.item, (blocks.m + 2) ** 2
    lanes = target.lanes(item)
    inputs, outputs = -(-conv.c // lanes), -(-conv.o // lanes)
    panels = -(-outputs // tile.vectors)
    arithmetic = points * cover_cycles(tile, blocks.tiles, outputs, conv.c)
    weight = points * conv.c * conv.o * item
    image = points * blocks.tiles * conv.c * item
    room = L2_SHARE * target.l2_bytes
    # The weight is fetched ahead, in order; the tiles of an image are not, and are waited for.
    traffic, waits = _fetch(weight, room - image, target), _fetch(image, room, target) * panels
    transforms = TRANSFORM_ACCESSES * points * blocks.tiles * (inputs + outputs) / 2 / LOADS_PER_CYCLE
    # A vector is read and written once more on the way in and out; one shuffle a halving turns it around.
    copies = 2 / LOADS_PER_CYCLE + (0 if conv.is_channels_last else math.log2(lanes))
    pixels = blocks.tiles * blocks.m**2
    transforms += pixels * ((inputs + outputs) * copies + inputs)
    shares = {"batch": blocks.batches, "block": blocks.down * blocks.across, "panel": panels}
    units = shares[blocks.shared_by(threads)]
    share = -(-units // threads) / units
    products = max(arithmetic, traffic) + LOADS_SEEN * min(arithmetic, traffic) + waits
    return blocks.count * share * (products + transforms)


def _fetch(size: int, room: float, target: Target) -> float:
    """Cycles to read so much once more, where so much stays in the second cache."""
    if size <= room:
        return 0.0
    return size / (L3_BYTES_PER_CYCLE if size <= target.l3_bytes else MEMORY_BYTES_PER_CYCLE)
