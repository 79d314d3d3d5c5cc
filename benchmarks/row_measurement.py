"""Measuring one row: the limit, the best form of each library, Tilewright untuned and tuned, in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from comparison import Ratio, speed_ratio
from interleave import Times, one_core, take_rounds, tune_and_build
from libraries.form import Form, Maker
from libraries.problem import Array, ProblemError, describe, images_first
from rows import Row

from tilewright.cli.contest import make_runner
from tilewright.compiler.kernel import Kernel
from tilewright.compiler.peak import reference_loop
from tilewright.compiler.target import Target
from tilewright.deploy import make_task
from tilewright.measure.inputs import make_inputs
from tilewright.measure.slices import Runner
from tilewright.measure.verify import ROUNDING
from tilewright.templates.task import Task
from tilewright.tuning.history import operations

SLICE_SECONDS = 0.03
COLD_SLICE_SECONDS = 0.002  # of calls, each of which is preceded by a longer walk through memory
CHOICE_ROUNDS = 3
TOLERANCE = 1e-4  # of the largest result; a sum in bfloat16 is off by more
# The loops that say what arithmetic allows, by the type of the operands; ``compute`` for the others.
PEAKS = {"uint8": "int8", "int8": "int8", "bfloat16": "bfloat16"}
OURS = ("default", "tuned")


class WrongResultError(Exception):
    """What was computed is not what the row asks for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows are measured: trials of tuning, the database, rounds of timing."""

    trials: int
    db: Path
    rounds: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found of a row.

    Attributes:
        row: it.
        flops: operations of one call.
        operand_bytes: what it reads and writes once at least: its work where it does no arithmetic.
        times: the seconds of a call in each round, by contestant; those of the limit are what it allows.
        forms: of each library, the best.
        failed: libraries that raised, or computed something else, and why.
        configs: default and tuned.
        cold: the times of the tuned kernel and the best library where caches are cold, if asked for.
    """

    row: Row
    flops: int
    operand_bytes: int
    times: Times
    forms: dict[str, str]
    failed: dict[str, str]
    configs: dict[str, str]
    cold: Times = field(default_factory=dict)

    @property
    def best(self) -> str | None:
        """The library with the best median."""
        return min(self.forms, key=lambda name: float(np.median(self.times[name])), default=None)

    def speed(self, name: str) -> float | None:
        """The median GFLOP/s or GB/s of a contestant, if it took part."""
        work = self.flops or self.operand_bytes
        return work / float(np.median(self.times[name])) / 1e9 if name in self.times else None

    def ratio(self, name: str, other: str) -> Ratio:
        """The speed of one contestant to another's."""
        return speed_ratio(self.times[name], self.times[other])

    @property
    def to_best(self) -> Ratio | None:
        """The tuned speed to the best library's."""
        return None if self.best is None else self.ratio("tuned", self.best)

    @property
    def cold_to_best(self) -> Ratio | None:
        """The same where caches are cold."""
        return None if len(self.cold) < 2 else speed_ratio(*self.cold.values())

    def to_json(self) -> dict[str, Any]:
        """All figures."""
        to_best, cold = self.to_best, self.cold_to_best
        return {
            "row": self.row.name,
            "op": self.row.op,
            "params": self.row.params,
            "flops": self.flops,
            "operand_bytes": self.operand_bytes,
            "limit": self.row.limit,
            "gflops" if self.flops else "gbytes": {name: self.speed(name) for name in self.times},
            "best_library": self.best,
            "tuned_to_best": to_best and to_best.to_json(),
            "tuned_to_limit": self.ratio("tuned", self.row.limit).to_json(),
            "default_to_tuned": self.ratio("default", "tuned").to_json(),
            "cold_tuned_to_best": cold and cold.to_json(),
            "forms": self.forms,
            "failed": self.failed,
            "configs": self.configs,
            "seconds": {name: times.tolist() for name, times in self.times.items()},
            "cold_seconds": {name: times.tolist() for name, times in self.cold.items()},
        }


def measure_row(
    row: Row, makers: Mapping[str, Maker], plan: Plan, only_ours: Mapping[str, Any] | None = None
) -> Measured:
    """Tune a row and time it; ``only_ours`` are parameters that other libraries do not know.

    Raises:
        TilewrightError: the operator cannot be built or tuned.
        WrongResultError: a kernel of ours computes something else.
    """
    task = make_task(row.op, None, 1, row.params)
    extra = dict(only_ours or {})
    kernels = tune_and_build(row.op, {**row.params, **extra}, plan.trials, plan.db)
    arrays = make_inputs(kernels["tuned"].inputs)
    expected = reference(task, arrays)
    allowed = max(TOLERANCE, ROUNDING.get(kernels["tuned"].outputs[0].dtype, 0.0))
    tolerance = max([allowed, *(value for value in extra.values() if isinstance(value, float))])
    for name in OURS:
        check(name, kernels[name](*arrays), expected, tolerance)
    with one_core():
        forms, failed = choose_forms(makers, task, arrays, expected, allowed)
        limit, scale = limit_of(row, task, arrays, expected)
        runners = {name: call_runner(kernels[name], arrays) for name in OURS}
        contestants = {row.limit: limit, **{name: form.run for name, form in forms.items()}, **runners}
        times = take_rounds(contestants, lambda count: count < plan.rounds, SLICE_SECONDS)
        times[row.limit] *= scale
        names = {name: form.name for name, form in forms.items()}
        configs = {name: str(kernels[name].config) for name in OURS}
        work = operations(task), operand_bytes(arrays, expected)
        found = Measured(row, *work, times, names, failed, configs)
        if row.kind == "accuracy" and found.best is not None:
            pair = {name: contestants[name] for name in ("tuned", found.best)}
            found.cold.update(time_cold(pair, plan.rounds))
    return found


def call_runner(kernel: Kernel, arrays: Sequence[Array]) -> Runner:
    """A runner of a kernel as a user calls it: from Python, as all libraries are; constants are bound."""
    bound, others = kernel.bind_among(arrays) if kernel.constants else (kernel, list(arrays))
    out = bound(*others)
    return make_runner(lambda: bound(*others, out=out))


def reference(task: Task, arrays: Sequence[Array]) -> Array:
    """What NumPy computes in double precision."""
    assert task.reference is not None
    result: Array = task.reference(*(array.astype(np.float64) for array in arrays))
    return result


def check(name: str, result: Array, expected: Array, tolerance: float = TOLERANCE) -> None:
    """Refuse a result that is not what it should be.

    Raises:
        WrongResultError: it differs.
    """
    if result.shape != expected.shape:
        raise WrongResultError(f"{name}: the result has the shape {result.shape}, not {expected.shape}")
    error = float(np.max(np.abs(result.astype(np.float64) - expected)) / np.max(np.abs(expected)))
    if not error <= tolerance:
        raise WrongResultError(f"{name}: the result is wrong by {error:.2g} of the largest element")


def choose_forms(
    makers: Mapping[str, Maker],
    task: Task,
    arrays: Sequence[Array],
    expected: Array,
    tolerance: float = TOLERANCE,
) -> tuple[dict[str, Form], dict[str, str]]:
    """The fastest form of each library, all forms checked; and why libraries failed."""
    chosen: dict[str, Form] = {}
    failed: dict[str, str] = {}
    try:
        problem = describe(task, arrays, expected)
        expected = images_first(task, expected)
    except ProblemError:
        return chosen, failed
    for name, make in makers.items():
        try:
            forms = {form.name: form for form in make(problem)}
            for form in forms.values():
                check(form.name, form.result(), expected, tolerance)
        except Exception as error:  # whatever a library raises, the others go on
            failed[name] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            continue
        if forms:
            chosen[name] = fastest(forms)
    return chosen, failed


def fastest(forms: Mapping[str, Form]) -> Form:
    """The form with the best median of a few rounds."""
    if len(forms) == 1:
        return next(iter(forms.values()))
    runners = {name: form.run for name, form in forms.items()}
    times = take_rounds(runners, lambda count: count < CHOICE_ROUNDS)
    return forms[min(times, key=lambda name: float(np.median(times[name])))]


def limit_of(row: Row, task: Task, arrays: Sequence[Array], result: Array) -> tuple[Runner, float]:
    """The loop of known work that bounds the row, and what turns its time into the row's least time."""
    if row.limit == "peak":
        loop = reference_loop(PEAKS.get(str(task.workload.arguments["dtype"]), "compute"))
        return loop.run, operations(task) / loop.work
    size = operand_bytes(arrays, result)
    loop = reference_loop("bandwidth", size)
    return loop.run, size / loop.work


def operand_bytes(arrays: Sequence[Array], result: Array) -> int:
    """What is read and written once at least; the result has the type of the first operand."""
    return sum(array.nbytes for array in arrays) + result.size * arrays[0].itemsize


def time_cold(runners: Mapping[str, Runner], rounds: int) -> Times:
    """The seconds of a call whose operands are in no cache."""
    walked = np.ones(2 * Target.host().l3_bytes // 4, np.float32)

    def cold(run: Runner) -> Runner:
        def run_cold(repeats: int) -> int:
            total = 0
            for _ in range(repeats):
                np.add(walked, 1, out=walked)
                total += run(1)
            return total

        return run_cold

    colds = {name: cold(run) for name, run in runners.items()}
    return take_rounds(colds, lambda count: count < rounds, COLD_SLICE_SECONDS)
