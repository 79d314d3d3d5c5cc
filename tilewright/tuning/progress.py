"""Following a run: what is told, and who is told."""

import sys
from collections.abc import Sequence
from typing import Protocol

from tilewright.compiler.errors import TilewrightError
from tilewright.logs.brief_record import KnownTrial
from tilewright.logs.record import Record
from tilewright.measure.findings import disturbances
from tilewright.measure.machine_facts import read_machine
from tilewright.templates.task import Task
from tilewright.tuners import Budget

_TOLD = ("start", "trial", "stage", "finish")  # of Progress, and of GroupProgress


class Progress(Protocol):
    """Follows a run."""

    def start(self, task: Task, budget: Budget, reused: Sequence[KnownTrial]) -> None:
        """The run begins, with the trials that are known."""

    def trial(self, record: Record) -> None:
        """A trial ended."""

    def stage(self, text: str) -> None:
        """Something else is being done."""

    def finish(self) -> None:
        """The run is over, however it went."""


class Quiet:
    """No display."""

    def start(self, task: Task, budget: Budget, reused: Sequence[KnownTrial]) -> None:
        """Nothing."""

    def trial(self, record: Record) -> None:
        """Nothing."""

    def stage(self, text: str) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


def choose_progress(progress: Progress | bool) -> Progress:
    """The display that is asked for: ``True`` is a live one on a terminal, lines elsewhere."""
    if not isinstance(progress, bool):
        check_follower(progress)
        return progress
    if not progress:
        return Quiet()
    warnings = disturbances(read_machine())
    if sys.stderr.isatty():
        from tilewright.tuning.live_progress import LiveProgress

        return LiveProgress(warnings=warnings)
    from tilewright.tuning.line_progress import LineProgress

    return LineProgress(sys.stderr, warnings)


def check_follower(progress: object) -> None:
    """Refuse an object that cannot follow a run.

    Raises:
        TilewrightError: naming what it lacks.
    """
    missing = [name for name in _TOLD if not callable(getattr(progress, name, None))]
    if missing:
        raise TilewrightError(
            f"progress must be True, False or an object with the methods {', '.join(_TOLD)},"
            f" not {progress!r}, which lacks {', '.join(missing)}"
        )
