"""Records for the tests of this folder."""

from datetime import UTC, datetime
from typing import Any

from tilewright.logs.record import Record, TargetData, TemplateData, make_record
from tilewright.measure.result import MeasureResult

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OK = MeasureResult(
    state="ok", costs=(1e-4, 1.1e-4), seconds=1e-4, interval=(0.9e-4, 1.1e-4), reference_ratio=50.0
)


def make(result: MeasureResult = OK, **options: Any) -> Record:
    defaults: dict[str, Any] = {
        "workload": {"op": "matmul", "args": {"m": 64, "n": 32, "k": 16, "dtype": "float32"}},
        "template": TemplateData("matmul", "abc"),
        "target": TargetData("znver5", "f00", 1),
        "config": {"tile": [4, 8], "order": "ikj", "unroll": True},
        "index": 7,
        "at": AT,
        "seed": 0,
    }
    return make_record(result, **{**defaults, **options})


def cost(seconds: float, ratio: float | None = None) -> MeasureResult:
    return MeasureResult(
        state="ok", costs=(seconds,), seconds=seconds, interval=(seconds, seconds), reference_ratio=ratio
    )
