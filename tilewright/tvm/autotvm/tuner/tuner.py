"""AutoTVM's face of our searches."""

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any

from tilewright import tuners
from tilewright.tvm.autotvm.measure.measure import MeasureInput, MeasureResult
from tilewright.tvm.autotvm.task.definition import Task
from tilewright.tvm.autotvm.task.entity import ConfigEntity
from tilewright.tvm.autotvm.tuner.loop import observations, run_trials


class Tuner:
    """Searches the space of a task; a subclass may offer `next_batch`, `update` and `has_next` of its own."""

    search = "random"

    def __init__(self, task: Task, *, seed: int = 0, **options: Any) -> None:
        self.task, self.seed, self.options = task, seed, options
        self.reset()

    def reset(self) -> None:
        """Forget everything, as if it were new."""
        space = self.task.config_space.space()
        self.searcher = tuners.make_tuner(self.search, space, self.seed, **self.options)
        self.visited_max = space.subrange_length(*self.searcher.bounds)
        self.best_config: ConfigEntity | None = None
        self.best_flops, self.best_iter = 0.0, 0
        self.best_measure_pair: tuple[MeasureInput, MeasureResult] | None = None
        self.ttl: float | None = None

    @property
    def visited(self) -> set[int]:
        """The indices that were proposed."""
        return self.searcher.seen

    def has_next(self) -> bool:
        """Whether something is left to measure."""
        return len(self.visited) < self.visited_max

    def next_batch(self, batch_size: int) -> list[ConfigEntity]:
        """Configurations to measure."""
        return [ConfigEntity.of(config) for config in self.searcher.next_batch(batch_size)]

    def update(self, inputs: Sequence[MeasureInput], results: Sequence[MeasureResult]) -> None:
        """Learn from results."""
        self.searcher.update(observations(zip(inputs, results, strict=True)))

    def load_history(self, data_set: Iterable[Any], min_seed_records: int = 500) -> None:
        """Learn from the trials of this workload, however few they are; none of them is measured again."""
        own = self.task.workload
        self.searcher.update(observations(pair for pair in data_set if pair[0].task.workload == own))

    def tune(
        self,
        n_trial: int,
        measure_option: dict[str, Any],
        early_stopping: int | None = None,
        callbacks: Iterable[Callable[..., Any]] = (),
        si_prefix: str = "G",
    ) -> None:
        """Measure up to `n_trial` configurations; stop after `early_stopping` without a better one."""
        run_trials(self, n_trial, measure_option, early_stopping or inf, list(callbacks))


__all__ = ["Tuner"]
