"""Search with a cost model."""

from typing import Any

from tilewright.tvm.autotvm.task.definition import Task
from tilewright.tvm.autotvm.tuner.tuner import Tuner
from tilewright.tvm.ignored import warn_ignored

_AUTOTVM_OPTIONS = (
    "plan_size",
    "feature_type",
    "loss_type",
    "num_threads",
    "optimizer",
    "diversity_filter_ratio",
    "log_interval",
)


class XGBTuner(Tuner):
    """Boosted trees and a Gaussian process; AutoTVM's options of its model have no counterpart."""

    search = "xgb"

    def __init__(self, task: Task, *positional: Any, **options: Any) -> None:
        given = dict(zip(_AUTOTVM_OPTIONS, positional, strict=False))
        given |= {name: options.pop(name) for name in _AUTOTVM_OPTIONS if name in options}
        warn_ignored("XGBTuner", given)
        # Constraints may have been added to the space since its default was chosen.
        space, default = task.config_space.space(), task.core.default_config
        start = [default] if space.is_valid(space.index(default)) else []
        super().__init__(task, start=start, **options)


__all__ = ["XGBTuner"]
