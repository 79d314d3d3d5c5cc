"""Grid and random search, in the whole space or in a range of its indices."""

from typing import Any

from tilewright.tuners.grid_search import GridSearch
from tilewright.tvm.autotvm.task.definition import Task
from tilewright.tvm.autotvm.tuner.tuner import Tuner


class IndexBaseTuner(Tuner):
    """A search by index; `range_idx` holds the first and the last one."""

    def __init__(self, task: Task, range_idx: tuple[int, int] | None = None, **options: Any) -> None:
        if range_idx is not None:
            options["bounds"] = (range_idx[0], range_idx[1] + 1)
        super().__init__(task, **options)

    @property
    def begin_idx(self) -> int:
        """The first index of the range."""
        return self.searcher.bounds[0]

    @property
    def end_idx(self) -> int:
        """The index behind the range."""
        return self.searcher.bounds[1]

    @property
    def range_length(self) -> int:
        """The number of indices in the range, valid or not."""
        return self.end_idx - self.begin_idx


class GridSearchTuner(IndexBaseTuner):
    """Every configuration in the order of the indices."""

    search = "grid"

    @property
    def index(self) -> int | None:
        """Where the search is; before it begins, where it will begin."""
        space, first = self.searcher.space, self.begin_idx
        position = self.searcher.position if isinstance(self.searcher, GridSearch) else None
        if position is not None:
            return position
        return first if space.is_valid(first) else space.next_index(first, 1, first, self.end_idx)


class RandomTuner(IndexBaseTuner):
    """Random configurations, each once."""

    search = "random"


__all__ = ["GridSearchTuner", "IndexBaseTuner", "RandomTuner"]
