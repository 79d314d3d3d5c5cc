"""Row 33: records of another CPU or of other features are never put in force here."""

from itertools import product
from typing import Any

import pytest

from tests.scaling import scaling
from tilewright.compiler.target import Target
from tilewright.deploy import build, explain, make_task
from tilewright.logs.apply import apply_best
from tilewright.logs.record import Record, TargetData, TemplateData, make_record
from tilewright.measure.result import MeasureResult

CPUS = ("znver5", "x86-64-v2", "skylake-avx512", "apple-m1", "unknown")
FEATURES = ("0" * 16, "f" * 16, "")
TASK = make_task(scaling, None, 1, {"n": 64})
HOST = Target.host()


def record_of(cpu: str, features: str, threads: int) -> Record:
    return make_record(
        MeasureResult(state="ok", costs=(1e-6,), seconds=1e-6, interval=(1e-6, 1e-6)),
        workload=TASK.workload.to_json(),
        template=TemplateData("scaling", TASK.template_hash),
        target=TargetData(cpu, features, threads),
        config={"factor": 8},
    )


MIXES = [
    mix
    for mix in product((*CPUS, HOST.cpu), (*FEATURES, HOST.feature_hash), (1, 2))
    if mix != (HOST.cpu, HOST.feature_hash, 1)
]


@pytest.mark.parametrize("mix", MIXES, ids=str)
def test_row_33_no_mix_of_cpu_features_and_threads_but_this_is_applied(mix: Any) -> None:
    with apply_best([record_of(*mix)]):
        kernel = build(scaling, n=64, threads=1)
    assert kernel.record is None
    assert kernel.config == TASK.default_config
    assert explain()[-1].source == "default"


def test_row_33_the_record_of_this_very_machine_is_applied() -> None:
    record = record_of(HOST.cpu, HOST.feature_hash, 1)
    with apply_best([record]):
        assert build(scaling, n=64, threads=1).record == record
