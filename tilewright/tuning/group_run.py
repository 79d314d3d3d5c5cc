"""One run of several tasks: a scheduler gives rounds of trials to them, and they share the workers."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from tilewright.logs.brief_record import KnownTrial
from tilewright.measure.measurer import Measurer
from tilewright.measure.result import MeasureInput
from tilewright.templates.config import Config
from tilewright.tuners import Budget, batch_size
from tilewright.tuners.task_scheduler import TaskScheduler
from tilewright.tuning.feed import Feed
from tilewright.tuning.interruption import Interruption
from tilewright.tuning.run import Run

# Trials of a task before the scheduler is asked again.
ROUND = 8


def round_size(trials: int | None, tasks: int) -> int:
    """How many trials a round has: few where so many tasks share so few that not all could have a round."""
    return ROUND if trials is None else max(1, min(ROUND, trials // tasks))


Label = tuple[int, Config]


@dataclass(slots=True)
class GroupRun:
    """Runs that take turns, a round at a time; they are known by their places.

    Attributes:
        runs: one a task, without limits of trials and seconds.
        scheduler: says whose turn it is.
        budget: of all runs together, without patience, which each run has for itself.
        round_size: trials of a round.
        elapsed_seconds: of each run.
    """

    runs: Sequence[Run]
    scheduler: TaskScheduler
    budget: Budget
    interruption: Interruption
    round_size: int = ROUND
    elapsed_seconds: list[float] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    _under_way: list[int] = field(default_factory=list)
    _turn: int | None = None
    _round_end: int = 0

    def __post_init__(self) -> None:
        self.elapsed_seconds = [0.0] * len(self.runs)
        self._under_way = [0] * len(self.runs)

    def is_over(self) -> bool:
        """Whether a limit is reached, or Ctrl-C was pressed."""
        elapsed = time.monotonic() - self.started
        return self.interruption.requested or self.budget.is_spent(self._known(), elapsed, 0)

    def search(self) -> None:
        """Measure what the tuners propose until the budget is spent or nothing is left."""
        feed = Feed(self._propose, self.is_over)
        if not len(feed):
            return
        last = time.monotonic()
        for index, result in self._measurer(feed.first).iter_results(feed):
            place, config = feed.finish(index)
            run = self.runs[place]
            self._under_way[place] -= 1
            run.store(config, result)
            self.scheduler.note(place, run.history.best_seconds)
            last, begun = time.monotonic(), last
            self.elapsed_seconds[place] += last - begun

    def decide(self) -> None:
        """Hold the play-off of each task whose trials are not all known to one."""
        for place, run in enumerate(self.runs):
            if self.interruption.requested:
                return
            begun = time.monotonic()
            run.decide()
            self.elapsed_seconds[place] += time.monotonic() - begun

    def _measurer(self, first: MeasureInput) -> Measurer:
        assert self._turn is not None
        return self.runs[self._turn].prepare_workers(first)

    def _propose(self, under_way: int) -> list[tuple[Label, MeasureInput]]:
        """The next trials of the task whose turn it is."""
        if under_way and not self.runs[0].has_spare_core:
            return []  # thinking would disturb what is timed
        while (place := self._take_turn()) is not None:
            run = self.runs[place]
            if self._under_way[place] and not run.history.records:
                return []  # the default comes before any other
            ready = run.propose(partial(self._batch_size, place))
            if ready:
                run.prepare_workers(ready[0][1])
                self._under_way[place] += len(ready)
                return [((place, config), trial) for config, trial in ready]
            if self._batch_size(place):
                self.scheduler.retire(place)  # it has nothing new to propose
                self._turn = None
        return []

    def _take_turn(self) -> int | None:
        """The task of this round, which a new one follows when it is over."""
        if self._turn is not None and self._batch_size(self._turn):
            return self._turn
        for place, run in enumerate(self.runs):
            if run.is_over():  # its patience is at an end
                self.scheduler.retire(place)
        self._turn = None if self._left() == 0 else self.scheduler.choose()
        if self._turn is not None:
            self._round_end = self._known_of(self._turn) + self.round_size
        return self._turn

    def _batch_size(self, place: int) -> int:
        """How many trials to propose in this round: the default alone, then the rest."""
        run = self.runs[place]
        if run.is_over():
            return 0
        known = self._known_of(place)
        wanted = batch_size(known) if run.history.records else 1
        limits = [wanted, self._round_end - known, self._left()]
        if run.budget.patience is not None:
            limits.append(run.budget.patience - run.history.since_improvement - self._under_way[place])
        return max(0, min(limits))

    def _known_of(self, place: int) -> int:
        return len(self.runs[place].history.records) + self._under_way[place]

    def _known(self) -> int:
        return sum(len(run.history.records) for run in self.runs)

    def _left(self) -> int:
        """How many trials may still be begun."""
        left = self.budget.trials_left(self._known() + sum(self._under_way))
        return ROUND if left is None else left


def costs_by_round(records: Sequence[KnownTrial], size: int) -> list[float]:
    """The lowest cost after each round of so many trials; infinite where none was valid."""
    costs, lowest = [], math.inf
    for begin in range(0, len(records), size):
        for record in records[begin : begin + size]:
            if record.state == "ok" and record.seconds is not None:
                lowest = min(lowest, record.seconds)
        costs.append(lowest)
    return costs
