"""Building: which configuration is chosen, and how that is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.scaling import scaling
from tilewright.compiler import te
from tilewright.compiler.errors import ArgumentError, CompileError, TilewrightError
from tilewright.compiler.kernel import Kernel
from tilewright.compiler.schedule import create_schedule
from tilewright.deploy import build, build_schedule, check_parameter_names, choose_config, explain, make_task
from tilewright.logs.apply import apply_best, task_key
from tilewright.logs.record import Record, TemplateData, make_record, target_data
from tilewright.measure.machine import granted_cores
from tilewright.measure.result import MeasureResult
from tilewright.templates.template import Template

TASK = make_task(scaling, None, 1, {"n": 64})


def record_of(config: dict[str, Any]) -> Record:
    return make_record(
        MeasureResult(state="ok", costs=(1e-6,), seconds=1e-6, interval=(1e-6, 1e-6)),
        workload=TASK.workload.to_json(),
        template=TemplateData("scaling"),
        target=target_data(TASK.target, TASK.threads),
        config=config,
    )


def build_scaling(**options: Any) -> Kernel:
    return build(scaling, n=64, threads=1, **options)


def chosen(kernel: Kernel) -> Any:
    return kernel.config.to_json()


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILEWRIGHT_CACHE", "0")


def test_without_records_the_default_is_built_and_explained() -> None:
    kernel = build_scaling()
    assert chosen(kernel) == {"factor": 2}
    assert kernel.record is None
    last = explain()[-1]
    assert last.source == "default"
    assert "no record for this key is in force" in str(last)


def test_the_record_in_force_is_built() -> None:
    record = record_of({"factor": 8})
    with apply_best([record]):
        kernel = build_scaling()
    assert chosen(kernel) == {"factor": 8}
    assert kernel.record == record
    assert explain()[-1].source == "record"
    assert np.array_equal(kernel(np.ones(64, np.float32)), np.full(64, 2, np.float32))


def test_the_default_can_be_asked_for_beside_records() -> None:
    with apply_best([record_of({"factor": 8})]):
        assert chosen(build_scaling(config="default")) == {"factor": 2}


@pytest.mark.parametrize("config", [3, {"factor": 8}, TASK.space.config(3)])
def test_a_configuration_can_be_given_in_every_form(config: Any) -> None:
    assert chosen(build_scaling(config=config)) == {"factor": 8}
    assert explain()[-1].source == "chosen"


@pytest.mark.parametrize("config", [4, -1, "fastest", {"factor": 3}, {"other": 1}, True, None])
def test_other_configurations_are_refused(config: Any) -> None:
    with pytest.raises(TilewrightError):
        build_scaling(config=config)


def test_a_record_that_no_longer_fits_falls_back_to_the_default(caplog: pytest.LogCaptureFixture) -> None:
    with apply_best([record_of({"factor": 16})]):
        config, record, _ = choose_config(TASK, "best")
    assert config == TASK.default_config
    assert record is None
    assert "no longer fits the template" in caplog.text


def test_threads_are_those_granted_unless_told() -> None:
    assert make_task(scaling, None, None, {"n": 64}).threads == granted_cores()
    assert task_key(make_task(scaling, None, 2, {"n": 64})) != task_key(TASK)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_wrong_threads_are_refused(threads: Any) -> None:
    with pytest.raises(TilewrightError, match="threads must be a positive integer"):
        build(scaling, n=64, threads=threads)


@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
def test_backends_agree(backend: str) -> None:
    kernel = build_scaling(backend=backend)
    assert np.array_equal(kernel(np.arange(64, dtype=np.float32)), 2 * np.arange(64, dtype=np.float32))


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(CompileError, match="unknown backend 'gpu'"):
        build_scaling(backend="gpu")


def test_what_is_no_target_is_refused() -> None:
    x = te.placeholder((4,), name="x")
    y = te.compute((4,), lambda i: x[i] + 1.0, name="y")
    with pytest.raises(TilewrightError, match=r"target must be a Target, .* not 'skylake'"):
        build_schedule(create_schedule(y), [x, y], target="skylake")  # type: ignore[arg-type]


def test_a_parameter_named_like_an_option_is_refused() -> None:
    def clash(n: int, seed: int = 0) -> None:
        raise AssertionError

    with pytest.raises(TilewrightError, match="its parameter 'seed' has the name of an option"):
        check_parameter_names(Template("clash", clash))


VECTOR = np.ones(64, np.float32)


@pytest.mark.parametrize(
    ("arrays", "out", "message"),
    [
        ((np.ones(64),), None, "A has dtype float64, the kernel takes float32"),
        ((np.ones(63, np.float32),), None, r"A has shape \(63,\)"),
        ((np.ones(128, np.float32)[::2],), None, "A is not C-contiguous"),
        ((), None, "takes 1 arrays"),
        (([1.0] * 64,), None, "A is a list"),
        ((VECTOR,), VECTOR, r"C \(out\) overlaps A"),
        ((VECTOR,), np.ones(64, np.int32), "C has dtype int32"),
    ],
)
def test_wrong_arrays_are_named(arrays: Any, out: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        build_scaling()(*arrays, out=out)


def test_a_database_is_applied(tmp_path: Path) -> None:
    from tilewright.logs.store import RecordStore

    with RecordStore(tmp_path / "tune.db") as store:
        store.add(record_of({"factor": 4}))
    with apply_best(tmp_path / "tune.db"):
        assert chosen(build_scaling()) == {"factor": 4}


def test_a_kernel_that_was_not_built_is_not_explained() -> None:
    before = explain()
    with pytest.raises(TilewrightError):
        build_scaling(backend="no such")
    assert explain() == before
