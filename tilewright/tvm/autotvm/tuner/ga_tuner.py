"""Genetic search."""

from typing import Any

from tilewright.tuners.genetic import GeneticSearch
from tilewright.tvm.autotvm.task.definition import Task
from tilewright.tvm.autotvm.tuner.tuner import Tuner
from tilewright.tvm.ignored import warn_ignored


class GATuner(Tuner):
    """A genetic algorithm; `pop_size` is the size of its population, at most that of the space."""

    search = "ga"

    def __init__(self, task: Task, pop_size: int = 100, **options: Any) -> None:
        own = {name: options.pop(name) for name in ("elite_num", "mutation_prob") if name in options}
        warn_ignored("GATuner", own)
        super().__init__(task, population=pop_size, **options)

    @property
    def pop_size(self) -> int:
        """The size of the population."""
        return len(self._first_generation)

    @property
    def visited(self) -> set[int]:
        """The first generation, and the indices that were proposed."""
        return {*self._first_generation, *self.searcher.seen}

    def has_next(self) -> bool:
        """Whether something is left to measure."""
        return len(self.searcher.seen) < self.visited_max

    @property
    def _first_generation(self) -> list[int]:
        assert isinstance(self.searcher, GeneticSearch)
        return self.searcher.first_generation


__all__ = ["GATuner"]
