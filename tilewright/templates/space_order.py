"""The valid points of a space in the order of their indices."""

from typing import TYPE_CHECKING

import numpy as np

from tilewright.templates.constraints import ENUMERATION_LIMIT, Ordinals
from tilewright.templates.errors import SpaceError

if TYPE_CHECKING:
    from tilewright.templates.space import ConfigSpace

SCAN_LIMIT = ENUMERATION_LIMIT
_BLOCK = 1 << 16


def next_valid(space: "ConfigSpace", index: int, n: int, start: int, end: int) -> int | None:
    """Return the n-th valid index after `index` in [start, end), or None; n may be negative."""
    if not space.constraints and space.listed is None:
        found = index + n
        return found if start <= found < end else None
    if space.valid_points is not None:
        return _step_in_list(space.valid_points, index, n, start, end)
    step = 1 if n > 0 else -1
    for _ in range(abs(n)):
        following = _first_valid(space, index + step, step, start, end)
        if following is None:
            return None
        index = following
    return index


def count_between(space: "ConfigSpace", start: int, end: int) -> int:
    """Return the number of valid indices in [start, end)."""
    if not space.constraints and space.listed is None:
        return end - start
    points = space.valid_points
    if points is not None:
        return int(np.searchsorted(points, end) - np.searchsorted(points, start))
    if (start, end) == (0, space.range_length):
        return space.size
    if end - start > SCAN_LIMIT:
        raise SpaceError(f"[{start}, {end}) is too long to count; count at most {SCAN_LIMIT} points at once")
    blocks = (range(low, min(low + _BLOCK, end)) for low in range(start, end, _BLOCK))
    return sum(int(space.valid_mask(space.ordinals(block)).sum()) for block in blocks)


def _step_in_list(points: Ordinals, index: int, n: int, start: int, end: int) -> int | None:
    low, high = np.searchsorted(points, start), np.searchsorted(points, end)
    if n > 0:
        place = int(np.searchsorted(points, index, side="right")) + n - 1
    else:
        place = int(np.searchsorted(points, index)) + n
    return int(points[place]) if low <= place < high else None


def _first_valid(space: "ConfigSpace", index: int, step: int, start: int, end: int) -> int | None:
    """Walk from `index`, leaping over the points that share the digits which break a constraint."""
    for _ in range(SCAN_LIMIT):
        if not start <= index < end:
            return None
        position = _broken_digit(space, space.point_to_knob(index))
        if position is None:
            return index
        stride = space.strides[position]
        index = (index // stride + 1) * stride if step > 0 else index // stride * stride - 1
    raise SpaceError(
        f"no valid configuration among {SCAN_LIMIT} points; declare the constraint with constrain((knobs), f)"
    )


def _broken_digit(space: "ConfigSpace", digits: list[int]) -> int | None:
    """Return the lowest digit that must change, of the most significant broken constraint."""
    broken = [
        min(table.positions)
        for table in space.tables
        if not table.allowed[tuple(digits[position] for position in table.positions)]
    ]
    if broken:
        return max(broken)
    return None if space.opaque is None or space.opaque.holds_at(digits) else 0
