"""Following a run of several workloads: what is told, and who is told."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TextIO

from tilewright.logs.brief_record import KnownTrial
from tilewright.logs.record import Record
from tilewright.measure.findings import disturbances
from tilewright.measure.machine_facts import read_machine
from tilewright.templates.task import Task
from tilewright.tuners import Budget
from tilewright.tuning.group_tally import GroupTally
from tilewright.tuning.progress import check_follower
from tilewright.tuning.tally import describe_time
from tilewright.tuning.weighted_workloads import WeightedTask


class GroupProgress(Protocol):
    """Follows a run of several workloads, which are known by their places."""

    def start(
        self, members: Sequence[WeightedTask], budget: Budget, reused: Sequence[Sequence[KnownTrial]]
    ) -> None:
        """The run begins, with the trials of each workload that are known."""

    def trial(self, place: int, record: Record) -> None:
        """A trial of a workload ended."""

    def stage(self, text: str) -> None:
        """Something else is being done."""

    def finish(self) -> None:
        """The run is over, however it went."""


@dataclass(frozen=True, slots=True)
class MemberProgress:
    """Tells what becomes of one workload to who follows all."""

    group: GroupProgress
    place: int

    def start(self, task: Task, budget: Budget, reused: Sequence[KnownTrial]) -> None:
        """Nothing: all workloads begin together."""

    def trial(self, record: Record) -> None:
        """Pass it on."""
        self.group.trial(self.place, record)

    def stage(self, text: str) -> None:
        """Pass it on."""
        self.group.stage(text)

    def finish(self) -> None:
        """Nothing: all workloads end together."""


class QuietGroup:
    """No display."""

    def start(
        self, members: Sequence[WeightedTask], budget: Budget, reused: Sequence[Sequence[KnownTrial]]
    ) -> None:
        """Nothing."""

    def trial(self, place: int, record: Record) -> None:
        """Nothing."""

    def stage(self, text: str) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


class GroupLines:
    """Writes a line when another workload takes its turn, and for every improvement."""

    def __init__(self, stream: TextIO, warnings: Sequence[str] = ()) -> None:
        """Write to a stream, at the head what disturbs measuring on this machine."""
        self._stream = stream
        self._warnings = warnings
        self._tally: GroupTally | None = None
        self._place: int | None = None
        self._stage = ""

    def start(
        self, members: Sequence[WeightedTask], budget: Budget, reused: Sequence[Sequence[KnownTrial]]
    ) -> None:
        """Say what is tuned."""
        tally = self._tally = GroupTally.begin(members, budget, reused)
        known = f", {tally.whole.done} trials in the database" if tally.whole.done else ""
        self._write(f"tuning {tally.title}{known}")
        for warning in self._warnings:
            self._write(f"warning: {warning}")

    def trial(self, place: int, record: Record) -> None:
        """Say how it goes, now and then."""
        if self._tally is None:
            return
        improved = self._tally.add(place, record)
        if drift := self._tally.whole.notice_drift(record):
            self._write(f"warning: {drift}")
        if improved or place != self._place:
            self._place = place
            self._write(f"trial {self._tally.whole.count_text}: {', '.join(self._parts(place, record))}")

    def stage(self, text: str) -> None:
        """Say what else is done, once where several workloads do it one after the other."""
        if text != self._stage:
            self._stage = text
            self._write(text)

    def finish(self) -> None:
        """Say why trials failed."""
        tally, self._tally = self._tally, None
        for line in tally.whole.failures.lines if tally is not None else ():
            self._write(line)

    def _parts(self, place: int, record: Record) -> list[str]:
        assert self._tally is not None
        part, whole = self._tally.parts[place], self._tally.whole
        speed = part.speed_text(record.seconds) if record.seconds is not None else record.state
        total = self._tally.total_seconds
        parts = [f"{part.title} {speed}", f"best {part.speed_text(part.best_seconds)}"]
        parts.append("" if total is None else f"total {describe_time(total)}")
        parts.append(f"failed: {whole.failures.text}" if whole.failures.text else "")
        parts.append(whole.unstable_text)
        return [text for text in (*parts, whole.left_text) if text]

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


def choose_group_progress(progress: GroupProgress | bool) -> GroupProgress:
    """The display that is asked for: ``True`` is a live one on a terminal, lines elsewhere."""
    if not isinstance(progress, bool):
        check_follower(progress)
        return progress
    if not progress:
        return QuietGroup()
    warnings = disturbances(read_machine())
    if sys.stderr.isatty():
        from tilewright.tuning.live_group import LiveGroup

        return LiveGroup(warnings=warnings)
    return GroupLines(sys.stderr, warnings)
