"""Straight-line code: the stores that run one after another, without a loop between, as one piece.

Unrolled loops and lanes are written out in it. What runs again and again is such a piece, so it is what a
core's ports, its registers and the chains of dependent instructions are held against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from tilewright.compiler.analysis.accesses import Access, AddressBook
from tilewright.compiler.analysis.instructions import Counter, Instructions
from tilewright.compiler.analysis.machine import Machine
from tilewright.compiler.analysis.registers import operand_registers, tile_registers
from tilewright.compiler.analysis.sites import Loop, Site
from tilewright.compiler.analysis.tile import Tile
from tilewright.compiler.ir.loops import Buffer, LoopKind
from tilewright.compiler.ir.visit import walk
from tilewright.compiler.te.expr import BYTES, Load, Var

# Sums that LLVM keeps apart in a loop that it vectorizes itself.
INTERLEAVED = 4.0
# From a store to a load of the same element.
FORWARDING_CYCLES = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Touch:
    """An access to memory in straight-line code.

    Attributes:
        trips: the iterations of the straight-line loops around it.
        share: the share of the visits in which it takes place.
        lane_stride: elements between two lanes; 0 where there are no lanes, None where they lie anywhere.
    """

    access: Access
    trips: dict[Var, float]
    share: float
    lane_stride: int | None


@dataclass(slots=True, eq=False)
class Piece:
    """What is executed each time around the innermost loop that stays one.

    Attributes:
        loops: those around it that stay loops, or copy it, outermost first.
        visits: how often it is executed in a call.
        touches: what it accesses in memory.
        chain_cycles: the longest time from an accumulator to itself, one time around.
        is_carried: whether that chain goes on the next time around.
        accumulators: registers that hold tiles.
        live: registers that are needed at the same time.
        lanes: lanes that do work in a vector, on average.
        copies: how often the largest store is written out, and how many vectors wide it is.
    """

    loops: tuple[Loop, ...]
    visits: float
    instructions: Instructions = field(default_factory=Instructions)
    touches: list[Touch] = field(default_factory=list)
    chain_cycles: float = 0.0
    is_carried: bool = False
    accumulators: float = 0.0
    live: float = 0.0
    lanes: float = 1.0
    copies: tuple[float, float] = (1.0, 1.0)

    @property
    def trips(self) -> float:
        """The iterations of the innermost loop each time that it is come to."""
        return self.loops[-1].trips if self.loops else 1.0


def find_pieces(sites: Sequence[Site], machine: Machine) -> list[Piece]:
    """The straight-line pieces of a nest, in order."""
    groups: dict[tuple[int, ...], list[Site]] = {}
    for site in sites:
        groups.setdefault(tuple(map(id, site.loops[: site.depth])), []).append(site)
    book = AddressBook()
    return [_piece(group, machine, book) for group in groups.values()]


def _piece(sites: Sequence[Site], machine: Machine, book: AddressBook) -> Piece:
    loops = sites[0].loops[: sites[0].depth]
    automatic = _automatic_lanes(sites, machine, book)
    piece = Piece(loops, prod(loop.trips for loop in loops) / automatic)
    held: dict[Buffer, float] = {}
    operands = 1.0
    for site in sites:
        tile = _tile(site, automatic)
        counter = Counter(machine, book, tile)
        piece.instructions.add(counter.count(site.store), site.share)
        _note_shape(piece, tile, machine, BYTES[site.store.buffer.dtype])
        if site.store.update:
            begins = any(s.store.buffer is site.store.buffer and not s.store.update for s in sites)
            _follow_chain(piece, tile, counter.accesses[-1], machine, automatic > 1, begins)
        within = {**tile.copies, **({} if tile.lane is None else {tile.lane: tile.width})}
        for access in counter.accesses:
            if tile.is_in_registers(access):
                needed = tile_registers(access, tile, machine)
                held[access.buffer] = max(held.get(access.buffer, 0.0), needed)
            else:
                stride = 0 if tile.lane is None else access.stride(tile.lane)
                piece.touches.append(Touch(access, within, site.share, stride))
        operands = max(operands, operand_registers(counter.accesses, tile, machine))
    piece.accumulators = sum(held.values())
    piece.live = piece.accumulators + operands
    return piece


def _tile(site: Site, automatic: float) -> Tile:
    """The straight-line loops around a store."""
    rolled, written = site.loops[: site.depth], site.loops[site.depth :]
    lanes = next((loop for loop in reversed(written) if loop.is_lanes and loop.trips > 1), None)
    copies = {loop.var: loop.trips for loop in written if loop is not lanes and loop.trips != 1}
    fixed = frozenset(loop.var for loop in rolled)
    peeled = [loop for loop in rolled if loop.is_peeled]
    border = min(1.0, 2 / max(1.0, peeled[0].trips)) if peeled else 1.0
    lane, widths = (lanes.var, lanes.cases) if lanes else (None, ((1.0, 1.0),))
    if automatic > 1:
        lane, widths = rolled[-1].var, ((automatic, 1.0),)
    return Tile(copies, lane, widths, fixed, frozenset(loop.var for loop in peeled), border)


def _automatic_lanes(sites: Sequence[Site], machine: Machine, book: AddressBook) -> float:
    """How many iterations of a plain innermost loop LLVM does at once; 1 where it does not vectorize."""
    depth = sites[0].depth
    loop = sites[0].loops[depth - 1] if depth else None
    if loop is None or loop.kind is not LoopKind.SERIAL or not loop.is_innermost:
        return 1.0
    if any(len(site.loops) > depth or site.conditions for site in sites):
        return 1.0
    reads = [book.read(n) for s in sites for n in walk(s.store.value) if isinstance(n, Load)]
    writes = [book.write(site.store) for site in sites]
    if any(access.stride(loop.var) not in (0, 1) for access in (*reads, *writes)):
        return 1.0
    size = max(BYTES[site.store.buffer.dtype] for site in sites)
    return max(1.0, min(loop.trips, machine.vector_bits / 8 / size))


def _note_shape(piece: Piece, tile: Tile, machine: Machine, size_bytes: int) -> None:
    shape = prod(tile.copies.values()), tile.vectors(machine.vector_bits, size_bytes)
    if prod(shape) >= prod(piece.copies):
        piece.copies = shape
        piece.lanes = tile.width / shape[1]


def _follow_chain(
    piece: Piece, tile: Tile, target: Access, machine: Machine, is_interleaved: bool, begins: bool
) -> None:
    """Take note of how long an accumulation takes to come back to its element; ``begins``: it begins here."""
    steps = prod(count for var, count in tile.copies.items() if var not in target.variables)
    latency = machine.latency if tile.is_in_registers(target) else machine.latency + FORWARDING_CYCLES
    if is_interleaved:
        latency = machine.latency / INTERLEAVED
    innermost = piece.loops[-1].var if piece.loops else None
    piece.chain_cycles = max(piece.chain_cycles, steps * latency)
    is_carried = innermost is not None and innermost not in target.variables and not begins
    piece.is_carried = piece.is_carried or is_carried
