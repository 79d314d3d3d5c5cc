"""A run as plain lines, for files, pipes and notebooks."""

from collections.abc import Sequence
from typing import TextIO

from tilewright.logs.brief_record import KnownTrial
from tilewright.logs.record import Record
from tilewright.templates.task import Task
from tilewright.tuners import Budget
from tilewright.tuning.tally import Tally

EVERY = 8


class LineProgress:
    """Writes a line for every improvement, and for every eighth trial."""

    def __init__(self, stream: TextIO, warnings: Sequence[str] = ()) -> None:
        """Write to a stream, at the head what disturbs measuring on this machine."""
        self._stream = stream
        self._warnings = warnings
        self._tally: Tally | None = None

    def start(self, task: Task, budget: Budget, reused: Sequence[KnownTrial]) -> None:
        """Say what is tuned."""
        self._tally = Tally.begin(task, budget, reused)
        known = f", {len(reused)} trials in the database" if reused else ""
        threads = "1 thread" if task.threads == 1 else f"{task.threads} threads"
        self._write(f"tuning {self._tally.title} on {threads}{known}")
        for warning in self._warnings:
            self._write(f"warning: {warning}")

    def trial(self, record: Record) -> None:
        """Say how it goes, now and then."""
        tally = self._tally
        if tally is None:
            return
        improved = tally.add(record)
        if drift := tally.notice_drift(record):
            self._write(f"warning: {drift}")
        if improved or tally.measured % EVERY == 0:
            parts = [tally.speed_text(record.seconds) if record.seconds is not None else record.state]
            parts.append(f"best {tally.speed_text(tally.best_seconds)}")
            if tally.failures.text:
                parts.append(f"failed: {tally.failures.text}")
            parts.append(tally.unstable_text)
            parts.append(tally.left_text)
            self._write(f"trial {tally.count_text}: {', '.join(part for part in parts if part)}")

    def stage(self, text: str) -> None:
        """Say what else is done."""
        self._write(text)

    def finish(self) -> None:
        """Say why trials failed."""
        tally, self._tally = self._tally, None
        for line in tally.failures.lines if tally is not None else ():
            self._write(line)

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()
