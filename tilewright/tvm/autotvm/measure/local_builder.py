"""Compiling in this process, for a runner of one's own."""

import time
from typing import Any, NamedTuple

from tilewright.compiler.errors import TilewrightError
from tilewright.tvm.autotvm.measure.measure import Builder, MeasureErrorNo, MeasureInput, MeasureResult
from tilewright.tvm.driver import build
from tilewright.tvm.ignored import warn_ignored


class BuildResult(NamedTuple):
    """A candidate that was compiled; `tvm.runtime.load_module(filename)` is its module."""

    filename: Any
    arg_info: tuple[tuple[tuple[int, ...], str], ...]
    error: Exception | None
    time_cost: float


class LocalBuilder(Builder):
    """Compiles in worker processes; with a runner of one's own, in this process."""

    def __init__(self, timeout: float = 10, n_parallel: int | None = None, **options: Any) -> None:
        super().__init__(timeout, n_parallel)
        warn_ignored("LocalBuilder", options)

    def build(self, measure_inputs: list[MeasureInput]) -> list[Any]:
        """What was compiled of each input, or the result of one that failed."""
        return [_build(each) for each in measure_inputs]


def _build(each: MeasureInput) -> BuildResult | MeasureResult:
    started, error_no = time.time(), MeasureErrorNo.INSTANTIATION_ERROR
    try:
        schedule, args = each.task.instantiate(each.config)
        error_no = MeasureErrorNo.COMPILE_HOST
        module = build(schedule, args, target=each.target)
    except TilewrightError as error:
        return MeasureResult((error,), error_no, time.time() - started, time.time())
    shapes = tuple((tensor.shape, tensor.dtype) for tensor in args)
    return BuildResult(module, shapes, None, time.time() - started)


__all__ = ["BuildResult", "LocalBuilder"]
