"""`autotvm.measure`: candidates, results, and where they are measured."""

from tilewright.tvm.autotvm.measure import executor, measure, measure_methods
from tilewright.tvm.autotvm.measure.executor import LocalExecutor
from tilewright.tvm.autotvm.measure.measure import (
    Builder,
    MeasureErrorNo,
    MeasureInput,
    MeasureResult,
    Runner,
)
from tilewright.tvm.autotvm.measure.measure_methods import LocalBuilder, LocalRunner, measure_option

__all__ = [
    "Builder",
    "LocalBuilder",
    "LocalExecutor",
    "LocalRunner",
    "MeasureErrorNo",
    "MeasureInput",
    "MeasureResult",
    "Runner",
    "executor",
    "measure",
    "measure_methods",
    "measure_option",
]
