"""How much memory one iteration of each loop touches, all of its stores together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tilewright.compiler.analysis.accesses import Access, Footprint, footprint
from tilewright.compiler.analysis.machine import LINE_BYTES
from tilewright.compiler.analysis.sites import Loop
from tilewright.compiler.analysis.straight_line import Piece, Touch
from tilewright.compiler.ir.loops import Buffer


@dataclass(slots=True, eq=False)
class History:
    """What an access touches while more and more of the loops around it run.

    ``footprints[d]`` is that of all loops from depth ``d`` on; the last one that of the straight-line code.
    """

    touch: Touch
    footprints: tuple[Footprint, ...]


@dataclass(slots=True)
class WorkingSet:
    """What is touched within a loop's body: bytes of each buffer, and the stretches that share cache sets."""

    bytes_of: dict[Buffer, float] = field(default_factory=dict)
    footprints: list[Footprint] = field(default_factory=list)

    @property
    def size_bytes(self) -> float:
        """Bytes of all buffers together."""
        return sum(self.bytes_of.values())


def histories(piece: Piece) -> list[History]:
    """The footprints of a piece's accesses at each depth; those to the same place once."""
    found: dict[object, History] = {}
    for touch in piece.touches:
        name = (touch.access.buffer, touch.access.is_write, _shape(touch.access))
        if name not in found:
            found[name] = History(touch, _footprints(touch, piece.loops))
    return list(found.values())


def _shape(access: Access) -> tuple[tuple[int, int], ...]:
    return tuple(sorted((step, id(atom)) for step, atom in access.terms))


def _footprints(touch: Touch, loops: Sequence[Loop]) -> tuple[Footprint, ...]:
    access, trips = touch.access, dict(touch.trips)
    current = footprint(access, trips, LINE_BYTES)
    result = [current]
    for loop in reversed(loops):
        trips[loop.var] = max(1.0, loop.trips) * trips.get(loop.var, 1.0)
        if loop.var in access.variables and loop.trips > 1:
            current = footprint(access, trips, LINE_BYTES)
        result.append(current)
    return tuple(reversed(result))


def working_sets(pieces: Sequence[tuple[Piece, list[History]]]) -> dict[tuple[int, ...], WorkingSet]:
    """What one iteration of each loop touches, by the loops around its body; ``()`` is the whole call."""
    found: dict[tuple[int, ...], WorkingSet] = defaultdict(WorkingSet)
    for piece, accesses in pieces:
        path = tuple(map(id, piece.loops))
        for history in accesses:
            buffer = history.touch.access.buffer
            for depth, touched in enumerate(history.footprints):
                place = found[path[:depth]]
                size = touched.lines * LINE_BYTES
                place.bytes_of[buffer] = max(place.bytes_of.get(buffer, 0.0), size)
                place.footprints.append(touched)
    return found


