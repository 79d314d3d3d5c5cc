"""Where a trial's time goes: matmul 512 cubed on one thread, one worker, random configurations."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

import numpy as np
from interleave import parser, table, write_json

from tilewright.compiler.build import LINE_LIMIT, compile_program, lower_program, write_llvm
from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.target import Target
from tilewright.measure.measurer import Measurer
from tilewright.measure.result import MeasureInput
from tilewright.templates.config import Config
from tilewright.templates.task import Task

T = TypeVar("T")
MILLI = 1e3


def main() -> None:
    """Take the steps of building apart in this process; measure whole trials in a worker."""
    options = parser(__doc__)
    options.add_argument("--size", type=int, default=512)
    options.add_argument("--trials", type=int, default=40)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    task = Task.create("matmul", Target.host(), 1, m=given.size, n=given.size, k=given.size)
    rng = np.random.default_rng(given.seed)
    configs = [task.space.config(int(index)) for index in task.space.sample(given.trials, rng, set())]
    steps = [found for config in configs if (found := take_apart(task, config)) is not None]
    trials = measure_trials(task, configs)
    rows = [(name, median(step[name] for step in steps)) for name in steps[0]]
    rows += [(name, median(trial[name] for trial in trials)) for name in trials[0]]
    print(table(["median of " + str(len(steps)), "ms"], [[name, ms] for name, ms in rows]))
    write_json(given.json, {"size": given.size, "trials": len(trials), "milliseconds": dict(rows)})


def take_apart(task: Task, config: Config) -> dict[str, float] | None:
    """The milliseconds of each step of building one configuration; None where it is too large."""
    try:
        program, template = timed(lambda: task.instantiate(config))
        _, lowering = timed(lambda: lower_program(program))
        _, to_llvm = timed(lambda: write_llvm(program, task.target, task.threads, LINE_LIMIT))
        code, compiling = timed(lambda: compile_program(program, task.target, task.threads))
    except TilewrightError:
        return None
    _, loading = timed(lambda: load_kernel(code))
    return {
        "template": template,
        "lowering": lowering,
        "writing LLVM IR": to_llvm - lowering,
        "LLVM": compiling - to_llvm,
        "loading": loading,
    }


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """What a call returns, and the milliseconds that it took."""
    start = time.perf_counter()
    result = call()
    return result, (time.perf_counter() - start) * MILLI


def measure_trials(task: Task, configs: list[Config]) -> list[dict[str, float]]:
    """The milliseconds of the phases of whole trials that went well, the first left out."""
    found = []
    with Measurer(task.target, task.threads, workers=1) as measurer:
        for config in configs:
            start = time.perf_counter()
            trial = MeasureInput(task.instantiate(config), task.workload.key)
            (result,) = measurer.measure([trial])
            whole = (time.perf_counter() - start) * MILLI
            if result.state in ("ok", "slow"):
                phases = (result.build_seconds, result.verify_seconds, result.run_seconds)
                build, verify, timing = (s * MILLI for s in phases)
                names = (
                    "trial: building",
                    "trial: verifying",
                    "trial: timing",
                    "trial: the rest",
                    "trial: whole",
                )
                spans = (build, verify, timing, whole - build - verify - timing, whole)
                found.append(dict(zip(names, spans, strict=True)))
    return found[1:] or found


if __name__ == "__main__":
    main()
