"""A measurer that knows its answers: costs by the split factor of the `scaling` template."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Self

from tilewright.compiler.program import Program
from tilewright.measure.playoff import PlayoffEntry, PlayoffResult
from tilewright.measure.result import MeasureInput, MeasureResult, failed


def factor_of(trial: MeasureInput) -> int:
    (step,) = json.loads(trial.program.to_json())["steps"]
    return int(step["factor"])


class FakeMeasurer:
    """Costs fall with the factor; `crashes` are factors whose kernels crash."""

    started = 0
    measured: tuple[int, ...] = ()
    playoffs = 0
    crashes: tuple[int, ...] = ()
    baselines: tuple[float, ...] = ()
    slowness = 1.0  # by which all costs are multiplied

    def __init__(self, target: object, threads: int) -> None:
        type(self).started += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def expect(self, workload: str, seconds: float) -> None:
        pass

    def compare_with(self, workload: str, program: Program, seconds: float) -> None:
        type(self).baselines += (seconds,)

    def provide_reference(
        self, workload: str, outputs: Sequence[Any], reduction_length: int, sum_dtype: str = ""
    ) -> None:
        pass

    def iter_results(self, inputs: Sequence[MeasureInput]) -> Iterator[tuple[int, MeasureResult]]:
        position = 0
        while position < len(inputs):
            factor = factor_of(inputs[position])
            type(self).measured += (factor,)
            yield position, self._result(factor)
            position += 1

    def playoff(self, inputs: Sequence[MeasureInput]) -> PlayoffResult:
        type(self).playoffs += 1
        costs = [1e-3 / factor_of(trial) for trial in inputs]
        entries = [
            PlayoffEntry(state="ok", costs=(c,), seconds=c, interval=(c, c), reference_ratio=c) for c in costs
        ]
        return PlayoffResult(tuple(entries), costs.index(min(costs)), 8)

    def _result(self, factor: int) -> MeasureResult:
        if factor in self.crashes:
            return failed("crash", "the worker was ended by SIGSEGV", "SIGSEGV")
        cost = self.slowness * 1e-3 / factor
        return MeasureResult(
            state="ok", costs=(cost,), seconds=cost, interval=(cost, cost), reference_ratio=cost
        )
