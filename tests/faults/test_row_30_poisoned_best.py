"""Row 30: the best record crashes, hangs or is wrong here; a child tries it, and the next best is used."""

import io
import logging
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import tilewright
from tests.faults.crashing import SIZE, crashing, hasty
from tilewright.compiler.kernel import Kernel
from tilewright.compiler.target import Target
from tilewright.deploy import build, explain, make_task
from tilewright.logs.apply import apply_best
from tilewright.logs.formats.autotvm import AutoTVMLine, format_line
from tilewright.logs.record import Record, TemplateData, make_record, target_data
from tilewright.logs.sandbox import Sandbox, describe_origin
from tilewright.logs.store import RecordStore
from tilewright.measure import measurer
from tilewright.measure.result import MeasureResult
from tilewright.tvm import autotvm

ENDS = ("right", "address 0", "nothing written", "right", "forever")
RIGHT, CRASHES, WRONG, NEXT, HANGS = range(len(ENDS))
PARAMS: dict[str, Any] = {"n": SIZE, "ends": ",".join(ENDS)}
TASK = make_task(crashing, None, 1, PARAMS)
OTHER_COMPILER = {"versions": {"tilewright": "0.0.1", "llvmlite": "0.40.0"}}
OTHER_MACHINE = {"host": "0123456789abcdef"}
OTHER_TEMPLATE = {"template": TemplateData("crashing", "0" * 64)}
OTHERS = (OTHER_MACHINE, OTHER_TEMPLATE)


class Counted(measurer.Measurer):
    """A real one; how many there were."""

    started = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        type(self).started += 1
        super().__init__(*arguments, **options)


@pytest.fixture(autouse=True)
def _counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Counted, "started", 0)
    monkeypatch.setattr(measurer, "Measurer", Counted)


def record_of(number: int, seconds: float, **facts: Any) -> Record:
    record = make_record(
        MeasureResult(state="ok", costs=(seconds,), seconds=seconds, interval=(seconds, seconds)),
        workload=TASK.workload.to_json(),
        template=TemplateData("crashing", TASK.template_hash),
        target=target_data(TASK.target, TASK.threads),
        config={"number": number},
    )
    return msgspec.structs.replace(record, **facts)


def records_of(numbers: tuple[int, ...], **facts: Any) -> list[Record]:
    """Records of configurations, the best first."""
    return [record_of(number, 1e-6 * place, **facts) for place, number in enumerate(numbers, 1)]


def build_crashing() -> Kernel:
    return build(crashing, threads=1, **PARAMS)


def is_right(kernel: Kernel) -> bool:
    a = np.arange(SIZE, dtype=np.float32)
    return bool(np.array_equal(kernel(a), 2 * a))


def test_row_30_what_crashes_or_is_wrong_is_passed_over_with_1_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records, pid = records_of((CRASHES, WRONG, NEXT, RIGHT), **OTHER_COMPILER), os.getpid()
    with RecordStore(tmp_path / "tune.db") as store:
        store.add_all(records)
        store.add_playoff(records[0])
    with caplog.at_level(logging.WARNING), apply_best(tmp_path / "tune.db"):
        kernels = [build_crashing() for _ in range(3)]
    assert [kernel.record for kernel in kernels] == [records[2]] * 3
    assert is_right(kernels[0])
    (warning,) = [record.getMessage() for record in caplog.records]
    last = explain()[-1]
    assert last.source == "record"
    for text in (warning, last.reason):
        for word in ("quarantine", "made by tilewright 0.0.1", "SIGSEGV", "wrong_result"):
            assert word in text
    assert "validated: it ran right in a child process here" in last.reason
    assert Counted.started == 1
    # The verdicts are kept: nothing is tried in another process, or by others in this one.
    with apply_best(records):
        assert build_crashing().record == records[2]
    assert Counted.started == 1
    assert os.getpid() == pid


def test_row_30_where_nothing_works_the_default_is_built(caplog: pytest.LogCaptureFixture) -> None:
    with apply_best(records_of((CRASHES,), **OTHER_MACHINE)):
        kernel = build_crashing()
    assert kernel.config == TASK.default_config
    assert kernel.record is None
    assert is_right(kernel)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "the default is used" in warning
    assert explain()[-1].source == "default"
    assert "imported from another machine: crash" in explain()[-1].reason


@pytest.mark.parametrize("facts", OTHERS, ids=str)
def test_row_30_what_others_made_is_tried(facts: Any) -> None:
    (record,) = records_of((NEXT,), **facts)
    assert describe_origin(record, TASK) is not None
    with apply_best([record]):
        assert build_crashing().record == record
    assert Counted.started == 1


def test_row_30_what_was_measured_here_is_tried_only_if_asked() -> None:
    own, strange = records_of((NEXT,)), records_of((NEXT,), **OTHER_COMPILER)
    assert describe_origin(own[0], TASK) is None
    for records, verify, count in ((own, None, 0), (strange, False, 0), (own, True, 1)):
        with apply_best(records, verify=verify):
            assert build_crashing().record == records[0]
            build_crashing()
        assert Counted.started == count


def test_row_30_a_worker_that_cannot_start_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limits leave it no memory; the verdict is not kept, for the next start may have some."""
    from tilewright.measure.outcome import WorkerLimits

    class Starved(Counted):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options, limits=WorkerLimits(address_bytes=1 << 27))

    record = record_of(RIGHT, 1e-6)
    with monkeypatch.context() as patch, Sandbox() as sandbox:
        patch.setattr(measurer, "Measurer", Starved)
        assert sandbox.find_fault(record, TASK) is not None
    with Sandbox() as sandbox:
        assert sandbox.find_fault(record, TASK) is None


@pytest.mark.slow
def test_row_30_what_hangs_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hasty(Counted):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options, timeouts=hasty(1.0))

    monkeypatch.setattr(measurer, "Measurer", Hasty)
    with apply_best(records_of((HANGS, NEXT), **OTHER_COMPILER)):
        assert build_crashing().config.to_json() == {"number": NEXT}
    assert "run_timeout" in explain()[-1].reason


def test_row_30_a_record_that_no_longer_fits_leaves_the_next_best(caplog: pytest.LogCaptureFixture) -> None:
    with apply_best(records_of((len(ENDS), NEXT))):
        assert build_crashing().config.to_json() == {"number": NEXT}
    assert "no longer fits the template" in caplog.text
    assert Counted.started == 0


TVM, OURS = "0.18.0", f"tilewright-{tilewright.__version__}"


def log_of(numbers: tuple[int, ...], version: str) -> io.StringIO:
    """AutoTVM's log of configurations, the best first."""
    lines = [
        AutoTVMLine(
            target="llvm",
            task="crashing",
            args=(SIZE, PARAMS["ends"]),
            kwargs={},
            index=number,
            code_hash=None,
            entity=(("number", "ot", number),),
            costs=(1e-6 * place,),
            error_no=0,
            all_cost=0.1,
            timestamp=1.6e9,
            tvm_version=version,
        )
        for place, number in enumerate(numbers, 1)
    ]
    return io.StringIO("".join(format_line(line) + "\n" for line in lines))


def test_row_30_the_best_of_autotvms_log_is_tried_too(caplog: pytest.LogCaptureFixture) -> None:
    with autotvm.apply_history_best(log_of((CRASHES, WRONG, NEXT, RIGHT), TVM)):
        kernels = [build_crashing() for _ in range(2)]
    assert [kernel.config.to_json() for kernel in kernels] == [{"number": NEXT}] * 2
    assert is_right(kernels[0])
    (warning,) = [record.getMessage() for record in caplog.records]
    for word in ("quarantine", "made by tvm 0.18.0", "SIGSEGV", "wrong_result"):
        assert word in warning
    assert "validated: it ran right in a child process here" in explain()[-1].reason
    assert Counted.started == 1


def test_row_30_where_nothing_of_autotvms_log_works_the_default_is_built() -> None:
    with autotvm.apply_history_best(log_of((CRASHES,), "tilewright-0.0.1")):
        assert build_crashing().config == TASK.default_config
    assert "made by tilewright 0.0.1: crash" in explain()[-1].reason


def test_row_30_a_log_of_our_own_and_what_a_script_prefers_are_not_tried() -> None:
    history = autotvm.apply_history_best(log_of((NEXT,), OURS))
    with history:
        assert build_crashing().config.to_json() == {"number": NEXT}
        assert Counted.started == 0
        config = autotvm.ConfigEntity.of(TASK.space.from_values({"number": RIGHT}))
        history.update("llvm", ("crashing", SIZE, PARAMS["ends"]), config)
        assert build_crashing().config.to_json() == {"number": RIGHT}
    assert Counted.started == 0


def test_row_30_a_kernel_for_another_cpu_cannot_be_tried_here() -> None:
    other = make_task(crashing, Target.named("skylake-avx512", ("-avx512vnni",)), 1, PARAMS)
    record = msgspec.structs.replace(
        record_of(NEXT, 1e-6, **OTHER_MACHINE), target=target_data(other.target, other.threads)
    )
    choice = apply_best([record]).choose(other)
    assert choice.record == record
    assert Counted.started == 0
