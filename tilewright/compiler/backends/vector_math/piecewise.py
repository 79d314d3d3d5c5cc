"""Odd functions that end at 1, by a polynomial in each of sixteen intervals.

The coefficients of a lane's interval are looked up in vector registers, which is cheaper than the exponential
function and the division that other methods need.

The polynomials are minimax fits of the relative error, by Lawson's method: least squares whose weights follow
the error. One coefficient after another is rounded to float32, and the rest fitted again. Centres lie near
the middle of their intervals where the function is close to a float32, as in Gal's tables.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from tilewright.compiler.backends.llvm_types import literal
from tilewright.compiler.backends.vector_math.lane_code import SIGN_BIT, LaneCode, LaneValue

INTERVALS = 16
ROW = 8
# Lanes of x86's registers, the first of which is any target's.
XMM, YMM, ZMM = 4, 8, 16
PERMUTE_ZMM = "llvm.x86.avx512.permvar.sf.512"


@dataclass(frozen=True, slots=True)
class PiecewiseTable:
    """A function of ``|x|`` up to ``limit``, beyond which it does not change.

    ``offset`` is added to ``|x|``, and the bits of the sum from ``shift`` on count the intervals: where the
    exponent is among them, intervals become wider with ``|x|``. A row has the centre of its interval, at
    which the function is close to a float32, and the coefficients of a polynomial in the distance from it.
    """

    name: str
    limit: float
    offset: float
    shift: int
    rows: tuple[tuple[float, ...], ...]

    def by_index(self) -> list[tuple[float, ...]]:
        """The rows in the order of the last four bits of their index."""
        first = struct.unpack("<i", struct.pack("<f", self.offset))[0] >> self.shift
        return [self.rows[(place - first) % INTERVALS] for place in range(INTERVALS)]


def piecewise(code: LaneCode, x: LaneValue, table: PiecewiseTable) -> LaneValue:
    """The function of a table; of x's sign, -0 included."""
    distance = code.at_most(x.magnitude(), table.limit)
    index = (distance + table.offset).bits() >> table.shift
    center, *coefficients = _look_up(code, index, table)
    result = code.polynomial(distance - center, coefficients)
    return (result.bits() | (x.bits() & SIGN_BIT)).as_float()


def _look_up(code: LaneCode, index: LaneValue, table: PiecewiseTable) -> list[LaneValue]:
    """Each column of a table, at the rows that the last four bits of an index name."""
    if not index.lanes:
        return _row(code, index, table)
    if code.target.has_avx512:
        return code.in_groups(ZMM, [index], lambda i: _permuted(i, table))
    if code.target.has_avx2:
        return code.in_groups(YMM, [index], lambda i: _permuted_halves(i, table))
    return code.in_groups(XMM, [index], lambda i: _turned_rows(i, table))


def _permuted(index: LaneValue, table: PiecewiseTable) -> list[LaneValue]:
    """By a permutation of a register that holds a column."""
    columns = zip(*table.by_index(), strict=True)
    return [_permuted_values(index, column, PERMUTE_ZMM) for column in columns]


def look_up(code: LaneCode, index: LaneValue, name: str, values: Sequence[float]) -> LaneValue:
    """Sixteen values, at the places that the last bits of an index name; with AVX-512, or for a scalar."""
    if index.lanes:
        return code.in_groups(ZMM, [index], lambda i: [_permuted_values(i, values, PERMUTE_ZMM)])[0]
    kind = f"[{INTERVALS} x float]"
    code.globals.add(f"@{name} = internal constant {kind} [{_literals(values)}], align 64")
    place = (index.settled() & (INTERVALS - 1)).convert("zext", "i64")
    where = code.emit(f"getelementptr inbounds {kind}, ptr @{name}, i64 0, {place.typed}", "ptr", 0)
    return code.emit(f"load float, {where.typed}, align 4", "float", 0)


def _permuted_halves(index: LaneValue, table: PiecewiseTable) -> list[LaneValue]:
    """By permutations of both halves of a column, the fourth bit choosing between them."""
    rows = table.by_index()
    is_upper = (index & YMM) > 0
    halves = [zip(*rows[first : first + YMM], strict=True) for first in (0, YMM)]
    return [
        index.code.choose(
            is_upper, *(_permuted_values(index, half, "llvm.x86.avx2.permps") for half in (b, a))
        )
        for a, b in zip(*halves, strict=True)
    ]


def _permuted_values(index: LaneValue, values: Sequence[float], name: str) -> LaneValue:
    """Values that fill a register, at the places that the last bits of an index name."""
    table = (f"<{len(values)} x float>", f"<{_literals(values)}>")
    return index.code.call(name, [table, (index.type, index.text)], "float", len(values))


def _literals(values: Sequence[float]) -> str:
    return ", ".join(f"float {literal(value, 'float32')}" for value in values)


def _turned_rows(index: LaneValue, table: PiecewiseTable) -> list[LaneValue]:
    """By a read of each lane's row; four rows are then turned into columns."""
    code = index.code
    where = [_address(code, _lane(index, lane), table) for lane in range(XMM)]
    columns = []
    for first in range(0, len(table.rows[0]), XMM):
        quads = [_read(code, place, first, XMM) for place in where]
        columns += _turned(code, quads)
    return columns[: len(table.rows[0])]


def _turned(code: LaneCode, rows: Sequence[LaneValue]) -> list[LaneValue]:
    """The columns of four vectors of four."""
    a, b, c, d = rows
    low, high = (0, 4, 1, 5), (2, 6, 3, 7)
    pairs = [(code.shuffle(a, b, part), code.shuffle(c, d, part)) for part in (low, high)]
    return [code.shuffle(p, q, half) for p, q in pairs for half in ((0, 1, 4, 5), (2, 3, 6, 7))]


def _row(code: LaneCode, index: LaneValue, table: PiecewiseTable) -> list[LaneValue]:
    where = _address(code, index, table)
    return [_read(code, where, column, 0) for column in range(len(table.rows[0]))]


def _lane(index: LaneValue, lane: int) -> LaneValue:
    return index.code.emit(f"extractelement {index.typed}, i64 {lane}", index.element, 0)


def _address(code: LaneCode, index: LaneValue, table: PiecewiseTable) -> LaneValue:
    """The place of a row in memory; a row is filled up to a power of two."""
    rows = []
    for row in table.by_index():
        padded = [*row, *[0.0] * (ROW - len(row))]
        rows.append(f"[{ROW} x float] [{_literals(padded)}]")
    kind = f"[{INTERVALS} x [{ROW} x float]]"
    code.globals.add(f"@{table.name} = internal constant {kind} [{', '.join(rows)}], align 64")
    place = (index.settled() & (INTERVALS - 1)).convert("zext", "i64")
    return code.emit(f"getelementptr inbounds {kind}, ptr @{table.name}, i64 0, {place.typed}", "ptr", 0)


def _read(code: LaneCode, row: LaneValue, column: int, lanes: int) -> LaneValue:
    where = code.emit(f"getelementptr inbounds float, {row.typed}, i64 {column}", "ptr", 0)
    kind = f"<{lanes} x float>" if lanes else "float"
    align = 4 * max(1, lanes)
    return code.emit(f"load {kind}, {where.typed}, align {align}", "float", lanes)
