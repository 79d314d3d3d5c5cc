"""Row 12: a kernel reads what nobody wrote; other contents of its memory give other bits."""

import pytest

from tests.faults.crashing import quick_measurer
from tests.faults.mutated_nests import RIGHT, product
from tilewright.compiler.program import Program
from tilewright.measure.result import MeasureInput

EXTENTS = (72, 72, 16)  # sums that are too large for the stack
PLACES = ("stack", "scratch", "output")


def trial(sums_in: str, mutant: str) -> MeasureInput:
    """A product that sums there; mutants are compared with the reference of the right one."""
    return MeasureInput(Program.from_schedule(*product(EXTENTS, mutant, sums_in)), sums_in)


@pytest.mark.usefixtures("faulty_compiler")
def test_row_12_a_read_before_the_write_gives_an_unstable_result() -> None:
    with quick_measurer() as measurer:
        right = measurer.measure([trial(place, RIGHT) for place in PLACES])
        wrong = measurer.measure([trial(place, "unwritten_0") for place in PLACES])
    assert [result.state for result in right] == ["ok"] * len(PLACES)
    assert [result.state for result in wrong] == ["wrong_result"] * len(PLACES)
    assert all("unstable result" in str(result.error) for result in wrong)
