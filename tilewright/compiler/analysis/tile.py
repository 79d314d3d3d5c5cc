"""The straight-line loops around a store: what is written out, and in how many vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from tilewright.compiler.analysis.accesses import IN_REGISTERS, Access
from tilewright.compiler.analysis.iteration_counts import Cases
from tilewright.compiler.te.expr import Var


@dataclass(slots=True)
class Tile:
    """The straight-line loops around a store: iterations that are written out, and lanes.

    Attributes:
        copies: the iterations of each unrolled loop.
        lane: the variable of the lanes, if there are such.
        widths: the numbers of lanes, with the share of each.
        rolled: the variables of the loops around that stay loops.
        peeled: those of loops that are cut where conditions change.
        border: the share of a peeled loop's iterations in which conditions may still fail.
    """

    copies: Mapping[Var, float]
    lane: Var | None
    widths: Cases
    rolled: frozenset[Var]
    peeled: frozenset[Var] = frozenset()
    border: float = 1.0

    def repeats(self, used: frozenset[Var]) -> float:
        """How often what depends on some variables is computed."""
        result = 1.0
        for var, count in self.copies.items():
            if var in used:
                result *= count
        return result

    def vectors(self, bits: int, size_bytes: int) -> float:
        """Vectors of so many bits that the lanes fill, on average."""
        if self.lane is None:
            return 1.0
        return sum(ceil(count * size_bytes * 8 / bits) * share for count, share in self.widths)

    @property
    def width(self) -> float:
        """How many lanes there are, on average."""
        return sum(count * share for count, share in self.widths)

    def is_in_registers(self, access: Access) -> bool:
        """Whether what is accessed is part of a tile that is kept in registers."""
        return access.buffer.scope in IN_REGISTERS and self.rolled.isdisjoint(access.variables)
