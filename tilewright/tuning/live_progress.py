"""A run as a display that renews itself on a terminal."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tilewright.logs.brief_record import KnownTrial
from tilewright.logs.record import Record
from tilewright.templates.task import Task
from tilewright.tuners import Budget
from tilewright.tuning.tally import Tally


class LiveProgress:
    """Shows the trial, the current and the best speed, the failures and the time left."""

    def __init__(self, console: Console | None = None, warnings: Sequence[str] = ()) -> None:
        """Show a run on a console, above it what disturbs measuring on this machine."""
        self._console = console or Console(stderr=True)
        self._warnings = warnings
        self._live: Live | None = None
        self._tally: Tally | None = None
        self._stage = ""

    def start(self, task: Task, budget: Budget, reused: Sequence[KnownTrial]) -> None:
        """Open the display."""
        self._tally = Tally.begin(task, budget, reused)
        for warning in self._warnings:
            self._console.print(Text(f"warning: {warning}", style="yellow"))
        self._live = Live(
            get_renderable=self._render, console=self._console, refresh_per_second=4, redirect_stdout=False
        )
        self._live.start()

    def trial(self, record: Record) -> None:
        """Count it."""
        if self._tally is not None:
            self._stage = "measuring"
            self._tally.add(record)
            if drift := self._tally.notice_drift(record):
                self._console.print(Text(f"warning: {drift}", style="yellow"))

    def stage(self, text: str) -> None:
        """Show what else is done."""
        self._stage = text

    def finish(self) -> None:
        """Close the display, leaving its last state, and say why trials failed."""
        if self._live is not None:
            live, self._live, self._stage = self._live, None, ""
            live.stop()
            for line in self._tally.failures.lines if self._tally is not None else ():
                self._console.print(Text(line, style="yellow"))

    def _render(self) -> RenderableType:
        tally = self._tally
        if tally is None:
            return Text("")
        total = tally.budget.trials
        left = tally.left_text if self._live is not None else ""
        head = Table.grid(padding=(0, 2))
        head.add_row(
            f"trial {tally.count_text}",
            ProgressBar(total=total, completed=tally.done, width=30, pulse=total is None),
            Text(self._stage or left, style="dim"),
            Text(left if self._stage else "", style="dim"),
        )
        rows = Table.grid(padding=(0, 2))
        rows.add_row("current", tally.speed_text(tally.current_seconds))
        rows.add_row("best", Text(tally.speed_text(tally.best_seconds), style="bold green"))
        if tally.failures.text:
            rows.add_row("failed", Text(tally.failures.text, style="yellow"))
        if tally.unstable:
            rows.add_row("noise", Text(tally.unstable_text, style="yellow"))
        return Group(Text(tally.title, style="bold"), head, rows)
