"""Row 16: the machine gets 1.3 times slower after trial k; the reference loop tells, the winner stays."""

import io

import pytest

from tests.simulated_machine import NOMINAL, Machine
from tests.simulated_tuning import COSTS, is_good, search
from tests.test_progress import TASK, record_of
from tilewright.measure.drift import DriftWatch, slowdown
from tilewright.measure.result import MeasureResult
from tilewright.measure.timing import Timing
from tilewright.tuners import Budget
from tilewright.tuning.line_progress import LineProgress
from tilewright.tuning.tally import Tally

RUNS = 10
DRIFT = 1.3


def drifting_machine(trial: int) -> Machine:
    """Slows down when about `trial` trials, each of some 0.1 s, are done."""
    return Machine(lambda now: DRIFT if now > 0.1 * trial else 1.0)


def result_of(timing: Timing) -> MeasureResult:
    return MeasureResult(
        state="ok",
        costs=timing.costs,
        seconds=timing.seconds,
        interval=timing.interval,
        reference_ratio=timing.seconds / NOMINAL,
    )


def test_row_16_the_winner_is_unchanged_in_9_of_10_runs() -> None:
    winners = [search(drifting_machine(trial), trial, sigma=0.002).winner for trial in range(RUNS)]
    assert winners.count(COSTS.index(min(COSTS))) >= 9
    assert all(is_good(winner) for winner in winners)


def test_row_16_records_carry_the_ratio_to_the_reference_whatever_the_speed() -> None:
    found = search(drifting_machine(4), 0, sigma=0.0)
    for place, timing in found.timings.items():
        record = record_of(result_of(timing))
        assert record.reference_ratio == pytest.approx(COSTS[place] / 1e-6, rel=1e-6)
        assert record.costs == timing.costs
    levels = {round(slowdown(timing.costs, timing.seconds), 3) for timing in found.timings.values()}
    assert levels == {1.0, DRIFT}


def test_row_16_drift_is_told_once() -> None:
    found = search(drifting_machine(4), 0, sigma=0.002)
    stream = io.StringIO()
    progress = LineProgress(stream)
    progress.start(TASK, Budget(len(COSTS)), [])
    for timing in found.timings.values():
        progress.trial(record_of(result_of(timing)))
    told = [line for line in stream.getvalue().splitlines() if "slower than at the start" in line]
    assert len(told) == 1
    assert "1.30x" in told[0] or "1.29x" in told[0] or "1.31x" in told[0]


def test_row_16_a_machine_that_gets_faster_again_is_said_to_be() -> None:
    tally = Tally("copy", 0, Budget())
    tally.drift.level = 0.5
    assert "2.00x faster than at the start" in tally.drift_text


def test_row_16_one_slow_trial_is_no_drift() -> None:
    watch = DriftWatch()
    assert not any(watch.note(level) for level in (1.0, 1.0, 1.5, 1.0, 1.0, 1.02, 0.98))
    assert [watch.note(1.3) for _ in range(4)] == [False, True, False, False]
    assert [watch.note(1.0) for _ in range(3)] == [False, True, False]
