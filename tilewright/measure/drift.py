"""Drift: the machine's speed changes while a run goes on, as the reference loop beside each kernel shows."""

from collections import deque
from collections.abc import Sequence
from statistics import median

LIMIT = 0.1  # beyond what neighbouring trials differ by on a quiet machine
_TRIALS = 3


def slowdown(costs: Sequence[float], seconds: float) -> float:
    """How much slower the reference loop ran than at the start, from a trial's samples and its cost.

    The cost is the fastest sample, divided by this.
    """
    return min(costs) / seconds


class DriftWatch:
    """Notes when the machine's speed has changed for good, not for one trial."""

    def __init__(self) -> None:
        self.level = 1.0
        self._latest: deque[float] = deque(maxlen=_TRIALS)

    def note(self, found: float) -> bool:
        """Take note of a trial's slowdown; whether the level has changed with it."""
        self._latest.append(found)
        if len(self._latest) < _TRIALS:
            return False
        present = median(self._latest)
        if abs(present / self.level - 1) <= LIMIT:
            return False
        self.level = present
        return True
