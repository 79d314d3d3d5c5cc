"""Why trials failed: how many for each cause, and one of them to look at."""

from collections import Counter
from dataclasses import dataclass, field

from tilewright.logs.brief_record import KnownTrial

_WIDTH = 160

Cause = tuple[str, str | None]  # the state, and the signal that ended the worker


@dataclass(slots=True)
class Causes:
    """The failures among trials.

    Attributes:
        counts: of each cause.
        examples: the first trial of each.
    """

    counts: Counter[Cause] = field(default_factory=Counter)
    examples: dict[Cause, KnownTrial] = field(default_factory=dict)

    def note(self, record: KnownTrial) -> None:
        """Take note of a trial, if it failed."""
        if record.state not in ("ok", "slow"):
            cause = (record.state, record.signal)
            self.counts[cause] += 1
            self.examples.setdefault(cause, record)

    def join(self, others: "Causes") -> None:
        """Take over what is known of other trials."""
        self.counts += others.counts
        self.examples = {**others.examples, **self.examples}

    @property
    def text(self) -> str:
        """How many trials failed, by state; empty when none did."""
        states: Counter[str] = Counter()
        for (state, _), count in self.counts.items():
            states[state] += count
        return ", ".join(f"{count} {state}" for state, count in states.most_common())

    @property
    def lines(self) -> list[str]:
        """A line for each cause: how many trials, the signal, and the id and the message of one of them."""
        found = []
        for cause, count in self.counts.most_common():
            state, signal = cause
            record = self.examples[cause]
            what = state if signal is None else f"{state} ({signal})"
            message = " ".join((record.error or "").split())[:_WIDTH]
            found.append(f"failed: {count} {what}, such as trial {record.id}: {message}")
        return found
