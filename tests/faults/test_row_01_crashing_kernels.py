"""Row 1: kernels that store to address 0; each is a trial of its own, costs little, and tuning goes on."""

import time
from pathlib import Path
from statistics import median

import pytest

from tests.faults.crashing import ENDS, SIZE, QuickMeasurer, crashing, program_of, quick_measurer
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.tuning import tune
from tilewright.tuning import workers as workers_module

CRASH = program_of(ENDS["address 0"].code)
RIGHT = program_of("")
EXTRA_SECONDS = 0.050


def tune_crashing(db: Path, monkeypatch: pytest.MonkeyPatch, crashes: int, of: int) -> list[Record]:
    """The records of a run in which so many candidates crash."""
    monkeypatch.setattr(workers_module, "Measurer", QuickMeasurer)
    ends = ["right"] * of
    for number in range(crashes):
        ends[(number + 1) * of // crashes - 1] = "address 0"
    result = tune(crashing, n=SIZE, ends=",".join(ends), threads=1, db=db, trials=of, tuner="random")
    assert (result.trials, result.failed) == (of, {"crash": crashes})
    assert result.best is not None
    assert ends[result.best.config["number"]] == "right"
    with RecordStore(db, read_only=True) as store:
        records = list(store.iter_trials())
    for record in records:
        is_crash = ends[record.config["number"]] == "address 0"
        assert (record.state == "crash") == is_crash
        assert record.signal == ("SIGSEGV" if is_crash else None)
    return records


def extra_seconds(injections: int) -> float:
    """What a trial that crashes takes more than another, and the trial after it, in the median."""
    mixed, alone = [], []
    with quick_measurer() as measurer:
        for _ in range(3):
            measurer.try_program(RIGHT)
        for _ in range(injections):
            start = time.monotonic()
            assert measurer.try_program(CRASH).signal == "SIGSEGV"
            assert measurer.try_program(RIGHT).state in ("ok", "slow")
            middle = time.monotonic()
            assert measurer.try_program(RIGHT).state in ("ok", "slow")
            mixed.append(middle - start)
            alone.append(time.monotonic() - middle)
    return median(mixed) - 2 * median(alone)


def test_row_01_a_fifth_of_the_candidates_crash_and_the_run_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(tune_crashing(tmp_path / "tune.db", monkeypatch, 4, 20)) == 20


def test_row_01_a_crash_costs_at_most_50_ms() -> None:
    assert extra_seconds(12) <= EXTRA_SECONDS


@pytest.mark.slow
def test_row_01_of_1000_candidates_200_crash_and_800_are_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = tune_crashing(tmp_path / "tune.db", monkeypatch, 200, 1000)
    assert sum(record.state in ("ok", "slow") for record in records) == 800


@pytest.mark.slow
def test_row_01_200_crashes_cost_at_most_50_ms_each() -> None:
    extra = extra_seconds(200)
    print(f"a crash costs {extra * 1e3:.1f} ms")
    assert extra <= EXTRA_SECONDS
