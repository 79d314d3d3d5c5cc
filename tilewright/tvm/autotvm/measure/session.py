"""A measuring session: batches of candidates in, results out, by our own workers or by a user's classes."""

import time
from contextlib import ExitStack
from typing import Any, Self

from tilewright.compiler.errors import TilewrightError
from tilewright.logs.formats.autotvm import ERROR_OF_STATE
from tilewright.measure.measurer import Measurer, Timeouts
from tilewright.measure.result import MeasureInput as Trial
from tilewright.measure.result import MeasureResult as Outcome
from tilewright.measure.result import failed
from tilewright.tuning.reference import provide_reference, reference_kind
from tilewright.tvm.autotvm.measure.measure import MeasureInput, MeasureResult
from tilewright.tvm.autotvm.measure.measure_methods import LocalBuilder, LocalRunner
from tilewright.tvm.autotvm.task.definition import Task


class Session:
    """Measures candidates of one task; workers start with the first batch and end with the session."""

    def __init__(self, task: Task, option: dict[str, Any]) -> None:
        self.task, self.builder, self.runner = task, option["builder"], option["runner"]
        self.is_local = isinstance(self.builder, LocalBuilder) and isinstance(self.runner, LocalRunner)
        self._measurer: Measurer | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if not self.is_local:
            self.runner.set_task(self.task)
            self.builder.set_task(self.task, self.runner.get_build_kwargs())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def measure(self, inputs: list[MeasureInput]) -> list[MeasureResult]:
        """The results of candidates, in their order."""
        if not self.is_local:
            results = self.runner.run(inputs, self.builder.build(inputs))
            return [MeasureResult(*result) for result in results]
        outcomes: dict[int, Outcome] = {}
        trials: dict[int, Trial] = {}
        for place, each in enumerate(inputs):
            try:
                program = self.task.core.instantiate(each.config)
                trials[place] = Trial(
                    program, self.task.core.workload.key, 0, reference_kind(self.task.core, program)
                )
            except TilewrightError as error:
                outcomes[place] = failed("invalid", str(error))
        if trials:
            found = self._workers(next(iter(trials.values()))).measure(list(trials.values()))
            outcomes.update(zip(trials, found, strict=True))
        return [_result(outcomes[place]) for place in range(len(inputs))]

    def _workers(self, trial: Trial) -> Measurer:
        if self._measurer is None:
            core = self.task.core
            limits = Timeouts(compiling=self.builder.timeout, timing=self.runner.timeout)
            self._measurer = self._stack.enter_context(Measurer(core.target, core.threads, timeouts=limits))
            provide_reference(core, trial.program, self._measurer)
        return self._measurer


def _result(outcome: Outcome) -> MeasureResult:
    spent = outcome.build_seconds + outcome.verify_seconds + outcome.run_seconds
    error_no = ERROR_OF_STATE[outcome.state]
    costs = (outcome.seconds,) if error_no == 0 else (RuntimeError(outcome.error or outcome.state),)
    return MeasureResult(costs, error_no, spent, time.time())


__all__ = ["Session"]
