"""AutoTVM's names: templates, tasks, tuners, measurement, records and dispatch."""

from tilewright.tvm.absent import refuse_absent
from tilewright.tvm.autotvm import database, feature, measure, record, task, tuner
from tilewright.tvm.autotvm.measure import (
    LocalBuilder,
    LocalRunner,
    MeasureErrorNo,
    MeasureInput,
    MeasureResult,
    measure_option,
)
from tilewright.tvm.autotvm.task import (
    ApplyConfig,
    ApplyHistoryBest,
    ConfigEntity,
    ConfigSpace,
    DispatchContext,
    FallbackConfigEntity,
    FallbackContext,
    get_config,
    template,
)
from tilewright.tvm.autotvm.task import ApplyHistoryBest as apply_history_best  # noqa: N813 - TVM's name
from tilewright.tvm.autotvm.tuner import callback

__getattr__ = refuse_absent(__name__)

__all__ = [
    "ApplyConfig",
    "ApplyHistoryBest",
    "ConfigEntity",
    "ConfigSpace",
    "DispatchContext",
    "FallbackConfigEntity",
    "FallbackContext",
    "LocalBuilder",
    "LocalRunner",
    "MeasureErrorNo",
    "MeasureInput",
    "MeasureResult",
    "apply_history_best",
    "callback",
    "database",
    "feature",
    "get_config",
    "measure",
    "measure_option",
    "record",
    "task",
    "template",
    "tuner",
]
