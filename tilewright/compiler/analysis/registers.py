"""Vector registers that straight-line code needs at the same time."""

from __future__ import annotations

from collections.abc import Iterable

from tilewright.compiler.analysis.accesses import Access
from tilewright.compiler.analysis.machine import Machine
from tilewright.compiler.analysis.tile import Tile


def tile_registers(access: Access, tile: Tile, machine: Machine) -> float:
    """The registers that hold all elements of a register tile which some straight-line code accesses."""
    copies = tile.repeats(access.variables)
    if tile.lane is None or tile.lane not in access.variables:
        return copies
    return copies * tile.vectors(machine.vector_bits, access.size_bytes)


def operand_registers(accesses: Iterable[Access], tile: Tile, machine: Machine) -> float:
    """The registers that operands need beside the tile: a row of vectors that copies share, and one more."""
    shared = 0.0
    for access in accesses:
        is_vector = tile.lane is not None and tile.lane in access.variables
        is_shared = any(var not in access.variables for var, count in tile.copies.items() if count > 1)
        if is_vector and is_shared and not access.is_write and not tile.is_in_registers(access):
            shared = max(shared, tile.vectors(machine.vector_bits, access.size_bytes))
    return shared + 1
