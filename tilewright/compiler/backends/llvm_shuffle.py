"""Shuffles of vectors in registers: a block turned around, and every n-th element.

Masks follow what processors have in one instruction: interleaving inside lanes of 128 bits (``unpcklps``,
``zip1``), and pairs of whole lanes (``vshuff32x4``, ``vperm2f128``).
"""

from __future__ import annotations

from collections.abc import Sequence

from tilewright.compiler.backends.llvm_function import FunctionText, Operand
from tilewright.compiler.te.expr import BYTES

LANE_BYTES = 16


def shuffle(text: FunctionText, a: Operand, b: Operand, places: Sequence[int]) -> Operand:
    """The elements at the places, of ``a`` followed by ``b``."""
    if list(places) == list(range(a.lanes)):
        return a
    mask = ", ".join(f"i32 {place}" for place in places)
    return text.pure(
        f"shufflevector {a.typed}, {b.typed}, <{len(places)} x i32> <{mask}>", a.dtype, len(places), a, b
    )


def transpose(text: FunctionText, rows: Sequence[Operand]) -> list[Operand]:
    """The columns of a square block of rows; as many rows as lanes, a power of two.

    First blocks of a lane's size are turned around inside the lanes, then the lanes among each other.
    """
    count = rows[0].lanes
    inside = min(count, LANE_BYTES // BYTES[rows[0].dtype])
    columns = list(rows)
    size = 1
    while size < inside:
        columns = _interleave(text, columns, size, inside)
        size *= 2
    while size < count:
        columns = _pair_lanes(text, columns, size, inside)
        size *= 2
    return _in_order(columns, count, inside)


def _interleave(text: FunctionText, rows: list[Operand], size: int, inside: int) -> list[Operand]:
    """Rows ``size`` apart, joined by groups of ``size``: from a lane's first half, and from its second."""
    count, half = rows[0].lanes, inside // 2
    result: list[Operand] = list(rows)
    for first in range(0, len(rows), 2 * size):
        for row in range(first, first + size):
            a, b = rows[row], rows[row + size]
            low: list[int] = []
            high: list[int] = []
            for lane in range(0, count, inside):
                for group in range(0, half, size):
                    for places, start in ((low, lane), (high, lane + half)):
                        taken = range(start + group, start + group + size)
                        places += [*taken, *(count + place for place in taken)]
            result[row], result[row + size] = shuffle(text, a, b, low), shuffle(text, a, b, high)
    return result


def _pair_lanes(text: FunctionText, rows: list[Operand], size: int, inside: int) -> list[Operand]:
    """Rows ``size`` apart: the even lanes of both, and the odd ones."""
    count = rows[0].lanes
    result: list[Operand] = list(rows)
    for first in range(0, len(rows), 2 * size):
        for row in range(first, first + size):
            a, b = rows[row], rows[row + size]
            for parity, place in ((0, row), (1, row + size)):
                lanes = [*range(parity * inside, count, 2 * inside)]
                taken = [lane + n for lane in lanes for n in range(inside)]
                result[place] = shuffle(text, a, b, [*taken, *(count + t for t in taken)])
    return result


def _in_order(columns: list[Operand], count: int, inside: int) -> list[Operand]:
    """Undo the order in which halves came out: inside a lane the bits of the place are reversed."""
    bits = inside.bit_length() - 1

    def place(column: int) -> int:
        within, lane = column % inside, column // inside
        turned = sum(((within >> bit) & 1) << (bits - 1 - bit) for bit in range(bits))
        return lane * inside + turned

    return [columns[place(column)] for column in range(count)]


def pick(text: FunctionText, parts: Sequence[tuple[int, Operand]], places: Sequence[int]) -> Operand:
    """Elements of vectors that begin where ``parts`` say, each vector as wide as what is wanted."""
    found = parts[0][1]
    width = found.lanes
    taken = [0 if part else place - parts[0][0] for part, place in _holders(parts, places)]
    found = shuffle(text, found, found, taken)
    for number in range(1, len(parts)):
        begin, vector = parts[number]
        chosen = [
            width + place - begin if part == number else lane
            for lane, (part, place) in enumerate(_holders(parts, places))
        ]
        found = shuffle(text, found, vector, chosen)
    return found


def _holders(parts: Sequence[tuple[int, Operand]], places: Sequence[int]) -> list[tuple[int, int]]:
    """For each place the first vector that holds it."""
    width = parts[0][1].lanes
    return [
        (next(n for n, (begin, _) in enumerate(parts) if begin <= place < begin + width), place)
        for place in places
    ]
