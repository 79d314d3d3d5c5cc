"""Which of several tasks gets the next round of trials: by turns, or where the total falls most.

The gradient is that of Ansor (Zheng et al., OSDI 2020, section 6).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from tilewright.compiler.errors import TilewrightError

ALPHA = 0.2
BETA = 2.0
WINDOW = 3
# Tasks are alike whose operations have the same integer part of this logarithm.
SIMILARITY_BASE = 1.618
# A task without a valid kernel comes first, for so many rounds; then it is given up.
ROUNDS_WITHOUT_KERNEL = 3
# The relative step of the derivative of an objective.
STEP = 1e-4

Objective = Callable[[Sequence[float]], float]


class ObjectiveError(TilewrightError, ValueError):
    """An objective gave something else than a finite number."""


@dataclass(frozen=True, slots=True)
class ScheduledTask:
    """What a scheduler knows of a task.

    Attributes:
        kind: tasks of one kind, those of an operator, reach like speeds.
        operations: of one call; 0 where it only moves data.
        weight: of its cost in the total, such as how often a network calls it.
    """

    kind: str
    operations: int = 0
    weight: float = 1.0


class TaskScheduler(ABC):
    """Gives rounds to tasks, which are known by their places; each task gets one before any gets two.

    Args:
        tasks: to be scheduled.
        seed: decides between equals.
        objective: of the lowest costs of all tasks, in seconds; 0 stands for one without a valid kernel. The
            weighted sum by default.
        history: the lowest cost of each task after each of its earlier rounds, in seconds; infinite where no
            kernel was valid.
    """

    def __init__(
        self,
        tasks: Sequence[ScheduledTask],
        seed: int = 0,
        *,
        objective: Objective | None = None,
        history: Sequence[Sequence[float]] | None = None,
    ) -> None:
        self.tasks = tuple(tasks)
        self.objective = objective
        self.rounds = [list(costs) for costs in history or [()] * len(self.tasks)]
        self._rng = np.random.default_rng(seed)
        self._retired: set[int] = set()

    @property
    def alive(self) -> list[int]:
        """The places of the tasks that may still get rounds."""
        return [i for i in range(len(self.tasks)) if i not in self._retired and not self._is_hopeless(i)]

    def best(self, task: int) -> float:
        """The lowest cost of a task in seconds; infinite if there is none."""
        return self.rounds[task][-1] if self.rounds[task] else math.inf

    def choose(self) -> int | None:
        """Begin a round of a task; None when no task is left."""
        alive = self.alive
        if not alive:
            return None
        fresh = [task for task in alive if not self.rounds[task]]
        task = fresh[0] if fresh else self._choose(alive)
        self.rounds[task].append(self.best(task))
        return task

    def note(self, task: int, seconds: float) -> None:
        """Tell the lowest cost of a task now, in its last round."""
        if self.rounds[task]:
            self.rounds[task][-1] = seconds

    def retire(self, task: int) -> None:
        """Give a task no more rounds."""
        self._retired.add(task)

    @abstractmethod
    def _choose(self, alive: Sequence[int]) -> int:
        """One of the living tasks, all of which have had a round."""

    def _is_hopeless(self, task: int) -> bool:
        return len(self.rounds[task]) >= ROUNDS_WITHOUT_KERNEL and math.isinf(self.best(task))


class RoundRobin(TaskScheduler):
    """By turns: the task with the fewest rounds, the first of several."""

    def _choose(self, alive: Sequence[int]) -> int:
        return min(alive, key=lambda task: len(self.rounds[task]))


class GradientScheduler(TaskScheduler):
    """The task of whose next round the objective is expected to fall most."""

    def gradient(self, task: int) -> float:
        """The expected change of the objective by one more round of a task that has had one, 0 or less.

        With f the objective, g the task's cost after t rounds, C its operations and V the speeds of tasks
        like it, in operations a second, it is

            df/dg * (alpha * (g(t) - g(t - dt)) / dt + (1 - alpha) * (min(g - g / t, beta * C / max V) - g))
        """
        costs = self.rounds[task]
        best, count = costs[-1], len(costs)
        if math.isinf(best):
            return -math.inf
        fell = best - costs[-1 - WINDOW] if count > WINDOW else 0.0
        backward = fell / WINDOW if math.isfinite(fell) else 0.0
        forward = min(best - best / count, self._cost_of_alike(task)) - best
        return self._slope(task) * (ALPHA * backward + (1 - ALPHA) * forward)

    def _choose(self, alive: Sequence[int]) -> int:
        gradients = [self.gradient(task) for task in alive]
        if min(gradients) == max(gradients):
            return alive[int(self._rng.integers(len(alive)))]
        return alive[gradients.index(min(gradients))]

    def _cost_of_alike(self, task: int) -> float:
        """What the task would cost at a share of the highest speed of those like it; infinite if alone."""
        family = [i for i in range(len(self.tasks)) if self._are_alike(i, task) and self.best(i) < math.inf]
        if len(family) < 2:
            return math.inf
        speed = max(self.tasks[i].operations / self.best(i) for i in family)
        return BETA * self.tasks[task].operations / speed

    def _are_alike(self, one: int, other: int) -> bool:
        a, b = self.tasks[one], self.tasks[other]
        if a.kind != b.kind or not a.operations or not b.operations:
            return False
        return _magnitude(a.operations) == _magnitude(b.operations)

    def _slope(self, task: int) -> float:
        """The derivative of the objective by the task's cost."""
        if self.objective is None:
            return self.tasks[task].weight
        costs = [0.0 if math.isinf(self.best(i)) else self.best(i) for i in range(len(self.tasks))]
        step = costs[task] * STEP
        lower = [*costs[:task], costs[task] - step, *costs[task + 1 :]]
        return (evaluate(self.objective, costs) - evaluate(self.objective, lower)) / step


STRATEGIES: dict[str, type[TaskScheduler]] = {"gradient": GradientScheduler, "round-robin": RoundRobin}


def evaluate(objective: Objective, costs: Sequence[float]) -> float:
    """The value of an objective.

    Raises:
        ObjectiveError: it is not a finite number.
    """
    value = objective(costs)
    if not isinstance(value, Real) or not math.isfinite(value):
        raise ObjectiveError(f"the objective of {list(costs)} must be a finite number, not {value!r}")
    return float(value)


def _magnitude(operations: int) -> int:
    return math.floor(math.log(operations, SIMILARITY_BASE))
