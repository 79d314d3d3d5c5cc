"""An estimate of how long a loop nest takes: counted instructions and cache lines against a core's rates.

A roofline for each piece of straight-line code: the slowest of the ports, of the chain of dependent
instructions and of the levels of the memory hierarchy bounds it, and the others add a little, since they
overlap imperfectly. No number in it belongs to an operator or an extent.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil, log

from tilewright.compiler.analysis.machine import LINE_BYTES, Cache, Machine
from tilewright.compiler.analysis.sites import Loop, find_sites
from tilewright.compiler.analysis.straight_line import Piece, find_pieces
from tilewright.compiler.analysis.traffic import Residency, blocks_missed, residency
from tilewright.compiler.analysis.working_sets import (
    History,
    Path,
    WorkingSet,
    histories,
    path_of,
    working_sets,
)
from tilewright.compiler.ir.loops import LoopKind, LoopNest
from tilewright.compiler.target import Target

# What bounds are added with: of two equal ones the sum is a fifth more than either.
OVERLAP_EXPONENT = 4.0
# To come to a loop, and to leave it after more iterations than a branch predictor remembers.
LOOP_ENTRY_CYCLES, LOOP_EXIT_CYCLES, REMEMBERED_TRIPS = 1.0, 16.0, 32.0
# The count, the comparison and the jump of a loop, and an address that is kept up.
LOOP_INSTRUCTIONS = 3.0
# To hand iterations to other threads, and to wait for them.
PARALLEL_CYCLES = 8000.0
# Stores, and as many loads, for each register too many: what is needed soon is put away too.
SPILL_STORES = 2.0
# Lines that are written are read before, and go back.
WRITE_WEIGHT = 2.0


@dataclass(frozen=True, slots=True)
class PieceCost:
    """The cycles of one piece of straight-line code in a call, by what bounds them.

    Attributes:
        accesses: what it touches in memory at each depth of its loops.
        ports: by execution ports and the rate of instructions.
        chain: by dependent instructions.
        entries: to come to its loop and to leave it.
        memory: by lines and pages that come into each cache, in the order of the machine's.
        misses: these lines, and pages.
        spilled: registers too many.
    """

    piece: Piece
    accesses: tuple[History, ...]
    ports: float
    chain: float
    entries: float
    memory: tuple[float, ...]
    misses: tuple[float, ...]
    spilled: float

    @property
    def cycles(self) -> float:
        """All of them together, by itself."""
        return _joined((max(self.ports, self.chain), *self.memory)) + self.entries


@dataclass(frozen=True, slots=True)
class NestCost:
    """The pieces of a nest with their cycles, and what a call takes in all."""

    pieces: tuple[PieceCost, ...]
    working_sets: dict[Path, WorkingSet]
    machine: Machine
    cycles: float

    @property
    def log_cycles(self) -> float:
        """The natural logarithm of the cycles of one call."""
        return log(max(self.cycles, 1.0))


def estimate_cost(
    nest: LoopNest, target: Target, threads: int = 1, constants: Collection[str] = ()
) -> NestCost:
    """What a call of a lowered nest takes; stages that depend on ``constants`` alone are done ahead."""
    machine = Machine.of(target)
    pieces = find_pieces(find_sites(nest, constants), machine)
    touched = [(piece, histories(piece)) for piece in pieces]
    sets = working_sets(touched)
    stays = residency(sets, machine.caches)
    costs = [_piece_cost(piece, accesses, stays, machine) for piece, accesses in touched]
    cycles = sum(_bounded(group, threads) for group in _overlapping(costs))
    return NestCost(tuple(costs), sets, machine, cycles + _launches(pieces, threads) * PARALLEL_CYCLES)


def _overlapping(costs: Sequence[PieceCost]) -> list[list[PieceCost]]:
    """The pieces in groups that overlap: what lies directly around a loop is executed while that goes on.

    Such are the beginning and the end of a tile, which are too short to be waited for.
    """
    paths = [path_of(cost.piece.loops) for cost in costs]
    groups: dict[int, list[PieceCost]] = {}
    for cost, path in zip(costs, paths, strict=True):
        inside = (n for n, other in enumerate(paths) if other[: len(path)] == path)
        groups.setdefault(max(inside, key=lambda n: costs[n].cycles), []).append(cost)
    return list(groups.values())


def _bounded(group: Sequence[PieceCost], threads: int) -> float:
    """The cycles of pieces that overlap, shared among threads."""
    shares = [1 / _speedup(cost.piece, threads) for cost in group]
    executed = sum(max(c.ports, c.chain) * share for c, share in zip(group, shares, strict=True))
    entries = sum(c.entries * share for c, share in zip(group, shares, strict=True))
    memory = [
        sum(cycles * share for cycles, share in zip(level, shares, strict=True))
        for level in zip(*(c.memory for c in group), strict=True)
    ]
    return _joined((executed, *memory)) + entries


def _joined(bounds: Sequence[float]) -> float:
    """About the greatest bound; others that are as great add to it."""
    return float(sum(bound**OVERLAP_EXPONENT for bound in bounds) ** (1 / OVERLAP_EXPONENT))


def _misses(
    piece: Piece, accesses: Sequence[History], stays: Residency, cache: Cache, level: int
) -> tuple[float, float]:
    """The lines, or pages, that come into a cache for a piece in a call; and the cycles that this takes."""
    is_paged = cache.block_bytes != LINE_BYTES
    blocks, cycles = 0.0, 0.0
    for history in accesses:
        access = history.touch.access
        is_read_too = access.is_write and not is_paged and not access.buffer.nontemporal
        missed = blocks_missed(piece, history, stays, level, is_paged) * history.touch.share
        missed *= WRITE_WEIGHT if is_read_too else 1.0
        blocks += missed
        cycles += missed * (cache.cycles + cache.surprise_cycles * history.surprises)
    return blocks, cycles


def _piece_cost(piece: Piece, accesses: Sequence[History], stays: Residency, machine: Machine) -> PieceCost:
    traffic = [_misses(piece, accesses, stays, cache, n) for n, cache in enumerate(machine.caches)]
    count = piece.instructions
    spilled = max(0.0, piece.live - machine.registers)
    put_away = spilled * SPILL_STORES * machine.vector_bits / machine.slot_bits
    loads, stores = count.loads + put_away, count.stores + put_away
    total = count.issued + 2 * spilled * SPILL_STORES + LOOP_INSTRUCTIONS
    issue = machine.issue if total <= machine.decoded else machine.issue / 2
    ports = max(
        count.arithmetic / machine.arithmetic,
        loads / machine.loads,
        stores / machine.stores,
        count.shuffles / machine.shuffles,
        (count.arithmetic + count.shuffles) / machine.arithmetic,
        total / issue,
    )
    chain = piece.chain_cycles
    if not piece.is_carried:
        chain /= max(1.0, machine.window / total)
    return PieceCost(
        piece=piece,
        accesses=tuple(accesses),
        ports=piece.visits * ports,
        chain=piece.visits * chain,
        entries=_entries(piece),
        memory=tuple(cycles for _, cycles in traffic),
        misses=tuple(blocks for blocks, _ in traffic),
        spilled=spilled,
    )


def _entries(piece: Piece) -> float:
    """Cycles to come to the loop of a piece and to leave it, in a call."""
    if not piece.loops or not piece.loops[-1].trips:
        return 0.0
    times = 1.0
    for loop in piece.loops[:-1]:
        times *= loop.trips
    return times * (LOOP_ENTRY_CYCLES + LOOP_EXIT_CYCLES * min(1.0, piece.trips / REMEMBERED_TRIPS) ** 2)


def _parallel_place(loops: Sequence[Loop]) -> int | None:
    return next((n for n, loop in enumerate(loops) if loop.kind is LoopKind.PARALLEL), None)


def _speedup(piece: Piece, threads: int) -> float:
    """How many threads work on a piece, on average."""
    place = _parallel_place(piece.loops)
    if place is None or threads == 1:
        return 1.0
    trips = max(1.0, piece.loops[place].trips)
    return trips / ceil(trips / threads)


def _launches(pieces: Sequence[Piece], threads: int) -> float:
    """How often iterations are shared among threads in a call."""
    if threads == 1:
        return 0.0
    times: dict[int, float] = {}
    for piece in pieces:
        place = _parallel_place(piece.loops)
        if place is not None:
            count = 1.0
            for loop in piece.loops[:place]:
                count *= loop.trips
            times[id(piece.loops[place])] = count
    return sum(times.values())
