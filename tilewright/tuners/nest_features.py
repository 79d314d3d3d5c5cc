"""What a configuration's loop nest is like, as numbers of which there are always as many.

For a cost model that learns: trip counts, strides, footprints and reuse, registers, ports and chains of
dependent instructions, after the features of AutoTVM (Chen et al., Learning to Optimize Tensor Programs,
2018: touched memory, reuse and extents loop by loop) and Ansor (Zheng et al., 2020, appendix B: 164 numbers
a statement). There a model is fitted to each statement; here a vector has three parts, so that it says the
same of any number of them:

- totals of the call,
- the numbers of the piece of straight-line code that is estimated to take longest,
- the means of these numbers over all pieces, weighted by their estimated cycles.

Counts, sizes and times are logarithms to the base 2. Loops are told by their depth from inside, so that a
nest with more loops has the same numbers.
"""

from collections.abc import Iterable
from math import log2

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.analysis.cost import NestCost, PieceCost
from tilewright.compiler.analysis.machine import LINE_BYTES, PAGE_BYTES
from tilewright.compiler.analysis.working_sets import History, path_of
from tilewright.compiler.ir.loops import LoopKind

# Loops, from the innermost on, that are told apart.
LEVELS = 5
_CACHES = ("l1", "l2", "l3", "tlb1", "tlb2")
_SHAPE = (*(f"trips_{level}" for level in range(LEVELS)), "visits", "copies", "vectors", "lanes", "parallel")
_CODE = ("arithmetic", "loads", "stores", "shuffles", "issued", "accumulators", "live", "spilled", "chain")
_BOUNDS = ("ports", "chains", "entries", *(f"{c}_missed" for c in _CACHES), *(f"{c}_cycles" for c in _CACHES))
_MEMORY = (*(f"lines_{level}" for level in range(LEVELS)), *(f"pages_{level}" for level in range(LEVELS)))
_KINDS = ("contiguous", "alike", "strided", "scattered")
_STEPS = ("least_step", "mean_step", "greatest_step")
_REUSE = ("least_reuse", "greatest_reuse", "least_distance", "greatest_distance")
_SHARES = ("share", "idle_lanes", "used_registers", "intensity", "is_carried")
_PIECE = (*_SHAPE, *_CODE, *_BOUNDS, *_MEMORY, *_KINDS, *_STEPS, *_REUSE, *_SHARES)
_COUNTS = (
    "cycles",
    "executed",
    "arithmetic",
    "loads",
    "stores",
    "shuffles",
    "l1_missed",
    "pieces",
    "entries",
)
_TOTALS = (*_COUNTS, "of_l1", "of_l2", "of_l3")
FEATURE_NAMES = (*_TOTALS, *(f"main_{name}" for name in _PIECE), *(f"mean_{name}" for name in _PIECE))


def nest_features(cost: NestCost) -> NDArray[np.float32]:
    """The numbers of an analysed nest, named by ``FEATURE_NAMES``; all are finite."""
    if not cost.pieces:
        return np.zeros(len(FEATURE_NAMES), dtype=np.float32)
    cycles = np.array([1.0 + piece.cycles for piece in cost.pieces])
    rows = np.array([_piece_features(cost, piece) for piece in cost.pieces])
    parts = [_totals(cost), rows[int(cycles.argmax())], cycles / cycles.sum() @ rows]
    return np.concatenate(parts).astype(np.float32)


def _totals(cost: NestCost) -> list[float]:
    pieces = [(found, found.piece.visits, found.piece.instructions) for found in cost.pieces]
    return _logs(
        [
            cost.cycles,
            sum(visits for _, visits, _ in pieces),
            sum(visits * count.arithmetic for _, visits, count in pieces),
            sum(visits * count.loads for _, visits, count in pieces),
            sum(visits * count.stores for _, visits, count in pieces),
            sum(visits * count.shuffles for _, visits, count in pieces),
            sum(found.misses[0] for found, _, _ in pieces),
            len(pieces),
            sum(found.entries for found, _, _ in pieces),
            *_shares_of_caches(cost),
        ]
    )


def _shares_of_caches(cost: NestCost) -> list[float]:
    """All memory that a call touches, against the size of each cache."""
    whole = cost.working_sets.get(path_of(()))
    touched = 0.0 if whole is None else sum(whole.lines.values()) * LINE_BYTES
    return [touched / cache.size_bytes for cache in cost.machine.caches[:3]]


def _piece_features(cost: NestCost, found: PieceCost) -> list[float]:
    """The numbers of one piece, in the order of ``_PIECE``."""
    piece, count = found.piece, found.piece.instructions
    trips = [loop.trips for loop in reversed(piece.loops)]
    parallel = next((loop.trips for loop in piece.loops if loop.kind is LoopKind.PARALLEL), 0.0)
    code = [count.arithmetic, count.loads, count.stores, count.shuffles, count.issued]
    return [
        *_logs([*_inner(trips), piece.visits, *piece.copies, piece.lanes, parallel]),
        *_logs([*code, piece.accumulators, piece.live, found.spilled, piece.chain_cycles]),
        *_logs([found.ports, found.chain, found.entries, *found.misses, *found.memory]),
        *_working_sets(cost, found),
        *_kinds(found.accesses),
        *_steps(found),
        *_reuse(cost, found),
        *_shares(cost, found),
    ]


def _working_sets(cost: NestCost, found: PieceCost) -> list[float]:
    """Lines and pages that an iteration of each loop touches, from the innermost one on."""
    path = path_of(found.piece.loops)
    sets = [cost.working_sets.get(path[:depth]) for depth in range(len(path), -1, -1)]
    lines = [sum(touched.lines.values()) for touched in sets if touched is not None]
    pages = [sum(touched.pages.values()) for touched in sets if touched is not None]
    return _logs([*_inner(lines), *_inner(pages)])


def _kinds(accesses: Iterable[History]) -> list[float]:
    """How many accesses take neighbouring lanes, the same for all lanes, lanes at a distance, and any."""
    strides = [history.touch.lane_stride for history in accesses]
    near, alike, anywhere = strides.count(1), strides.count(0), strides.count(None)
    return _logs([near, alike, len(strides) - near - alike - anywhere, anywhere])


def _steps(found: PieceCost) -> list[float]:
    """Bytes between the places of an access in two iterations of the innermost loop that stays one."""
    if not found.piece.loops or not found.accesses:
        return [0.0] * len(_STEPS)
    innermost = found.piece.loops[-1].var
    accesses = [history.touch.access for history in found.accesses]
    strides = [access.stride(innermost) for access in accesses]
    steps = _logs(
        PAGE_BYTES if stride is None else abs(stride) * access.size_bytes
        for access, stride in zip(accesses, strides, strict=True)
    )
    return [min(steps), sum(steps) / len(steps), max(steps)]


def _reuse(cost: NestCost, found: PieceCost) -> list[float]:
    """How often an access touches the same again, and the bytes touched between: least and greatest."""
    uses, distances = [1.0], [0.0]
    for history in found.accesses:
        touched = max(1.0, history.footprints[0].lines)
        uses.append(max(1.0, found.piece.visits * history.footprints[-1].lines / touched))
        distances.append(_reuse_distance(cost, found, history))
    return _logs([min(uses[1:] or uses), max(uses), min(distances[1:] or distances), max(distances)])


def _reuse_distance(cost: NestCost, found: PieceCost, history: History) -> float:
    """The bytes touched by an iteration of the innermost loop that leaves an access in its place."""
    loops, used = found.piece.loops, history.touch.access.variables
    depth = next((n for n in range(len(loops), 0, -1) if loops[n - 1].var not in used), 0)
    touched = cost.working_sets.get(path_of(loops[:depth]))
    return 0.0 if touched is None else sum(touched.lines.values()) * LINE_BYTES


def _shares(cost: NestCost, found: PieceCost) -> list[float]:
    piece, machine = found.piece, cost.machine
    moved = piece.instructions.loads + piece.instructions.stores
    widest = max(1.0, machine.vector_bits / 32)
    return [
        found.cycles / max(cost.cycles, 1.0),
        1.0 - min(1.0, piece.lanes / widest),
        min(4.0, piece.live / machine.registers),
        log2((1 + piece.instructions.arithmetic) / (1 + moved)),
        float(piece.is_carried),
    ]


def _inner(values: list[float]) -> list[float]:
    """The first few values, zeros where there are fewer."""
    return [*values[:LEVELS], *[0.0] * (LEVELS - len(values))]


def _logs(values: Iterable[float]) -> list[float]:
    return [log2(1.0 + value) for value in values]
