"""Cache lines that come from one level of the memory hierarchy into the next, by footprints.

The outermost loop whose body's working set fits a cache decides: what the body touches stays there from one
iteration to the next, so that all of the loop's distinct lines come once; loops further out bring them again.
The method is that of Hong and Kung's and of all later tile size models; see Wolf and Lam, A Data Locality
Optimizing Algorithm, 1991.
"""

from __future__ import annotations

from math import gcd

from tilewright.compiler.analysis.accesses import Footprint
from tilewright.compiler.analysis.machine import LINE_BYTES, Cache
from tilewright.compiler.analysis.straight_line import Piece
from tilewright.compiler.analysis.working_sets import History, WorkingSet

# Between these shares of a cache's size a working set fits less and less.
FITS_BELOW, FITS_NOT_ABOVE = 0.6, 1.4


def fitting_share(occupied: float) -> float:
    """How much of a working set stays in a cache of which it occupies a share: 1 all of it, 0 nothing."""
    return min(1.0, max(0.0, (FITS_NOT_ABOVE - occupied) / (FITS_NOT_ABOVE - FITS_BELOW)))


def occupancy(found: WorkingSet, cache: Cache, is_indexed_by_address: bool) -> float:
    """The share of a cache that a working set needs, more than 1 where it does not fit.

    Stretches whose distance is a multiple of what a way holds share sets. They count so in the first level,
    whose sets addresses choose; in others it is pages, which lie anywhere.
    """
    share = found.size_bytes / cache.size_bytes
    if is_indexed_by_address:
        share = max(share, max((_stacked(f, cache) for f in found.footprints), default=0.0))
    return share


def _stacked(touched: Footprint, cache: Cache) -> float:
    """How many stretches come together in a set, as a share of its ways, where they are more than those."""
    if touched.stride_bytes < LINE_BYTES or touched.stretches <= cache.ways:
        return 0.0
    way = cache.size_bytes // cache.ways
    places = way // gcd(way, int(touched.stride_bytes))
    stacked = touched.stretches / max(1, places)
    return stacked / cache.ways if stacked > cache.ways and touched.run_bytes < way else 0.0


def lines_missed(
    piece: Piece, history: History, sets: dict[tuple[int, ...], WorkingSet], cache: Cache, level: int
) -> float:
    """The lines of an access that come into a cache in one call of many, which begin with what is left there."""
    path = tuple(map(id, piece.loops))
    footprints = history.footprints
    lines = footprints[-1].lines
    for depth in range(len(path), 0, -1):
        repeated = max(1.0, piece.loops[depth - 1].trips) * lines
        stays = fitting_share(occupancy(sets[path[:depth]], cache, level == 0))
        lines = min(repeated, stays * footprints[depth - 1].lines + (1 - stays) * repeated)
    return lines * (1 - fitting_share(occupancy(sets[()], cache, level == 0)))
