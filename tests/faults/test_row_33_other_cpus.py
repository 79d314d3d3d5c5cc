"""Row 33: records of another CPU or of other features are never put in force here."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.scaling import scaling
from tilewright.compiler.target import Target
from tilewright.deploy import build, explain, make_task
from tilewright.logs.apply import apply_best
from tilewright.logs.record import Record, TargetData, TemplateData, make_record
from tilewright.logs.store import RecordStore
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
    cpu, features, threads = mix
    expected = f"made on another CPU ({cpu})"
    if cpu == HOST.cpu:
        other = features != HOST.feature_hash
        expected = "other features" if other else f"another number of threads ({threads})"
    assert expected in explain()[-1].reason


def test_row_33_explain_tells_the_other_cpus_of_a_database(tmp_path: Path) -> None:
    records = [record_of(*mix) for mix in MIXES]
    with RecordStore(tmp_path / "tune.db") as store:
        store.add_all(records)
        assert {record.key for record in store.iter_samples("scaling")} == {r.key for r in records}
        assert list(store.iter_samples("matmul")) == []
    with apply_best(tmp_path / "tune.db"):
        build(scaling, n=64, threads=1)
        build(scaling, n=65, threads=1)
    told, other = explain()[-2:]
    assert f"another CPU ({', '.join(sorted(CPUS))})" in told.reason
    assert other.reason == "no record for this key is in force"


def test_row_33_the_record_of_this_very_machine_is_applied() -> None:
    record = record_of(HOST.cpu, HOST.feature_hash, 1)
    with apply_best([record]):
        assert build(scaling, n=64, threads=1).record == record
