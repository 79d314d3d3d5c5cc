"""`autotvm.task`: spaces, templates, tasks and what is in force."""

from tilewright.tvm.absent import refuse_absent
from tilewright.tvm.autotvm.task import dispatcher, space, task
from tilewright.tvm.autotvm.task.dispatcher import ApplyConfig, DispatchContext, FallbackContext
from tilewright.tvm.autotvm.task.history_best import ApplyHistoryBest
from tilewright.tvm.autotvm.task.space import (
    AnnotateEntity,
    ConfigEntity,
    ConfigSpace,
    FallbackConfigEntity,
    OtherOptionEntity,
    ReorderEntity,
    SplitEntity,
)
from tilewright.tvm.autotvm.task.task import (
    FlopCalculationError,
    Task,
    args_to_workload,
    compute_flop,
    create,
    deserialize_args,
    get_config,
    serialize_args,
    template,
)

__getattr__ = refuse_absent(__name__)

__all__ = [
    "AnnotateEntity",
    "ApplyConfig",
    "ApplyHistoryBest",
    "ConfigEntity",
    "ConfigSpace",
    "DispatchContext",
    "FallbackConfigEntity",
    "FallbackContext",
    "FlopCalculationError",
    "OtherOptionEntity",
    "ReorderEntity",
    "SplitEntity",
    "Task",
    "args_to_workload",
    "compute_flop",
    "create",
    "deserialize_args",
    "dispatcher",
    "get_config",
    "serialize_args",
    "space",
    "task",
    "template",
]
