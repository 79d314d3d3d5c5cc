"""A run of several workloads as a display that renews itself on a terminal."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tilewright.logs.brief_record import KnownTrial
from tilewright.logs.record import Record
from tilewright.tuners import Budget
from tilewright.tuning.group_tally import GroupTally
from tilewright.tuning.tally import describe_time
from tilewright.tuning.weighted_workloads import WeightedTask


class LiveGroup:
    """Shows a line for each workload: its trials, the current and the best speed; and the total."""

    def __init__(self, console: Console | None = None, warnings: Sequence[str] = ()) -> None:
        """Show a run on a console, above it what disturbs measuring on this machine."""
        self._console = console or Console(stderr=True)
        self._warnings = warnings
        self._live: Live | None = None
        self._tally: GroupTally | None = None
        self._place: int | None = None
        self._stage = ""

    def start(
        self, members: Sequence[WeightedTask], budget: Budget, reused: Sequence[Sequence[KnownTrial]]
    ) -> None:
        """Open the display."""
        self._tally = GroupTally.begin(members, budget, reused)
        for warning in self._warnings:
            self._console.print(Text(f"warning: {warning}", style="yellow"))
        self._live = Live(
            get_renderable=self._render, console=self._console, refresh_per_second=4, redirect_stdout=False
        )
        self._live.start()

    def trial(self, place: int, record: Record) -> None:
        """Count it."""
        if self._tally is not None:
            self._stage, self._place = "measuring", place
            self._tally.add(place, record)
            if drift := self._tally.whole.notice_drift(record):
                self._console.print(Text(f"warning: {drift}", style="yellow"))

    def stage(self, text: str) -> None:
        """Show what else is done."""
        self._stage = text

    def finish(self) -> None:
        """Close the display, leaving its last state, and say why trials failed."""
        if self._live is not None:
            live, self._live, self._stage, self._place = self._live, None, "", None
            live.stop()
            for line in self._tally.whole.failures.lines if self._tally is not None else ():
                self._console.print(Text(line, style="yellow"))

    def _render(self) -> RenderableType:
        tally = self._tally
        if tally is None:
            return Text("")
        whole, total = tally.whole, tally.total_seconds
        head = Table.grid(padding=(0, 2))
        head.add_row(
            f"trial {whole.count_text}",
            ProgressBar(total=whole.budget.trials, completed=whole.done, width=30),
            f"total {'-' if total is None else describe_time(total)}",
            Text(self._stage, style="dim"),
            Text(whole.left_text if self._live is not None else "", style="dim"),
        )
        remarks = [f"failed: {whole.failures.text}"] if whole.failures.text else []
        remarks += [whole.unstable_text] if whole.unstable else []
        foot = Text(", ".join(remarks), style="yellow")
        return Group(Text(tally.title, style="bold"), head, self._rows(tally), foot)

    def _rows(self, tally: GroupTally) -> Table:
        rows = Table("workload", "weight", "trials", "current", "best", box=None, pad_edge=False)
        for place, (part, weight) in enumerate(zip(tally.parts, tally.weights, strict=True)):
            rows.add_row(
                Text(part.title, overflow="ellipsis", no_wrap=True),
                f"{weight:g}",
                str(part.done),
                part.speed_text(part.current_seconds),
                Text(part.speed_text(part.best_seconds), style="bold green"),
                style="bold" if place == self._place else "",
            )
        return rows
