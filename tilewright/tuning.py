"""The loop: ask a tuner for configurations, measure them, record the results, hold a play-off."""

from __future__ import annotations

import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.target import Target
from tilewright.deploy import make_task, task_key
from tilewright.logs.record import Record, TemplateData, make_record, target_data
from tilewright.logs.store import RecordStore
from tilewright.measure.builder import reduction_length
from tilewright.measure.inputs import make_inputs
from tilewright.measure.measurer import Measurer
from tilewright.measure.result import MeasureInput, MeasureResult, ReferenceKind, failed
from tilewright.templates.config import Config
from tilewright.templates.errors import ConfigError, InvalidConfigError, SpaceError
from tilewright.templates.task import Task
from tilewright.templates.template import Template
from tilewright.tuners import Budget, Observation, Tuner, make_tuner

BATCH = 8
FINALISTS = 4
# Operations per byte above which a kernel is timed beside multiply-adds, not beside reads of memory.
COMPUTE_BOUND = 4.0
VALID = ("ok",)
FAILED_STATES = (
    "invalid", "compile_error", "compile_timeout", "run_timeout", "crash", "wrong_result", "out_of_memory", "stale",
)  # fmt: skip


class NoValidConfig(TilewrightError):  # noqa: N818 - the name is part of the contract
    """Every trial of a workload failed; ``result`` holds what is known."""

    def __init__(self, message: str, result: TuneResult) -> None:
        super().__init__(message)
        self.result = result


@dataclass(frozen=True, slots=True)
class Best:
    """A configuration and its speed in the play-off."""

    seconds: float
    gflops: float
    config: dict[str, Any]
    index: int


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast the untuned default is."""

    seconds: float
    gflops: float


@dataclass(frozen=True, slots=True)
class TuneResult:
    """What a run found; the attributes are the keys of the command's JSON.

    ``trials`` were measured by this run, ``reused`` were in the database at its start; ``failed`` counts the
    failures of both by state.
    """

    op: str
    workload: dict[str, Any]
    best: Best | None
    default: Speed | None
    trials: int
    reused: int
    failed: dict[str, int]
    elapsed_seconds: float
    trials_per_second: float

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


class Progress(Protocol):
    """Follows a run."""

    def start(self, task: Task, total: int | None, reused: Sequence[Record]) -> None:
        """The run begins; ``total`` trials are wanted."""

    def trial(self, record: Record) -> None:
        """A trial ended."""

    def stage(self, text: str) -> None:
        """Something else is being done."""

    def finish(self) -> None:
        """The run is over."""


class Quiet:
    """No display."""

    def start(self, task: Task, total: int | None, reused: Sequence[Record]) -> None:
        """Nothing."""

    def trial(self, record: Record) -> None:
        """Nothing."""

    def stage(self, text: str) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


@dataclass(slots=True)
class _Run:
    """One tuning run under way."""

    task: Task
    store: RecordStore
    budget: Budget
    seed: int
    progress: Progress
    on_trial: Callable[[Record], None] | None
    key: str
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)
    records: list[Record] = field(default_factory=list)
    measured: int = 0
    started: float = field(default_factory=time.monotonic)
    best_seconds: float = float("inf")
    since_improvement: int = 0

    # -- what is known --------------------------------------------------------------------------

    def load(self) -> None:
        """Take over the trials that the database holds for this very template."""
        source = self.task.template_hash
        self.records = [r for r in self.store.trials(self.key) if r.template.source == source]
        for record in self.records:
            self._note(record)

    def hints(self) -> list[Config]:
        """The best configurations of another version of the template, to be measured first."""
        source = self.task.template_hash
        others = [r for r in self.store.trials(self.key) if r.template.source != source and r.state in VALID]
        others.sort(key=lambda r: r.seconds or float("inf"))
        return [c for r in others[:FINALISTS] if (c := self.config_of(r)) is not None]

    def config_of(self, record: Record) -> Config | None:
        """A record's configuration, if the space still has it."""
        try:
            return self.task.space.from_values(record.config)
        except (ConfigError, SpaceError):
            return None

    def observations(self) -> list[Observation]:
        """What the tuner may learn from."""
        found = []
        for record in self.records:
            config = self.config_of(record)
            if config is not None:
                found.append(Observation(config, record.seconds if record.state in ("ok", "slow") else None))
        return found

    def _note(self, record: Record) -> None:
        if record.state in VALID and record.seconds is not None and record.seconds < self.best_seconds:
            self.best_seconds = record.seconds
            self.since_improvement = 0
        else:
            self.since_improvement += 1

    # -- searching ------------------------------------------------------------------------------

    def is_spent(self) -> bool:
        """Whether a limit is reached."""
        elapsed = time.monotonic() - self.started
        return self.budget.is_spent(len(self.records), elapsed, self.since_improvement)

    def search(self, tuner: Tuner, measurer: Measurer) -> None:
        """Measure what the tuner proposes until the budget is spent or nothing is left."""
        while not self.is_spent():
            left = self.budget.trials_left(len(self.records))
            batch = tuner.next_batch(BATCH if left is None else min(BATCH, left))
            if not batch:
                return
            observed = [self._observe(config, record) for config, record in self._measure(batch, measurer)]
            tuner.update(observed)

    def _observe(self, config: Config, record: Record) -> Observation:
        return Observation(config, record.seconds if record.state in ("ok", "slow") else None)

    def _measure(self, batch: Sequence[Config], measurer: Measurer) -> Iterator[tuple[Config, Record]]:
        """Measure a batch; each result is stored before the next is looked at."""
        ready: list[tuple[Config, MeasureInput]] = []
        for config in batch:
            if not self.store.lease(self.key, config.to_json(), self.owner):
                continue
            try:
                ready.append((config, self.trial_input(config)))
            except InvalidConfigError as error:
                yield config, self._store(config, failed("invalid", str(error)))
        results = measurer.iter_results([trial for _, trial in ready])
        for position, result in results:
            config = ready[position][0]
            yield config, self._store(config, result)
            if self.is_spent():
                return

    def trial_input(self, config: Config) -> MeasureInput:
        """The program of a configuration, ready to be measured."""
        program = self.task.instantiate(config)
        return MeasureInput(program, self.task.workload.key, 0, reference_kind(self.task, program.inputs, program.outputs))

    def _store(self, config: Config, result: MeasureResult) -> Record:
        record = self.make_record(config, result)
        self.store.add(record)
        self.records.append(record)
        self.measured += 1
        self._note(record)
        self.progress.trial(record)
        if self.on_trial is not None:
            self.on_trial(record)
        return record

    def make_record(self, config: Config, result: MeasureResult) -> Record:
        """The record of a result."""
        return make_record(
            result,
            workload=self.task.workload.to_json(),
            template=TemplateData(self.task.template.name, self.task.template_hash),
            target=target_data(self.task.target, self.task.threads),
            config=config.to_json(),
            index=config.index,
            attempt=self.store.attempts(self.key, config.to_json()) + 1,
            seed=self.seed,
        )

    # -- deciding -------------------------------------------------------------------------------

    def finalists(self) -> list[Config]:
        """The default, then the best few."""
        valid = [r for r in self.records if r.state in VALID]
        valid.sort(key=lambda r: r.seconds or float("inf"))
        default = self.task.default_config
        configs = [default]
        for record in valid:
            config = self.config_of(record)
            if config is not None and config.index not in {c.index for c in configs}:
                configs.append(config)
            if len(configs) > FINALISTS:
                break
        failed_default = any(r.state in FAILED_STATES and r.config == default.to_json() for r in self.records)
        return configs[1:] if failed_default else configs

    def decide(self, measurer: Measurer) -> None:
        """Hold the play-off and store what won, after how the default did."""
        if not any(r.state in VALID for r in self.records):
            return
        self.progress.stage("play-off")
        configs = self.finalists()
        outcome = measurer.playoff([self.trial_input(config) for config in configs])
        entries = [(c, e) for c, e in zip(configs, outcome.entries, strict=True) if e.state == "ok"]
        if outcome.winner is None:
            return
        winner = configs[outcome.winner]
        for config, entry in sorted(entries, key=lambda pair: pair[0] is winner):
            if config is winner or config is configs[0]:
                result = MeasureResult(
                    state="ok",
                    costs=(entry.seconds or 0.0,),
                    seconds=entry.seconds,
                    interval=entry.interval,
                    reference_ratio=entry.reference_ratio,
                )
                self.store.add_playoff(self.make_record(config, result))

    def result(self) -> TuneResult:
        """What is known at the end."""
        flops = self.task.flops
        best = self.store.best(self.key)
        default = self._default_record()
        elapsed = time.monotonic() - self.started
        counts = Counter(r.state for r in self.records if r.state in FAILED_STATES)
        return TuneResult(
            op=self.task.workload.op,
            workload=self.task.workload.args,
            best=None if best is None else self._best(best, flops),
            default=None if default is None else Speed(*_speed(default, flops)),
            trials=self.measured,
            reused=len(self.records) - self.measured,
            failed=dict(sorted(counts.items())),
            elapsed_seconds=elapsed,
            trials_per_second=self.measured / elapsed if elapsed > 0 else 0.0,
        )

    def _best(self, record: Record, flops: int) -> Best:
        config = self.config_of(record)
        index = config.index if config is not None else record.index or 0
        return Best(*_speed(record, flops), record.config, index)

    def _default_record(self) -> Record | None:
        """How the default did: in the latest play-off, else in its trial."""
        wanted = self.task.default_config.to_json()
        for record in reversed([*self.records, *self.store.playoffs(self.key)]):
            if record.state in VALID and record.config == wanted:
                return record
        return None


def _speed(record: Record, flops: int) -> tuple[float, float]:
    seconds = record.seconds or float("nan")
    return seconds, flops / seconds / 1e9


def reference_kind(task: Task, inputs: Sequence[Any], outputs: Sequence[Any]) -> ReferenceKind:
    """What a kernel is likely bound by, from its operations per byte."""
    size = sum(prod(spec.shape) * np.dtype("float16" if spec.dtype == "bfloat16" else spec.dtype).itemsize
               for spec in (*inputs, *outputs))  # fmt: skip
    return "compute" if task.flops >= COMPUTE_BOUND * size else "bandwidth"


def provide_reference(task: Task, measurer: Measurer) -> None:
    """Compute the expected result once, in double precision, from the template's NumPy reference."""
    if task.reference is None:
        return
    program = task.instantiate(task.default_config)
    inputs = make_inputs(program.inputs)
    wide = [a.astype(np.float64) if np.issubdtype(a.dtype, np.floating) else a for a in inputs]
    try:
        expected = task.reference(*wide)
    except Exception as error:
        raise TilewrightError(f"the reference of {task.workload} failed: {type(error).__name__}: {error}") from error
    outputs = list(expected) if isinstance(expected, (tuple, list)) else [expected]
    for spec, output in zip(program.outputs, outputs, strict=True):
        if np.shape(output) != spec.shape:
            raise TilewrightError(
                f"the reference of {task.workload} gives shape {np.shape(output)} where the template's "
                f"{spec.name} has {spec.shape}"
            )
    measurer.provide_reference(task.workload.key, [np.asarray(o) for o in outputs], reduction_length(program))


def tune(
    op: str | Template,
    *,
    trials: int | None = 64,
    seconds: float | None = None,
    patience: int | None = None,
    tuner: str = "xgb",
    seed: int = 0,
    threads: int | None = None,
    target: Target | None = None,
    db: str | os.PathLike[str] = "tune.db",
    progress: Progress | None = None,
    on_trial: Callable[[Record], None] | None = None,
    **params: Any,
) -> TuneResult:
    """Find the best configuration of an operator, and record every trial.

    Args:
        op: a name, a template, or ``"file.py:name"``.
        trials: the number of trials that the workload has at the end, those in the database included.
        seconds: stop after so many.
        patience: stop after so many trials without an improvement.
        tuner: ``xgb``, ``ga``, ``random``, ``grid`` or ``descent``.
        seed: of the search.
        threads: of the kernel; by default the cores granted to the process.
        target: the machine; this one by default.
        db: a path (SQLite) or a URL.
        progress: follows the run.
        on_trial: called with the record of every trial.
        params: the operator's parameters.

    Raises:
        NoValidConfig: every trial failed; the message gives the causes.
        TilewrightError: the operator, a parameter, an option or the database is wrong.
    """
    _check_options(trials, seconds, patience)
    task = make_task(op, target, threads, params)
    task.default_config  # noqa: B018 - a faulty template or default is reported before the database is touched
    follow = progress or Quiet()
    with ExitStack() as stack:
        store = stack.enter_context(RecordStore(db))
        run = _Run(task, store, Budget(trials, seconds, patience), seed, follow, on_trial, task_key(task))
        run.load()
        searcher = make_tuner(
            tuner, task.space, seed, start=[task.default_config, *run.hints()], history=run.observations()
        )
        follow.start(task, trials, tuple(run.records))
        stack.callback(follow.finish)
        stack.callback(store.release, run.owner)
        if not run.is_spent() or not store.playoffs(run.key):
            _search(run, searcher, stack)
        result = run.result()
    if result.best is None:
        raise NoValidConfig(_explain_failures(run.records, task), result)
    return result


def _search(run: _Run, searcher: Tuner, stack: ExitStack) -> None:
    run.progress.stage("starting workers")
    measurer = stack.enter_context(Measurer(run.task.target, run.task.threads))
    provide_reference(run.task, measurer)
    if run.best_seconds < float("inf"):
        measurer.expect(run.task.workload.key, run.best_seconds)
    run.search(searcher, measurer)
    run.decide(measurer)


def _check_options(trials: int | None, seconds: float | None, patience: int | None) -> None:
    for name, value in (("trials", trials), ("patience", patience)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise TilewrightError(f"{name} must be a positive integer, not {value!r}")
    if seconds is not None and not seconds > 0:
        raise TilewrightError(f"seconds must be positive, not {seconds!r}")


def _explain_failures(records: Sequence[Record], task: Task) -> str:
    causes = Counter((r.state, (r.error or "").splitlines()[0] if r.error else "") for r in records)
    lines = [f"{count} x {state}: {message}" for (state, message), count in causes.most_common(3)]
    return f"{task.workload}: none of {len(records)} trials gave a valid kernel: {'; '.join(lines)}"


def database_text(db: str | os.PathLike[str]) -> str:
    """Where records are kept, as a user would name it."""
    text = os.fspath(db)
    return text if "://" in text else str(Path(text))
