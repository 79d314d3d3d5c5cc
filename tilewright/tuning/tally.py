"""What a display of a run shows: counts, speeds and the time left."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tilewright.logs.brief_record import KnownTrial
from tilewright.logs.record import Record
from tilewright.measure.drift import DriftWatch, slowdown
from tilewright.templates.task import Task
from tilewright.tuners import Budget
from tilewright.tuning.causes import Causes
from tilewright.tuning.history import operations


@dataclass(slots=True)
class Tally:
    """The state of a run as seen from its trials."""

    title: str
    flops: int
    budget: Budget
    started: float = field(default_factory=time.monotonic)
    done: int = 0
    measured: int = 0
    current_seconds: float | None = None
    best_seconds: float | None = None
    failures: Causes = field(default_factory=Causes)
    unstable: int = 0
    drift: DriftWatch = field(default_factory=DriftWatch)

    @classmethod
    def begin(cls, task: Task, budget: Budget, reused: Sequence[KnownTrial]) -> "Tally":
        """The state at the start of a run."""
        tally = cls(str(task.workload), operations(task), budget)
        for record in reused:
            tally._count(record)
        tally.current_seconds = None
        return tally

    def add(self, record: Record) -> bool:
        """Count a trial that ended; whether it is the best."""
        self.measured += 1
        self.unstable += record.noisy
        return self._count(record)

    def notice_drift(self, record: Record) -> str:
        """What there is to say once the machine's speed has changed with this trial; empty if it has not."""
        if record.state != "ok" or record.seconds is None or not record.costs:
            return ""
        return self.drift_text if self.drift.note(slowdown(record.costs, record.seconds)) else ""

    @property
    def drift_text(self) -> str:
        """How the machine's speed differs from that at the start."""
        level = self.drift.level
        change = f"{level:.2f}x slower" if level >= 1 else f"{1 / level:.2f}x faster"
        return f"the machine is {change} than at the start; costs are corrected by that"

    @property
    def unstable_text(self) -> str:
        """How many trials were unstable though measured again; empty when none was."""
        return f"measurement unstable in {self.unstable}" if self.unstable else ""

    def _count(self, record: KnownTrial) -> bool:
        self.done += 1
        self.current_seconds = record.seconds
        self.failures.note(record)
        seconds = record.seconds if record.state == "ok" else None
        if seconds is None or (self.best_seconds is not None and seconds >= self.best_seconds):
            return False
        self.best_seconds = seconds
        return True

    @property
    def count_text(self) -> str:
        """How many trials there are, and of how many."""
        return str(self.done) if self.budget.trials is None else f"{self.done}/{self.budget.trials}"

    def speed_text(self, seconds: float | None) -> str:
        """A time as people compare it."""
        return "-" if seconds is None else describe_speed(seconds, self.flops)

    @property
    def seconds_left(self) -> float | None:
        """How long the run will go on at most, as far as can be told."""
        elapsed = time.monotonic() - self.started
        limits = []
        if self.budget.trials is not None and self.measured:
            limits.append((self.budget.trials - self.done) * elapsed / self.measured)
        if self.budget.seconds is not None:
            limits.append(self.budget.seconds - elapsed)
        return max(0.0, min(limits)) if limits else None

    @property
    def left_text(self) -> str:
        """The time left, for people."""
        left = self.seconds_left
        return "" if left is None else f"{_duration(left)} left"


def describe_speed(seconds: float, flops: int) -> str:
    """Operations a second, or the time itself where there are no operations to count."""
    return f"{flops / seconds / 1e9:.1f} GFLOP/s" if flops else describe_time(seconds)


def describe_time(seconds: float) -> str:
    """A time in the unit in which it is read best."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
