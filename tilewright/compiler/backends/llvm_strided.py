"""Reads and writes whose lanes lie apart, without gathers and scatters.

Where an unrolled loop around walks along the rows that the lanes stand in, a square block is read row by row
and turned around in registers: so a tile computed over channels is stored along the width, and a transposed
operand is packed. Where lanes are few elements apart, all between are read and some picked; where they are
written, they are spread over as many vectors, each stored under a mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewright.compiler.backends.llvm_function import Operand, constant
from tilewright.compiler.backends.llvm_shuffle import pick, shuffle, transpose
from tilewright.compiler.backends.llvm_types import MEMORY, VALUE, suffix, vector
from tilewright.compiler.ir.loops import Buffer
from tilewright.compiler.te.expr import BYTES, Load, Var

if TYPE_CHECKING:
    from tilewright.compiler.backends.llvm_memory import Address, Lanes, Memory

# Lanes further apart than this share too few vectors.
MOST_APART = 4
# The bytes of elements of which processors read or write some of a vector, but for those with AVX-512.
LEAST_MASKED = 4


def read_strided(memory: Memory, node: Load, address: Address, lanes: Lanes) -> Operand | None:
    """The lanes of a read by loads and shuffles; None where only a gather will do."""
    buffer = node.source
    assert isinstance(buffer, Buffer)
    is_plain = MEMORY[buffer.dtype] == VALUE[buffer.dtype]
    is_known = lanes.mask is None or lanes.active > 0
    if not (is_plain and is_known) or address.offsets is not None or buffer in memory.spread:
        return None
    active = lanes.active or lanes.count
    has_masks = BYTES[buffer.dtype] >= LEAST_MASKED
    column = _column(memory, node, buffer, lanes.count)
    if column is not None and address.step > 1 and (has_masks or _is_whole(column, lanes.count, active)):
        return _turn_block(memory, buffer, address, column, lanes.count, active)
    is_near = 1 < abs(address.step) <= MOST_APART or address.step == -1
    if is_near and (has_masks or active == lanes.count):
        return _pick_lanes(memory, buffer, address, lanes.count, active)
    return None


def _column(memory: Memory, node: Load, buffer: Buffer, size: int) -> tuple[int, int] | None:
    """Where along the rows the unrolled loop stands, and how many columns it visits."""
    for atom, scale in memory.form(node, buffer).terms.values():
        if scale == 1 and isinstance(atom, Var) and atom in memory.unrolled:
            begin, end = memory.unrolled[atom]
            if end - begin > size // 2:
                return int(memory.variables[atom].text) - begin, end - begin
    return None


def _is_whole(column: tuple[int, int], size: int, active: int) -> bool:
    """Whether a square block around a column has all its rows and columns."""
    place, extent = column
    return active == size and place - place % size + size <= extent


def _turn_block(
    memory: Memory, buffer: Buffer, address: Address, column: tuple[int, int], size: int, active: int
) -> Operand:
    """One column of a block of ``size`` rows, ``active`` of them real; the other columns are kept."""
    place, extent = column
    within = place % size
    start = address.distance - within
    version = memory.versions.get(buffer, 0)
    key = ("columns", buffer, version, address.origin.text, start, address.step, size, active)
    found = memory.text.recall((*key, within))
    if found is not None:
        return found
    # The rows of a register tile are padded to whole vectors.
    width = size if buffer in memory.row_strides else min(size, extent - (place - within))
    rows = [
        _read_row(memory, buffer, address.origin, start + row * address.step, size, width)
        for row in range(active)
    ]
    rows += [constant(0, buffer.dtype, size)] * (size - active)
    columns = transpose(memory.text, rows)
    for number, operand in enumerate(columns):
        memory.text.remember((*key, number), operand)
    return columns[within]


def _pick_lanes(memory: Memory, buffer: Buffer, address: Address, size: int, active: int) -> Operand:
    """Lanes a few elements apart, up or down, out of the vectors that cover them."""
    step, last = abs(address.step), (active - 1) * abs(address.step)
    distance = address.distance - (last if address.step < 0 else 0)
    if buffer.scope != "global" and distance >= 0:
        # Scratch memory may be read past its end. Vectors that begin as stores did are shared by the taps of
        # a window, and need not wait until several stores are through.
        begins = [*range(-(distance % size), last + 1, size)]
        widths = [size] * len(begins)
    else:
        begins = [*range(0, last + 1, size)]
        if last + 1 >= size:  # the last vector ends with the last lane
            begins[-1] = min(begins[-1], last + 1 - size)
        widths = [min(size, last + 1 - begin) for begin in begins]
    parts = [
        (begin, _read_row(memory, buffer, address.origin, distance + begin, size, width))
        for begin, width in zip(begins, widths, strict=True)
    ]
    places = [min(lane * step, last) for lane in range(size)]
    return pick(memory.text, parts, places if address.step > 0 else [last - place for place in places])


def _read_row(
    memory: Memory, buffer: Buffer, origin: Operand, distance: int, size: int, width: int
) -> Operand:
    """``size`` elements side by side, of which the first ``width`` may be read; the others are zero."""
    pointer = memory.advance(origin, distance, buffer)
    if width == size:
        return memory.plain_load(pointer, buffer, size)
    bits = ", ".join(f"i1 {'true' if n < width else 'false'}" for n in range(size))
    return memory.masked_load(pointer, buffer, size, Operand(f"<{bits}>", "bool", size, 0))


def write_strided(memory: Memory, value: Operand, address: Address, buffer: Buffer, lanes: Lanes) -> bool:
    """Store lanes a few elements apart by shuffles; False where only a scatter will do."""
    is_plain = MEMORY[buffer.dtype] == VALUE[buffer.dtype] and BYTES[buffer.dtype] >= LEAST_MASKED
    is_known = lanes.mask is None or lanes.active > 0
    step, size = address.step, lanes.count
    if not (is_plain and is_known and 1 < step <= MOST_APART):
        return False
    if address.offsets is not None or buffer in memory.spread:
        return False
    element = MEMORY[buffer.dtype]
    whole = vector(element, size)
    name = f"llvm.masked.store.{suffix(element, size)}.p0"
    memory.declare(f"declare void @{name}({whole}, ptr, i32, <{size} x i1>)")
    last = ((lanes.active or size) - 1) * step
    for begin in range(0, last + 1, size):
        places = range(begin, begin + size)
        spread = shuffle(memory.text, value, value, [min(place // step, size - 1) for place in places])
        bits = ", ".join(f"i1 {'true' if p % step == 0 and p <= last else 'false'}" for p in places)
        pointer = memory.advance(address.pointer, begin, buffer)
        arguments = f"{spread.typed}, ptr {pointer.text}, i32 {BYTES[buffer.dtype]}, <{size} x i1> <{bits}>"
        memory.text.line(f"  call void @{name}({arguments})")
    return True
