"""A batch of trials that can be cut short: what was handed out is still waited for."""

from collections.abc import Callable, Sequence
from typing import overload

from tilewright.measure.result import MeasureInput


class Batch(Sequence[MeasureInput]):
    """Trials for a measurer, which takes them one after the other while `is_over` is false."""

    def __init__(self, trials: Sequence[MeasureInput], is_over: Callable[[], bool]) -> None:
        self._trials = trials
        self._is_over = is_over
        self._handed_out = 0

    def __len__(self) -> int:
        return self._handed_out if self._is_over() else len(self._trials)

    @overload
    def __getitem__(self, index: int) -> MeasureInput: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[MeasureInput]: ...
    def __getitem__(self, index: int | slice) -> MeasureInput | Sequence[MeasureInput]:
        if isinstance(index, slice):
            return self._trials[index]
        self._handed_out = max(self._handed_out, index + 1)
        return self._trials[index]
