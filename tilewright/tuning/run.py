"""One run: proposals of the tuner become trials, trials become records, and a play-off decides."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from tilewright.compiler.errors import TilewrightError
from tilewright.logs.brief_record import KnownTrial
from tilewright.logs.record import Record, TemplateData, make_record, target_data
from tilewright.measure.machine import physical_cores
from tilewright.measure.measurer import Measurer
from tilewright.measure.playoff import PlayoffEntry
from tilewright.measure.result import MeasureInput, MeasureResult, failed
from tilewright.templates.config import Config
from tilewright.templates.task import Task
from tilewright.tuners import Budget, Observation, Tuner, batch_size
from tilewright.tuning.feed import Feed
from tilewright.tuning.finalists import choose_finalists
from tilewright.tuning.history import History, observe, operations
from tilewright.tuning.interruption import Interruption
from tilewright.tuning.leases import name_owner
from tilewright.tuning.progress import Progress
from tilewright.tuning.reference import reference_kind
from tilewright.tuning.result import Best, Gain, Speed, TuneResult, measure_gain
from tilewright.tuning.workers import Workers

# Neighbours slow a longer kernel hardly more than the loop beside it, which takes less time.
LONGEST_BASELINE_SECONDS = 1e-3

Trial = tuple[Config, MeasureInput]


@dataclass(slots=True)
class Run:
    """A tuning run under way; its tuner is made for the first proposal, its workers for the first trial."""

    task: Task
    history: History
    make_tuner: Callable[[], Tuner]
    budget: Budget
    seed: int
    progress: Progress
    on_trial: Callable[[Record], None] | None
    interruption: Interruption
    resources: ExitStack
    workers: Workers
    owner: str = field(default_factory=name_owner)
    has_spare_core: bool = False
    measured: int = 0
    reused: int = 0
    started: float = field(default_factory=time.monotonic)
    _tuner: Tuner | None = None
    _observed: list[Observation] = field(default_factory=list)
    _has_leases: bool = False
    _has_baseline: bool = False

    def __post_init__(self) -> None:
        self.reused = len(self.history.records)
        # One kernel is timed while the next is compiled.
        self.has_spare_core = physical_cores() > self.task.threads + 1

    # -- searching ------------------------------------------------------------------------------

    def is_over(self) -> bool:
        """Whether a limit is reached, or Ctrl-C was pressed."""
        if self.interruption.requested:
            return True
        elapsed = time.monotonic() - self.started
        known, hope = self.history, 1.0 if self._tuner is None else self._tuner.hope
        return self.budget.is_spent(len(known.records), elapsed, known.since_improvement, hope)

    def search(self) -> None:
        """Measure what the tuner proposes until the budget is spent or nothing is left."""
        feed = Feed(lambda under_way: self.propose(lambda: self._batch_size(under_way)), self.is_over)
        if not len(feed):
            return
        measurer = self.prepare_workers(feed.first)
        for index, result in measurer.iter_results(feed):
            self.store(feed.finish(index), result)

    def propose(self, count: Callable[[], int]) -> list[Trial]:
        """The next trials, ready to be measured; what cannot be built has failed at once.

        Args:
            count: how many to propose now; asked again where all of them failed at once.
        """
        ready: list[Trial] = []
        while not ready:
            self.refresh()
            batch = self.ask(most) if (most := count()) else []
            if not batch:
                break
            for config in batch:
                try:
                    ready.append((config, self.trial_input(config)))
                except TilewrightError as error:
                    self.store(config, failed("invalid", str(error)))
        return ready

    def _batch_size(self, under_way: int) -> int:
        """How many trials to propose now.

        The first trial is alone, so that the default comes before any other. Where no core is free, nothing
        is proposed while a trial is under way: thinking would disturb the one that is timed.
        """
        known = len(self.history.records)
        if under_way and not (known and self.has_spare_core):
            return 0
        left = self.budget.trials_left(known + under_way)
        wanted = batch_size(known + under_way) if known else 1
        return wanted if left is None else min(wanted, left)

    def ask(self, count: int) -> list[Config]:
        """What the tuner proposes and no other process is measuring; nothing when nothing is left."""
        self.refresh()
        while batch := self._informed_tuner().next_batch(count):
            if claimed := self.claim(batch):
                return claimed
        return []

    def refresh(self) -> None:
        """Take note of what other processes have measured."""
        fresh = self.history.refresh()
        for record in fresh:
            self.progress.trial(record)
        self._observed += self.history.observations(fresh)

    def _informed_tuner(self) -> Tuner:
        """The tuner, told what became known since it was told last."""
        observed, self._observed = self._observed, []
        if self._tuner is None:
            self._tuner = self.make_tuner()  # knows the history
        else:
            self._tuner.update(observed)
        return self._tuner

    def claim(self, batch: Sequence[Config]) -> list[Config]:
        """Those configurations that no other process is measuring, which then leave them to this one."""
        values = [config.to_json() for config in batch]
        granted = self.history.store.lease_all(self.history.key, values, self.owner)
        if not self._has_leases:
            self._has_leases = True
            self.resources.callback(self.history.store.release, self.owner)
        return [config for config, is_ours in zip(batch, granted, strict=True) if is_ours]

    def trial_input(self, config: Config) -> MeasureInput:
        """The program of a configuration, ready to be measured."""
        program = self.task.instantiate(config)
        return MeasureInput(program, self.task.workload.key, 0, reference_kind(self.task, program))

    def prepare_workers(self, trial: MeasureInput) -> Measurer:
        """The measurer of the workers, which knows what to expect of this task."""
        measurer = self.workers.prepare(self.task, trial.program, self.history.best_seconds)
        self._offer_baseline()
        return measurer

    def _offer_baseline(self) -> None:
        """Have trials timed beside the default, once what it takes is known, and short."""
        if self._has_baseline or not self.workers.have_started:
            return
        default = self.history.first_default()
        if default is None or default.seconds is None:
            return
        self._has_baseline = True
        if default.seconds <= LONGEST_BASELINE_SECONDS:
            program = self.task.instantiate(self.task.default_config)
            self.workers.compare_with(self.task, program, default.seconds)

    def store(self, config: Config, result: MeasureResult) -> Record:
        """Store the result of a trial and tell it."""
        record = self._record(config, result)
        self.history.add(record)
        self._observed.append(observe(config, record))
        self.measured += 1
        self._offer_baseline()
        self.progress.trial(record)
        if self.on_trial is not None:
            self.on_trial(record)
        return record

    def _record(self, config: Config, result: MeasureResult) -> Record:
        attempts = self.history.store.attempts(self.history.key, config.to_json())
        return make_record(
            result,
            workload=self.task.workload.to_json(),
            template=TemplateData(self.task.template.name, self.task.template_hash),
            target=target_data(self.task.target, self.task.threads),
            config=config.to_json(),
            index=config.index,
            attempt=attempts + 1,
            seed=self.seed,
            at=self.history.next_stamp(),
            kinds={knob.name: knob.kind for knob in self.task.space.knobs},
        )

    # -- deciding -------------------------------------------------------------------------------

    def decide(self) -> None:
        """Hold the play-off, unless the last one knew every trial; store how the default did and who won."""
        if not self.history.ranked() or self.history.playoff() is not None:
            return
        configs = choose_finalists(self.history, self.task.default_config)
        trials = [self.trial_input(config) for config in configs]
        measurer = self.prepare_workers(trials[0])
        self.progress.stage("play-off")
        outcome = measurer.playoff(trials)
        if outcome.winner is None:
            return
        first, winner = outcome.entries[0], outcome.entries[outcome.winner]
        last = self._record(configs[outcome.winner], _playoff_result(winner))
        is_timed = first.state == "ok"
        beaten = self._record(configs[0], _playoff_result(first)) if is_timed else last
        self.history.add_playoff(beaten, last)

    def result(self, elapsed_seconds: float | None = None) -> TuneResult:
        """What is known at the end, after so many seconds; by default since the run was made."""
        best, default = self.history.best(), self.history.default()
        rows = self.history.playoff() if best is not None else None
        gain = None if rows is None else measure_gain(*rows)
        return self._result(best, default, gain, elapsed_seconds)

    def remembered(self, elapsed_seconds: float | None = None) -> TuneResult:
        """What is known without the database, which cannot be used any more: no play-off was held."""
        return self._result(next(iter(self.history.ranked()), None), None, None, elapsed_seconds)

    def _result(
        self, best: KnownTrial | None, default: KnownTrial | None, gain: Gain | None, seconds: float | None
    ) -> TuneResult:
        elapsed = time.monotonic() - self.started if seconds is None else seconds
        flops = operations(self.task)
        return TuneResult(
            op=self.task.workload.op,
            workload=self.task.workload.args,
            best=None if best is None else self._best(best, flops, gain),
            default=None if default is None else Speed(*_speed(default, flops)),
            trials=self.measured,
            reused=self.reused,
            failed=self.history.failures(),
            elapsed_seconds=elapsed,
            trials_per_second=self.measured / elapsed if elapsed > 0 else 0.0,
        )

    def _best(self, record: KnownTrial, flops: int, gain: Gain | None) -> Best:
        config = self.history.config_of(record)
        index = config.index if config is not None else record.index or 0
        return Best(*_speed(record, flops), record.config, index, record.interval, gain)


def _playoff_result(entry: PlayoffEntry) -> MeasureResult:
    return MeasureResult(
        state="ok",
        costs=entry.costs,
        seconds=entry.seconds,
        interval=entry.interval,
        reference_ratio=entry.reference_ratio,
    )


def _speed(record: KnownTrial, flops: int) -> tuple[float, float]:
    assert record.seconds is not None
    return record.seconds, flops / record.seconds / 1e9
