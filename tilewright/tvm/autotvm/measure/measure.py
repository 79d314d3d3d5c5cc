"""`autotvm.measure.measure`: what is measured and what came of it."""

from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tilewright.tvm.autotvm.task.definition import Task
    from tilewright.tvm.autotvm.task.entity import ConfigEntity
    from tilewright.tvm.target import Target


class MeasureErrorNo(IntEnum):
    """How a trial ended."""

    NO_ERROR = 0
    INSTANTIATION_ERROR = 1
    COMPILE_HOST = 2
    COMPILE_DEVICE = 3
    RUNTIME_DEVICE = 4
    WRONG_ANSWER = 5
    BUILD_TIMEOUT = 6
    RUN_TIMEOUT = 7
    UNKNOWN_ERROR = 8


class MeasureInput(NamedTuple):
    """A configuration of a task on a target."""

    target: "Target"
    task: "Task"
    config: "ConfigEntity"


class MeasureResult(NamedTuple):
    """Seconds of one call, one number a sample; of a failure its messages."""

    costs: tuple[Any, ...]
    error_no: int
    all_cost: float
    timestamp: float


class _Worker:
    def __init__(self, timeout: float = 10, n_parallel: int | None = None) -> None:
        self.timeout, self.n_parallel = timeout, n_parallel
        self.task: Task | None = None

    def set_task(self, task: "Task", build_kwargs: Any = None) -> None:
        """Take note of the task that is tuned, before its first batch."""
        self.task = task


class Builder(_Worker):
    """Compiles candidates: a subclass of one's own offers `build`."""

    def build(self, measure_inputs: list[MeasureInput]) -> list[Any]:
        """What `Runner.run` takes of each input."""
        raise NotImplementedError("a builder of one's own offers build(measure_inputs)")


class Runner(_Worker):
    """Times what a builder made: a subclass of one's own offers `run`."""

    def get_build_kwargs(self) -> dict[str, Any]:
        """What the builder has to know: nothing."""
        return {}

    def run(self, measure_inputs: list[MeasureInput], build_results: list[Any]) -> list[MeasureResult]:
        """The result of each input."""
        raise NotImplementedError("a runner of one's own offers run(measure_inputs, build_results)")


__all__ = ["Builder", "MeasureErrorNo", "MeasureInput", "MeasureResult", "Runner"]
