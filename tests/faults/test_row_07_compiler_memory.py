"""Row 7: code that the compiler has no memory for; the limit is told, and the tuner itself holds no more."""

import pytest

from tests.faults.crashing import program_of, quick_measurer
from tests.faults.unrolled import unrolled
from tests.processes import resident_bytes
from tilewright.measure.measurer import Timeouts
from tilewright.measure.outcome import WorkerLimits

LIMITS = WorkerLimits(address_bytes=1 << 30)
FLAT_BYTES = 20 << 20
# A table of 8 GiB that the code reads.
TABLE = "@table = internal constant [8589934592 x i8] zeroinitializer"
READ = "  %place = getelementptr i8, ptr @table, i64 %sa\n  %byte = load volatile i8, ptr %place"


def check_llvm(times: int) -> None:
    with quick_measurer(limits=LIMITS) as measurer:
        assert measurer.try_program(program_of("")).state == "ok"
        before = resident_bytes()
        for _ in range(times):
            result = measurer.try_program(program_of(READ, TABLE))
            assert result.state == "out_of_memory", result.error
            assert "the limit is 1 GiB" in str(result.error)
        assert measurer.try_program(program_of("")).state in ("ok", "slow")
        assert resident_bytes() - before <= FLAT_BYTES


def test_row_07_llvm_without_memory_is_out_of_memory_and_the_tuner_stays_flat() -> None:
    check_llvm(times=1)


@pytest.mark.slow
def test_row_07_llvm_without_memory_20_times() -> None:
    check_llvm(times=20)


@pytest.mark.slow
def test_row_07_loops_unrolled_96_cubed_are_out_of_memory() -> None:
    timeouts = Timeouts(compiling=300.0)
    with quick_measurer(limits=LIMITS, timeouts=timeouts, line_limit=10**9) as measurer:
        before = resident_bytes()
        result = measurer.try_program(unrolled(96), "unrolled")
        assert result.state == "out_of_memory", result.error
        assert "the limit is 1 GiB" in str(result.error)
        assert resident_bytes() - before <= FLAT_BYTES
