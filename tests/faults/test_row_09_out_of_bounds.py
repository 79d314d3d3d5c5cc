"""Row 9: kernels that access one element outside an array, at either end; every one of them is caught."""

import random
from dataclasses import dataclass

from tests.faults.crashing import program_of, quick_measurer
from tilewright.compiler.program import Program
from tilewright.measure.result import MeasureResult

KERNELS = 50
LANES = 16


@dataclass(frozen=True, slots=True)
class Access:
    """What a kernel does wrong.

    Attributes:
        array: `a`, which it reads, or `c`, which it writes.
        is_store: and not a read whose value nobody uses.
        elements: read or written at once; a whole vector overlaps the array where it does not lie outside.
        offset: of the first of them, from the start of the array.
        size: of the array.
    """

    array: str
    is_store: bool
    elements: int
    offset: int
    size: int

    def program(self) -> Program:
        kind = "float" if self.elements == 1 else f"<{self.elements} x float>"
        place = f"  %p = getelementptr float, ptr %{self.array}, i64 {self.offset}"
        read = f"  %v = load volatile {kind}, ptr %p, align 4"
        write = f"\n  store volatile {kind} %v, ptr %p, align 4"
        outside = "  store volatile float 1.0, ptr %p, align 4"
        if self.elements == 1:
            return program_of(f"{place}\n{outside if self.is_store else read}", size=self.size)
        return program_of(f"{place}\n{read}{write if self.is_store else ''}", size=self.size)


def draw(seed: int) -> Access:
    """One of the accesses: sides, arrays and ways take turns; every other size is of whole pages."""
    chance, turn = random.Random(seed // 16), seed // 16
    size = chance.randrange(LANES, 3000) if turn % 2 == 0 else 1024 * chance.randrange(1, 17)
    is_before, is_store = bool(seed & 1), bool(seed & 2)
    elements = LANES if seed & 8 else 1
    # A vector that is one element too far: the tail of a loop that nobody masked.
    offset = -1 if is_before else size - elements + 1
    return Access("ac"[seed >> 2 & 1], is_store, elements, offset, size)


def caught(results: list[MeasureResult]) -> int:
    """How many were told to be what they are."""
    return sum(r.state in ("crash", "wrong_result") and "out of bounds" in str(r.error) for r in results)


def test_row_09_50_of_50_kernels_out_of_bounds_are_caught() -> None:
    accesses = [draw(seed) for seed in range(KERNELS)]
    assert len(set(accesses)) == KERNELS
    with quick_measurer() as measurer:
        results = [measurer.try_program(a.program(), f"double {a.size}") for a in accesses]
        inside = [measurer.try_program(program_of("", size=size), f"double {size}") for size in (17, 1024)]
    missed = [(a, r.state, r.error) for a, r in zip(accesses, results, strict=True) if caught([r]) != 1]
    assert caught(results) == KERNELS, missed
    assert all(result.seconds is None for result in results)  # without a cost none can be the best
    assert [result.state for result in inside] == ["ok", "ok"]
