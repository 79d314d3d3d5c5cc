"""The scores of trials."""

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from tilewright.tvm.autotvm.measure.measure import MeasureInput, MeasureResult

if TYPE_CHECKING:
    from tilewright.tvm.autotvm.tuner.tuner import Tuner


def score(inp: MeasureInput, result: MeasureResult) -> float:
    """Operations a second; 0 for a failure."""
    return inp.task.flop / fmean(result.costs) if result.error_no == 0 else 0.0


class Monitor:
    """Keeps the score, operations a second, and the end of every trial."""

    def __init__(self) -> None:
        self.scores: list[float] = []
        self.timestamps: list[float] = []

    def __call__(
        self, tuner: "Tuner", inputs: Sequence[MeasureInput], results: Sequence[MeasureResult]
    ) -> None:
        """Take note of a batch."""
        self.scores += [score(*pair) for pair in zip(inputs, results, strict=True)]
        self.timestamps += [result.timestamp for result in results]

    def reset(self) -> None:
        """Forget everything."""
        self.scores, self.timestamps = [], []

    def trial_scores(self) -> list[float]:
        """The score of each trial, 0 for a failure."""
        return list(self.scores)

    def trial_timestamps(self) -> list[float]:
        """When each trial ended, in seconds since the epoch."""
        return list(self.timestamps)


__all__ = ["Monitor", "score"]
