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
        stride_bytes: from one stretch to the next, 0 of a single one.
        stretches: how many there are.
    """

    lines: float
    pages: float
    run_bytes: float
    stride_bytes: float
    stretches: float


def footprint(access: Access, trips: Trips) -> Footprint:
    """What an access touches while the loops in ``trips`` run as often as it says, the others standing still.

    Steps are joined from the shortest on: one that is no longer than what is covered lengthens a stretch or
    adds to the row of them; a longer one repeats all.
    """
    size = access.size_bytes
    run, outer, unit, count = float(size), 1.0, 0.0, 1.0
    is_aligned = True
    for stride, values in access.pairs(trips):
        if not unit and stride <= max(run, LINE_BYTES):
            run += stride * (values - 1)
            continue
        is_aligned = is_aligned and not stride % LINE_BYTES
        if unit and stride <= unit * count:
            count += stride / unit * (values - 1)
        else:
            outer, unit, count = outer * count, float(stride), values
    stretches = outer * count
    lines = stretches * _blocks(run, size, LINE_BYTES, is_aligned)
    if unit >= PAGE_BYTES:
        pages = stretches * max(1.0, run / PAGE_BYTES)
    else:
        pages = outer * max(1.0, (unit * (count - 1) + run) / PAGE_BYTES)
    total = access.buffer_bytes
    return Footprint(
        min(lines, total / LINE_BYTES + 1), min(pages, total / PAGE_BYTES + 1), run, unit, stretches
    )


def _blocks(run: float, size: int, block: int, is_aligned: bool) -> float:
    """The blocks that a stretch of bytes lies in, on average where it may begin anywhere."""
    if is_aligned:
        return float(ceil(run / block))
    return 1 + (run - size) / block
