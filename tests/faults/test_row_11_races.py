"""Row 11: results that are wrong only where threads meet; the parts of parallel loops are run apart."""

import pytest

from tests.faults.crashing import quick_measurer
from tests.faults.mutated_nests import RIGHT, shift_and_sum, two_stages
from tests.faults.races_of_loops import KINDS, kind_of
from tilewright.compiler.program import Program
from tilewright.measure.inputs import make_inputs
from tilewright.measure.result import MeasureInput, MeasureResult

RACES = 20
RUNS = 50
CAUGHT_SHARE = 0.95


def measure_races(threads: int, seeds: range, runs: int) -> dict[int, list[MeasureResult]]:
    """What comes of the races of some seeds, each measured so many times."""
    found: dict[int, list[MeasureResult]] = {}
    with quick_measurer(threads=threads) as measurer:
        for seed in seeds:
            program = Program.from_schedule(*two_stages(*extents_of(seed), f"race_{seed}"))
            trial = MeasureInput(program, f"racing {extents_of(seed)}")
            outputs = [shift_and_sum(*make_inputs(program.inputs))]
            measurer.provide_reference(trial.workload, outputs, program.inputs[0].shape[1])
            found[seed] = [result for _ in range(runs) for result in measurer.measure([trial])]
    return found


def extents_of(seed: int) -> tuple[int, int]:
    """Rows and columns."""
    return 24 + 8 * (seed % 5), 16 * (1 + seed % 3)


def share_caught(found: dict[int, list[MeasureResult]]) -> float:
    """Of all results of races."""
    results = [result for each in found.values() for result in each]
    return sum(result.state == "wrong_result" for result in results) / len(results)


@pytest.mark.usefixtures("faulty_compiler")
def test_row_11_races_are_caught() -> None:
    found = measure_races(2, range(RACES), runs=1)
    assert {kind_of(seed) for seed in found} == set(KINDS)
    assert share_caught(found) >= CAUGHT_SHARE


@pytest.mark.slow
@pytest.mark.usefixtures("faulty_compiler")
@pytest.mark.parametrize("threads", [2, 3, 4])
def test_row_11_95_percent_of_20_races_are_caught_in_50_runs(threads: int) -> None:
    assert share_caught(measure_races(threads, range(RACES), RUNS)) >= CAUGHT_SHARE


@pytest.mark.slow
@pytest.mark.parametrize("threads", [2, 3, 4])
def test_row_11_right_loops_are_no_race(threads: int) -> None:
    with quick_measurer(threads=threads) as measurer:
        for rows in (64, 400, 1001):
            program = Program.from_schedule(*two_stages(rows, 32, RIGHT))
            assert measurer.try_program(program, f"racing {rows}").state == "ok"
