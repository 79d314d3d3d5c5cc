"""Untuned choices from a machine's registers and caches, without measuring.

The rules are those of analytical GEMM models (Low et al., "Analytical Modeling Is Enough for High-Performance
BLIS", ACM TOMS 43(2), 2016): a register tile that keeps the multiply-add units busy, and blocks whose working
sets fit the caches that they stream from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tilewright.compiler.target import Target

# Latency and throughput of a multiply-add, and loads a cycle, on the x86-64 and AArch64 cores of this decade.
FMA_LATENCY = 4
FMA_PER_CYCLE = 2
LOADS_PER_CYCLE = 2
# Vectors that the second cache delivers a cycle: a panel of B seldom fits the first.
L2_VECTORS_PER_CYCLE = 0.375
# Share of the loads that is not hidden behind the arithmetic.
LOADS_SEEN = 0.15
# Cycles beside the arithmetic: reading and writing C, and the loop around, for each register tile.
TILE_OVERHEAD = 12
L2_SHARE = 0.6
L1_SHARE = 0.7
PACKED_SHARE = 0.5
PACKED_FROM = 0.125
PACKED_ROWS = 128
# Rows, from which on a matrix is copied whose own rows collide in the caches.
COLLIDING_ROWS = 24
# Lines so far apart are of one set of a first cache of eight ways and 32 KiB, or of twelve and 48.
SET_BYTES = 4096


@dataclass(frozen=True, slots=True)
class RegisterTile:
    """A tile of ``rows`` by ``vectors`` vectors of accumulators."""

    rows: int
    vectors: int


def fits_registers(rows: int, vectors: int, registers: int) -> bool:
    """Whether accumulators, a row of vectors and one broadcast value fit."""
    return rows * vectors + vectors + 1 <= registers


def tile_cycles(rows: int, vectors: int, phases: int = 1, *, fma_per_cycle: float = FMA_PER_CYCLE) -> float:
    """Cycles of one step of a tile's reduction: the slowest of arithmetic, loads and latency, and a bit.

    With ``phases`` so many neighbouring rows share a broadcast value, and have vectors of their own each.
    """
    arithmetic = rows * vectors / fma_per_cycle
    loads = (rows / phases + vectors * phases) / LOADS_PER_CYCLE
    panel = vectors * phases / L2_VECTORS_PER_CYCLE
    return max(arithmetic, loads, panel, FMA_LATENCY) + LOADS_SEEN * loads


def turn_cycles(rows: int, vectors: int, lanes: int) -> float:
    """Cycles to turn a tile around in registers: log2(lanes) shuffles for each vector of a square block."""
    return -(-rows // lanes) * vectors * lanes * (lanes.bit_length() - 1)


def even_parts(extent: int) -> list[int]:
    """The sizes that cut an extent into equal parts, the last of them perhaps smaller."""
    return sorted({-(-extent // parts) for parts in range(1, extent + 1)})


def cover_cycles(tile: RegisterTile, rows: int, vectors: int, depth: int) -> float:
    """Cycles to cover a matrix of ``rows`` by ``vectors`` with tiles, tails included."""
    total = 0.0
    for height, down in _pieces(rows, tile.rows):
        for width, across in _pieces(vectors, tile.vectors):
            total += down * across * (depth * tile_cycles(height, width) + TILE_OVERHEAD + height * width)
    return total


def _pieces(extent: int, size: int) -> list[tuple[int, int]]:
    """Sizes and counts: the whole tiles, and the tail."""
    whole, tail = divmod(extent, size)
    return [(s, c) for s, c in ((size, whole), (tail, 1)) if s and c]


def choose_register_tile(
    rows: int,
    columns: int,
    depth: int,
    lanes: int,
    registers: int,
    heights: Iterable[int],
    widths: Iterable[int],
) -> RegisterTile:
    """The tile that covers the output in the fewest cycles, the most reuse deciding ties."""
    vectors = -(-columns // lanes)
    widths = list(widths)
    tiles = [RegisterTile(h, w) for h in heights for w in widths if fits_registers(h, w, registers)]
    return min(
        tiles,
        key=lambda t: (
            round(cover_cycles(t, rows, vectors, depth)),
            -t.rows * t.vectors / (t.rows + t.vectors),
        ),
    )


def choose_depth(
    depth: int, block_rows: int, block_columns: int, tile_rows: int, item: int, target: Target
) -> int:
    """The reduction's block: all of it where the blocks fit the caches, else the fewest equal parts."""
    parts = 1
    while parts < depth:
        size = -(-depth // parts)
        level2 = (block_rows + block_columns) * size * item <= L2_SHARE * target.l2_bytes
        level1 = tile_rows * size * item <= L1_SHARE * target.l1_bytes
        if level1 and level2:
            return size
        parts += 1
    return 1


def fits_level2(depth: int, rows: int, item: int, target: Target) -> bool:
    """Whether so many rows of a whole reduction stay in the second cache."""
    return depth * rows * item <= L2_SHARE * target.l2_bytes


def choose_columns(depth: int, item: int, target: Target) -> int:
    """Columns of a packed block that stays in the second cache while rows stream past it."""
    return max(1, int(PACKED_SHARE * target.l2_bytes) // (depth * item))


def pays_packing(rows: int, depth: int, columns: int, item: int, target: Target) -> bool:
    """Whether copying a matrix costs less than reading it in place: it is large, and read by many rows.

    Fewer suffice where its own rows, a power of two or whole pages apart, drive each other out of the caches.
    """
    size, apart = depth * columns * item, columns * item
    if size < PACKED_FROM * target.l2_bytes:
        return False
    collides = apart % SET_BYTES == 0 or (apart % (SET_BYTES // 2) == 0 and size > target.l2_bytes)
    return rows >= COLLIDING_ROWS if collides else rows > PACKED_ROWS


def nearest(values: Iterable[int], wanted: int) -> int:
    """The least value that reaches ``wanted``, else the greatest."""
    ordered = sorted(values)
    return next((v for v in ordered if v >= wanted), ordered[-1])
