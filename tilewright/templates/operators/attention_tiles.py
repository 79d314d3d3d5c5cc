"""The register tiles of an attention: which there are, what they cost, and the untuned choice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product, starmap
from typing import Any, Literal

from tilewright.compiler.analysis.machine import Machine
from tilewright.compiler.target import Target
from tilewright.compiler.te.expr import BYTES
from tilewright.templates.analytic import (
    L2_VECTORS_PER_CYCLE,
    LOADS_SEEN,
    fits_registers,
    tile_cycles,
    turn_cycles,
)
from tilewright.templates.operators.attention_amx import default_amx, is_for_tiles
from tilewright.templates.operators.attention_words import parts_at_once
from tilewright.templates.operators.attention_workload import Attention

Lanes = Literal["queries", "keys"]

ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
VECTORS = (1, 2, 3, 4)
# Panels of keys in a block, 0 for one block of all keys; and tiles of queries that a block serves.
PANELS = (0, 1, 2, 4, 8, 16)
TILES = (1, 2, 4, 8, 16)
WIDE = (1, 2)
# Queries too few for their tile to repay a packed copy of the keys.
FEW = 4
# Passes over scores, for the greatest and the total; queries in the lanes spare them where tiles are whole.
PASSES = 2
# Of each half of the lanes that is joined to the other, with keys in them.
JOIN_CYCLES = 3
# What else keys in the lanes take, as measured: partial results pass through memory, tails are masked.
BY_KEYS = 1.05
# To test for each query in the lanes whether it sees a key.
TEST_CYCLES = 3


@dataclass(frozen=True, slots=True)
class Tile:
    """The register tiles of scores and of results.

    Attributes:
        lanes: what lies in the lanes of scores.
        rows: queries of a tile of scores; keys, where queries are in the lanes.
        vectors: of what is in the lanes.
        across: vectors of elements of a value in a tile of results, which has as many rows; with queries in
            the lanes so many elements as rows, by a vector of queries.
        wide: with queries in the lanes, the vectors of queries in a tile of results, which then has as many
            times fewer rows: two take fewer loads.
        parts: with queries in the lanes, the numbers that are multiplied at once.
    """

    lanes: Lanes
    rows: int
    vectors: int
    across: int
    wide: int = 1
    parts: int = 1

    def is_possible(self, attention: Attention, width: int, registers: int) -> bool:
        """Whether a workload has room for such tiles, of vectors ``width`` wide, and registers hold them."""
        if not _fits(self.rows, self.vectors, registers):
            return False
        if self.lanes == "queries":
            has_room = self.rows <= attention.n and self.vectors * width <= attention.m
            is_whole = self.vectors % self.wide == 0 and attention.d % (self.across * width // self.wide) == 0
            fits = _fits(self.across * width // self.wide, self.wide, registers)
            return has_room and fits and (is_whole or self.wide == 1)
        has_room = self.rows <= attention.m and (self.vectors - 1) * width < attention.n
        is_plain = self.wide == self.parts == 1
        return is_plain and has_room and _fits(self.rows, self.across, registers)

    def cycles(self, attention: Attention, width: int, machine: Machine) -> float:
        """Cycles of a head, powers left out, which are the same for all tiles."""
        rate = machine.vectors_per_cycle * (machine.dots if self.parts > 1 else 1.0)
        queries = self.vectors * width if self.lanes == "queries" else self.rows
        seen = attention.keys_seen(queries)
        work = self._by_queries if self.lanes == "queries" else self._by_keys
        # Keys and values come from the second cache for each tile of queries.
        read = LOADS_SEEN / L2_VECTORS_PER_CYCLE * 2 * seen * attention.d / width
        packed = 0.0 if self.lanes == "queries" else turn_cycles(attention.n, attention.d // width, width)
        return -(-attention.m // queries) * (work(attention, seen, width, rate) + read) + packed

    def _by_queries(self, attention: Attention, seen: int, width: int, fma_per_cycle: float) -> float:
        step = tile_cycles(self.rows, self.vectors, fma_per_cycle=fma_per_cycle)
        scores = -(-seen // self.rows) * -(-attention.d // self.parts) * step
        row = tile_cycles(self.across * width // self.wide, self.wide, fma_per_cycle=fma_per_cycle)
        sums = self.vectors * -(-attention.d // (self.across * width)) * -(-seen // self.parts) * row
        passes = (
            self.vectors * seen * (PASSES * bool(attention.n % self.rows) + TEST_CYCLES * attention.causal)
        )
        return scores + sums + passes + 2 * turn_cycles(attention.d, self.vectors, width)

    def _by_keys(self, attention: Attention, seen: int, width: int, fma_per_cycle: float) -> float:
        step = tile_cycles(self.rows, self.vectors, fma_per_cycle=fma_per_cycle)
        scores = -(-seen // (self.vectors * width)) * attention.d * step
        row = tile_cycles(self.rows, self.across, fma_per_cycle=fma_per_cycle)
        sums = -(-attention.d // (self.across * width)) * seen * row
        joins = JOIN_CYCLES * (width.bit_length() - 1)
        return BY_KEYS * (scores + sums + PASSES * self.rows * (seen / width + joins))


def _fits(rows: int, vectors: int, registers: int) -> bool:
    return rows == 1 or fits_registers(rows, vectors, registers)


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration: tiles that take the fewest cycles, blocks by caches."""
    attention = Attention.of(**arguments)
    if is_for_tiles(attention, target):
        return default_amx(attention, target)
    width, machine = target.lanes(BYTES[attention.sum]), Machine.of(target)
    tile = min(
        _tiles(attention, width, target),
        key=lambda tile: (tile.cycles(attention, width, machine), -tile.rows),
    )
    is_packed = tile.lanes == "queries" or attention.m >= FEW
    return {
        "lanes": tile.lanes,
        "rows": tile.rows,
        "vectors": tile.vectors,
        "across": tile.across,
        "wide": tile.wide,
        **({"parts": tile.parts} if len(parts_of(attention, target)) > 1 else {}),
        "pack": int(is_packed),
        "panels": _panels(attention, tile, width, target) if is_packed else 0,
        "tiles": 1,
        "prefetch": tile.lanes == "queries" and _streams(attention, tile, width, target),
    }


def _tiles(attention: Attention, width: int, target: Target) -> Iterator[Tile]:
    """The tiles to choose from: scores and powers of one stay near the core, or keys come in blocks."""
    choices = (
        lanes_of(attention, width),
        ROWS,
        VECTORS,
        vectors_of(attention.d, width),
        WIDE,
        parts_of(attention, target),
    )
    for tile in starmap(Tile, product(*choices)):
        scores = 2 * attention.n * tile.vectors * width * BYTES[attention.sum]
        is_kept = tile.lanes == "keys" or scores <= 2 * target.l2_bytes
        if is_kept and tile.is_possible(attention, width, target.vector_registers):
            yield tile


def _streams(attention: Attention, tile: Tile, width: int, target: Target) -> bool:
    """Whether the values of a head and a tile's powers are more than the first cache holds."""
    return attention.n * (attention.d + tile.vectors * width) * BYTES[attention.sum] > target.l1_bytes


def _panels(attention: Attention, tile: Tile, width: int, target: Target) -> int:
    """Panels of keys in a block: none where what a tile of queries goes through takes half the second cache.

    Else its scores and their powers may leave it while keys and values stream through: those of a block stay
    in the first cache.
    """
    item, n, columns = BYTES[attention.sum], attention.n, tile.vectors * width
    if tile.lanes == "queries" or 2 * n * (attention.d + tile.rows) * item <= target.l2_bytes // 2:
        return 0
    fitting = [p for p in PANELS if p * columns < n and 2 * p * columns * tile.rows * item <= target.l1_bytes]
    return fitting[-1]


def lanes_of(attention: Attention, width: int) -> list[Lanes]:
    """What may lie in the lanes of scores: queries where they fill a vector."""
    return ["keys", "queries"] if attention.m >= width else ["keys"]


def vectors_of(extent: int, width: int) -> list[int]:
    """How many vectors an extent has room for."""
    return [v for v in VECTORS if v == 1 or (v - 1) * width < extent]


def parts_of(attention: Attention, target: Target) -> list[int]:
    """How many numbers may be multiplied at once."""
    return sorted({1, parts_at_once(attention, target)}, reverse=True)


def may_block(lanes: Lanes, pack: int, panels: int, tiles: int) -> bool:
    """Whether keys can be taken by so many panels, and these serve so many tiles; 0 panels are all keys."""
    if not panels:
        return tiles == 1 and (pack == 1 or lanes == "keys")
    return lanes == "keys" and pack == 1


def has_whole_blocks(
    attention: Attention, width: int, rows: int, vectors: int, panels: int, tiles: int
) -> bool:
    """Whether there are more keys than so many panels have, and queries for so many tiles."""
    return not panels or (panels * vectors * width < attention.n and rows * tiles <= attention.m)
