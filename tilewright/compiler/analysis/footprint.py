"""The memory that an access touches while loops run: distinct cache lines and pages, and how they lie."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from tilewright.compiler.analysis.accesses import Access, Trips
from tilewright.compiler.analysis.machine import LINE_BYTES, PAGE_BYTES


@dataclass(slots=True)
class Footprint:
    """What an access touches while some loops run.

    Attributes:
        lines, pages: distinct ones.
        run_bytes: how long a stretch without a gap is.
        repeats: how stretches lie: bytes to step, and how often, the shortest steps first.
    """

    lines: float
    pages: float
    run_bytes: float
    repeats: tuple[tuple[float, float], ...]


def footprint(access: Access, trips: Trips) -> Footprint:
    """What an access touches while the loops in ``trips`` run as often as it says, the others standing still.

    Steps are joined from the shortest on. One that is no longer than what is covered lengthens a stretch; one
    that leads to places of the row of stretches before it lengthens that; any other one repeats all.
    """
    size = access.size_bytes
    run, span, repeats = float(size), float(size), list[tuple[float, float]]()
    lines, pages, repeated = 0.0, 0.0, 0.0
    is_aligned = True
    for stride, values in access.pairs(trips):
        span += stride * (values - 1)
        if not repeats and stride <= max(run, LINE_BYTES):
            run = span
            continue
        is_aligned = is_aligned and not stride % LINE_BYTES
        unit, count = repeats[-1] if repeats else (0.0, 0.0)
        if unit and stride <= unit * count and not stride % unit:
            repeats[-1] = unit, count + stride / unit * (values - 1)
        else:
            if not repeats:
                lines, pages = _blocks(run, size, LINE_BYTES, is_aligned), max(1.0, run / PAGE_BYTES)
            repeated = lines
            repeats.append((float(stride), values))
        lines = min(repeated * repeats[-1][1], span / LINE_BYTES + 1)
        pages = min(pages * values, span / PAGE_BYTES + 1)
    if not repeats:
        lines, pages = _blocks(run, size, LINE_BYTES, is_aligned), max(1.0, run / PAGE_BYTES)
    total = access.buffer_bytes
    return Footprint(
        min(lines, total / LINE_BYTES + 1), min(pages, total / PAGE_BYTES + 1), run, tuple(repeats)
    )


def _blocks(run: float, size: int, block: int, is_aligned: bool) -> float:
    """The blocks that a stretch of bytes lies in, on average where it may begin anywhere."""
    if is_aligned:
        return float(ceil(run / block))
    return 1 + (run - size) / block
