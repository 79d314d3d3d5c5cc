"""How much memory one iteration of each loop touches, all of its stores together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tilewright.compiler.analysis.footprint import Footprint, footprint
from tilewright.compiler.analysis.machine import LINE_BYTES, LONGEST_FORESEEN_STEP
from tilewright.compiler.analysis.sites import Loop
from tilewright.compiler.analysis.straight_line import Piece, Touch
from tilewright.compiler.ir.loops import Buffer

# The loops around a body, by identity; none: the whole call.
Path = tuple[int, ...]


@dataclass(slots=True, eq=False)
class History:
    """What an access touches while more and more of the loops around it run.

    ``footprints[d]`` is that of all loops from depth ``d`` on; the last one that of the straight-line code.
    ``surprises`` is the share of the lines that no prefetcher foresees.
    """

    touch: Touch
    footprints: tuple[Footprint, ...]
    surprises: float


@dataclass(slots=True)
class WorkingSet:
    """What is touched within a loop's body: of each buffer the most that an access touches."""

    lines: dict[Buffer, float] = field(default_factory=dict)
    pages: dict[Buffer, float] = field(default_factory=dict)
    scattered: list[Footprint] = field(default_factory=list)

    def add(self, buffer: Buffer, touched: Footprint) -> None:
        """Take an access into account."""
        self.lines[buffer] = max(self.lines.get(buffer, 0.0), touched.lines)
        self.pages[buffer] = max(self.pages.get(buffer, 0.0), touched.pages)
        if touched.repeats:
            self.scattered.append(touched)


def path_of(loops: Sequence[Loop]) -> Path:
    """The name of the place inside some loops."""
    return tuple(map(id, loops))


def histories(piece: Piece) -> list[History]:
    """The footprints of a piece's accesses at each depth; those to the same place once."""
    found: dict[object, History] = {}
    for touch in piece.touches:
        access = touch.access
        place = frozenset((step, id(atom)) for step, atom in access.terms)
        name = (access.buffer, access.is_write, place)
        if name not in found:
            footprints = _footprints(touch, piece.loops)
            found[name] = History(touch, footprints, _surprises(touch, piece.loops, footprints[-1]))
    return list(found.values())


def _footprints(touch: Touch, loops: Sequence[Loop]) -> tuple[Footprint, ...]:
    access, trips = touch.access, dict(touch.trips)
    current = footprint(access, trips)
    result = [current]
    for loop in reversed(loops):
        trips[loop.var] = max(1.0, loop.trips)
        if loop.var in access.variables and loop.trips > 1:
            current = footprint(access, trips)
        result.append(current)
    return tuple(reversed(result))


def _surprises(touch: Touch, loops: Sequence[Loop], written_out: Footprint) -> float:
    """The share of lines that come unforeseen: one a stretch, where stretches follow each other far apart."""
    access, run = touch.access, written_out.run_bytes
    moving = next((loop for loop in reversed(loops) if loop.var in access.variables and loop.trips > 1), None)
    if moving is None:
        return 0.0
    step = access.stride(moving.var)
    is_near = step is not None and abs(step) * access.size_bytes <= max(run, LONGEST_FORESEEN_STEP)
    return 0.0 if is_near else min(1.0, LINE_BYTES / run)


def working_sets(pieces: Sequence[tuple[Piece, list[History]]]) -> dict[Path, WorkingSet]:
    """What one iteration of each loop touches, by the loops around its body."""
    found: dict[Path, WorkingSet] = defaultdict(WorkingSet)
    for piece, accesses in pieces:
        path = path_of(piece.loops)
        places = [found[path[:depth]] for depth in range(len(path) + 1)]
        for history in accesses:
            buffer = history.touch.access.buffer
            for place, touched in zip(places, history.footprints, strict=True):
                place.add(buffer, touched)
    return dict(found)
