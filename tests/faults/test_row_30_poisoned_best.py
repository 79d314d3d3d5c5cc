"""Row 30: the best record crashes or is wrong here; a child tries it first, and the next best is used."""

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.scaling import scaling
from tilewright.deploy import build, explain, make_task
from tilewright.logs import sandbox
from tilewright.logs.apply import apply_best
from tilewright.logs.record import Record, TemplateData, make_record, target_data
from tilewright.logs.store import RecordStore
from tilewright.measure import measurer
from tilewright.measure.result import MeasureInput, MeasureResult, failed

TASK = make_task(scaling, None, 1, {"n": 64})
OTHER_COMPILER = {"tilewright": "0.0.1", "llvmlite": "0.40.0"}


def record_of(factor: int, seconds: float, versions: dict[str, str] | None = None) -> Record:
    import msgspec

    record = make_record(
        MeasureResult(state="ok", costs=(seconds,), seconds=seconds, interval=(seconds, seconds)),
        workload=TASK.workload.to_json(),
        template=TemplateData("scaling", TASK.template_hash),
        target=target_data(TASK.target, TASK.threads),
        config={"factor": factor},
    )
    return record if versions is None else msgspec.structs.replace(record, versions=versions)


class PoisonedMeasurer(measurer.Measurer):
    """A real one, but for the configuration 8, which crashes its worker, and 4, whose result is wrong."""

    def measure(self, inputs: Any) -> list[MeasureResult]:
        if inputs == [_input(8)]:
            return [failed("crash", "the worker was ended by SIGSEGV", "SIGSEGV")]
        if inputs == [_input(4)]:
            return [failed("wrong_result", "output 'C' differs")]
        return super().measure(inputs)


def _input(factor: int) -> Any:
    program = TASK.instantiate(TASK.space.from_values({"factor": factor}))
    return MeasureInput(program, TASK.workload.key, 0, "compute")


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILEWRIGHT_CACHE", "0")


@pytest.fixture(params=["database", "records"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    records = [record_of(f, s, OTHER_COMPILER) for f, s in ((8, 1e-6), (4, 2e-6), (2, 3e-6), (1, 4e-6))]
    if request.param == "records":
        return records
    with RecordStore(tmp_path / "tune.db") as store:
        store.add_all(records)
        store.add_playoff(records[0])
    return tmp_path / "tune.db"


def test_row_30_what_crashes_or_is_wrong_is_passed_over_with_1_warning(
    source: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(measurer, "Measurer", PoisonedMeasurer)
    with caplog.at_level(logging.WARNING), apply_best(source):
        kernels = [build(scaling, n=64, threads=1) for _ in range(3)]
    assert [kernel.config.to_json() for kernel in kernels] == [{"factor": 2}] * 3
    assert explain()[-1].source == "record"
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "SIGSEGV" in warning
    assert "wrong_result" in warning
    assert np.array_equal(kernels[0](np.ones(64, np.float32)), np.full(64, 2, np.float32))


def test_row_30_where_nothing_works_the_default_is_built(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(measurer, "Measurer", PoisonedMeasurer)
    with apply_best([record_of(8, 1e-6, OTHER_COMPILER)]):
        kernel = build(scaling, n=64, threads=1)
    assert kernel.config == TASK.default_config
    assert kernel.record is None
    assert len(caplog.records) == 1


def test_row_30_a_worker_that_dies_in_a_trial_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real crash of a real worker: its limits leave it no memory to start in."""
    from tilewright.measure.outcome import WorkerLimits

    class Starved(measurer.Measurer):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options, limits=WorkerLimits(address_bytes=1 << 27))

    monkeypatch.setattr(measurer, "Measurer", Starved)
    before = os.getpid()
    fault = sandbox.find_fault(record_of(8, 1e-6), TASK)
    assert fault is not None
    assert os.getpid() == before


def test_row_30_only_what_other_code_made_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Record] = []
    monkeypatch.setattr("tilewright.logs.apply.find_fault", lambda record, task: tried.append(record))
    own, strange = record_of(8, 1e-6), record_of(8, 1e-6, OTHER_COMPILER)
    for record, verify, count in ((own, None, 0), (own, True, 1), (strange, None, 1), (strange, False, 0)):
        tried.clear()
        with apply_best([record], verify=verify):
            build(scaling, n=64, threads=1)
            build(scaling, n=64, threads=1)
        assert len(tried) == count
