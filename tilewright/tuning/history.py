"""What is known of a task: its trials and play-offs, those of other processes included."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from tilewright.compiler.analysis.flops import FlopCountError
from tilewright.logs.apply import task_key
from tilewright.logs.brief_record import BriefRecord, KnownTrial
from tilewright.logs.collector import collector_paused
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.templates.config import Config
from tilewright.templates.task import Task
from tilewright.tuners import Observation

HINTS = 4
# Gains that repeats of one kernel show as well.
NOISE = 0.005
_TIMED = ("ok", "slow")


class History:
    """The trials of a task, made by the template as it is now.

    Attributes:
        records: in the order in which they became known; those that were stored before, as briefs.
        best_seconds: the lowest cost.
        abandoned: configurations that killed runs were about to measure, and did not.
        since_improvement: trials since one that was better by more than noise.
    """

    def __init__(self, task: Task, store: RecordStore) -> None:
        self.task = task
        self.store = store
        self.key = task_key(task)
        self._knobs = frozenset(task.space.names)
        self.records: list[KnownTrial] = []
        self.best_seconds = float("inf")
        self.since_improvement = 0
        self.abandoned = 0
        self._mark = float("inf")
        self._known: set[str] = set()
        self._stored = store.count(self.key)
        self._latest = datetime.min.replace(tzinfo=UTC)
        for winner in store.playoffs(self.key):
            self._latest = max(self._latest, winner.at)
        stored = store.briefs(self.key)
        self._known.update(trial.id for trial in stored)
        others = []
        for trial in stored:
            if self._is_ours(trial):
                self._note(trial)
            elif trial.state == "ok":
                others.append(trial)
        self._others = _ranked(others)[:HINTS]

    def refresh(self) -> list[Record]:
        """Take over the trials that others have stored; those that are new here."""
        stored = self.store.count(self.key)
        if stored == self._stored:
            return []
        self._stored = stored
        found = self.store.new_trials(self.key, self._known)
        self._known.update(record.id for record in found)
        fresh = [record for record in found if self._is_ours(record)]
        for record in fresh:
            self._note(record)
        return fresh

    def complete(self) -> list[Record]:
        """The trials with what briefs leave out, which is read when it is first asked for."""
        if any(isinstance(record, BriefRecord) for record in self.records):
            stored = {record.id: record for record in self.store.trials(self.key)}
            self.records = [stored.get(record.id, record) for record in self.records]
        return [record for record in self.records if isinstance(record, Record)]

    def add(self, record: Record) -> None:
        """Store a trial."""
        self._known.add(record.id)
        self._note(record)  # it is known even if it cannot be stored
        self._stored += self.store.add(record)

    def add_playoff(self, *records: Record) -> None:
        """Store how the default and the winner did in the play-off."""
        self._latest = max(self._latest, *(record.at for record in records))
        self.store.add_playoff(*records)

    def next_stamp(self) -> datetime:
        """The time of the next record: the clock's, yet after every record, however the clock was set.

        So the records of a key stay in the order in which they came to be (a hybrid logical clock).
        """
        try:
            return max(datetime.now(UTC), self._latest + timedelta(microseconds=1))
        except OverflowError:  # somebody's record is of the end of all times
            return self._latest

    def _note(self, record: KnownTrial) -> None:
        self._latest = max(self._latest, record.at)
        self.records.append(record)
        seconds = record.seconds if record.state == "ok" else None
        self.since_improvement += 1
        if seconds is not None and seconds < self._mark * (1 - NOISE):
            self._mark, self.since_improvement = seconds, 0
        if seconds is not None:
            self.best_seconds = min(self.best_seconds, seconds)

    def _is_ours(self, record: KnownTrial) -> bool:
        """Whether the template made it as it is now: what it calls may have other knobs since."""
        is_same = record.template.source == self.task.template_hash
        return is_same and record.config.keys() == self._knobs

    def config_of(self, record: KnownTrial) -> Config | None:
        """A record's configuration, if the space still has it."""
        return next(self.configs_of([record]))

    def configs_of(self, records: Iterable[KnownTrial]) -> Iterator[Config | None]:
        """The configuration of each record; None where the space does not have it any more."""
        return self.task.space.iter_from_values(record.config for record in records)

    def hints(self) -> list[Config]:
        """The best configurations of other versions of the template, to be measured early."""
        return [config for config in self.configs_of(self._others) if config is not None]

    def observations(self, records: Iterable[KnownTrial]) -> list[Observation]:
        """What a tuner may learn from records."""
        known = list(records)
        with collector_paused():
            pairs = zip(self.configs_of(known), known, strict=True)
            return [observe(config, record) for config, record in pairs if config is not None]

    def ranked(self) -> list[KnownTrial]:
        """The valid trials, the fastest first."""
        return _ranked([r for r in self.records if r.state == "ok"])

    def failures(self) -> dict[str, int]:
        """How many trials failed, by state."""
        counts = Counter(r.state for r in self.records if r.state not in _TIMED)
        return dict(sorted(counts.items()))

    def playoff(self) -> tuple[Record, Record] | None:
        """How the default did and who won in the play-off that followed the last trial, if there was one.

        A play-off is two rows: one alone was left by a process that was killed between them. One without the
        default of today says nothing of it, unless that has failed.
        """
        rows = [r for r in self.store.playoffs(self.key) if self._is_ours(r)]
        if len(rows) < 2 or rows[-2].at < max(r.at for r in self.records):
            return None
        default = self.task.default_config
        knows_default = rows[-2].config == default.to_json() or self.has_failed(default)
        return (rows[-2], rows[-1]) if knows_default else None

    def has_failed(self, config: Config) -> bool:
        """Whether a configuration was tried in vain."""
        values = config.to_json()
        return any(r.state not in _TIMED and r.config == values for r in self.records)

    def best(self) -> KnownTrial | None:
        """What ships: the winner of the latest play-off, else the fastest trial."""
        found = self.store.best(self.key)
        if found is not None and self._is_ours(found):
            return found
        return next(iter(self.ranked()), None)

    def default(self) -> KnownTrial | None:
        """How the untuned default did: in the latest play-off, else in its trial."""
        wanted = self.task.default_config.to_json()
        rows = [r for r in self.store.playoffs(self.key) if self._is_ours(r)]
        for record in (*reversed(rows), *reversed(self.records)):
            if record.state == "ok" and record.config == wanted:
                return record
        return None

    def first_default(self) -> KnownTrial | None:
        """The first valid trial of the untuned default."""
        wanted = self.task.default_config.to_json()
        return next((r for r in self.records if r.state == "ok" and r.config == wanted), None)


def observe(config: Config, record: KnownTrial) -> Observation:
    """What a tuner may learn from a trial."""
    return Observation(config, record.seconds if record.state in _TIMED else None)


def operations(task: Task) -> int:
    """The operations of one call; 0 where a program only moves data."""
    try:
        return task.flops
    except FlopCountError:
        return 0


def _ranked(records: Iterable[KnownTrial]) -> list[KnownTrial]:
    return sorted(records, key=lambda record: record.seconds or float("inf"))
