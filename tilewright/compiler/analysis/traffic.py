"""Cache lines that come from one level of the memory hierarchy into the next, by footprints.

The outermost loop whose body's working set fits a cache decides: what the body touches stays there from one
iteration to the next, so that all of the loop's distinct lines come once; loops further out bring them again.
See Wolf and Lam, A Data Locality Optimizing Algorithm, 1991. Pages and address translation are alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gcd

from tilewright.compiler.analysis.footprint import Footprint
from tilewright.compiler.analysis.machine import LINE_BYTES, Cache
from tilewright.compiler.analysis.straight_line import Piece
from tilewright.compiler.analysis.working_sets import History, Path, WorkingSet, path_of

# Between these shares of a cache's size a working set fits less and less.
FITS_BELOW, FITS_NOT_ABOVE = 0.6, 1.4
# How much of the working set of each place stays in each cache.
Residency = dict[Path, tuple[float, ...]]


def residency(sets: Mapping[Path, WorkingSet], caches: Sequence[Cache]) -> Residency:
    """How much of each working set stays in each cache: 1 all of it, 0 nothing."""
    return {
        path: tuple(_fitting(occupancy(found, cache)) for cache in caches) for path, found in sets.items()
    }


def _fitting(occupied: float) -> float:
    return min(1.0, max(0.0, (FITS_NOT_ABOVE - occupied) / (FITS_NOT_ABOVE - FITS_BELOW)))


def occupancy(found: WorkingSet, cache: Cache) -> float:
    """The share of a cache that a working set needs, more than 1 where it does not fit.

    Stretches whose distance is a multiple of what a way holds share sets.
    """
    if cache.block_bytes != LINE_BYTES:
        return sum(found.pages.values()) * cache.block_bytes / cache.size_bytes
    share = sum(found.lines.values()) * LINE_BYTES / cache.size_bytes
    return max(share, max((_stacked(f, cache) for f in found.scattered), default=0.0))


def _stacked(touched: Footprint, cache: Cache) -> float:
    """How many stretches come together in a set, as a share of its ways, where they are more than those."""
    way = cache.size_bytes // cache.ways
    lines = max(1.0, touched.run_bytes / LINE_BYTES)
    stretches, places = 1.0, lines
    for unit, count in touched.repeats:
        stretches *= count
        places *= min(count, way // gcd(way, int(unit)))
    stacked = stretches * lines / min(places, way / LINE_BYTES)
    return stacked / cache.ways if stacked > cache.ways else 0.0


def blocks_missed(piece: Piece, history: History, stays: Residency, level: int, is_paged: bool) -> float:
    """The lines, or pages, of an access that come into a cache in one call of many in a row."""
    path = path_of(piece.loops)
    blocks = [f.pages if is_paged else f.lines for f in history.footprints]
    missed = blocks[-1]
    for depth in range(len(path), 0, -1):
        repeated = max(1.0, piece.loops[depth - 1].trips) * missed
        kept = stays[path[:depth]][level]
        missed = min(repeated, kept * blocks[depth - 1] + (1 - kept) * repeated)
    return missed * (1 - stays[()][level])
