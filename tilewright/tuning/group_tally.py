"""What a display of a run of several workloads shows: each one's tally, and the total."""

from collections.abc import Sequence
from dataclasses import dataclass

from tilewright.logs.brief_record import KnownTrial
from tilewright.logs.record import Record
from tilewright.templates.workload import describe_briefly
from tilewright.tuners import Budget
from tilewright.tuning.tally import Tally
from tilewright.tuning.weighted_workloads import WeightedTask


@dataclass(slots=True)
class GroupTally:
    """The state of a run as seen from its trials.

    Attributes:
        whole: the trials of all workloads; its speeds mean nothing.
        parts: of each workload.
        weights: of each.
    """

    whole: Tally
    parts: list[Tally]
    weights: list[float]

    @classmethod
    def begin(
        cls, members: Sequence[WeightedTask], budget: Budget, reused: Sequence[Sequence[KnownTrial]]
    ) -> "GroupTally":
        """The state at the start of a run."""
        parts = [
            Tally.begin(member.task, Budget(None), records)
            for member, records in zip(members, reused, strict=True)
        ]
        for part, member in zip(parts, members, strict=True):
            part.title = describe_briefly(member.task.workload, member.task.template)
        threads = members[0].task.threads
        title = f"{len(members)} workloads on {threads} {'thread' if threads == 1 else 'threads'}"
        whole = Tally(title, 0, budget)
        for part in parts:
            whole.done += part.done
            whole.failures.join(part.failures)
        return cls(whole, parts, [member.weight for member in members])

    def add(self, place: int, record: Record) -> bool:
        """Count a trial that ended; whether it is the best of its workload."""
        self.whole.add(record)
        return self.parts[place].add(record)

    @property
    def title(self) -> str:
        """What is tuned."""
        return self.whole.title

    @property
    def total_seconds(self) -> float | None:
        """The weighted sum of the lowest costs; None until every workload has one."""
        costs = [part.best_seconds for part in self.parts]
        known = [cost for cost in costs if cost is not None]
        if len(known) < len(costs):
            return None
        return sum(weight * cost for weight, cost in zip(self.weights, known, strict=True))
