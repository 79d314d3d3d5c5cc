"""Trials for a measurer that takes one after the other; more are proposed when it has taken the last."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, overload

from tilewright.measure.result import MeasureInput

Label = TypeVar("Label")


class Feed(Sequence[MeasureInput], Generic[Label]):
    """Grows when its last trial is handed out, while the workers are busy; ends when told.

    Args:
        propose: the next trials, each with a label, given how many are under way; none when there are none
            for now.
        is_over: whether nothing more shall be handed out.
    """

    def __init__(
        self, propose: Callable[[int], Sequence[tuple[Label, MeasureInput]]], is_over: Callable[[], bool]
    ) -> None:
        self._propose = propose
        self._is_over = is_over
        self._trials: dict[int, tuple[Label, MeasureInput]] = {}  # those that have not ended
        self._proposed = 0
        self._handed_out = 0
        self._finished = 0

    def __len__(self) -> int:
        if self._is_over():
            return self._handed_out
        if self._handed_out == self._proposed:
            for trial in self._propose(self._handed_out - self._finished):
                self._trials[self._proposed] = trial
                self._proposed += 1
        return self._proposed

    @overload
    def __getitem__(self, index: int) -> MeasureInput: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[MeasureInput]: ...
    def __getitem__(self, index: int | slice) -> MeasureInput | Sequence[MeasureInput]:
        if isinstance(index, slice):
            return [self._trials[place][1] for place in range(*index.indices(self._proposed))]
        self._handed_out = max(self._handed_out, index + 1)
        return self._trials[index][1]

    @property
    def first(self) -> MeasureInput:
        """The first trial, which is not handed out by looking at it."""
        return self._trials[0][1]

    def finish(self, index: int) -> Label:
        """Take note that a trial ended, which is not held any longer; its label."""
        self._finished += 1
        return self._trials.pop(index)[0]
