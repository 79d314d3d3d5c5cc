"""The worker processes of a run, or of several that take turns: they start with the first trial."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from tilewright.compiler.program import Program
from tilewright.compiler.target import Target
from tilewright.measure.measurer import Measurer
from tilewright.templates.task import Task
from tilewright.tuning.reference import provide_reference


@dataclass(slots=True)
class Workers:
    """Measures the kernels of one target and number of threads.

    Attributes:
        say: told what else is done than measuring.
        resources: closes the processes.
    """

    target: Target
    threads: int
    resources: ExitStack
    say: Callable[[str], None]
    _measurer: Measurer | None = None
    _known: set[str] = field(default_factory=set)

    def prepare(self, task: Task, program: Program, best_seconds: float) -> Measurer:
        """The measurer, which knows what to expect of a task; any program of the task tells it.

        Args:
            task: whose kernels are to be measured.
            program: of any of its configurations.
            best_seconds: the lowest cost known; infinite if there is none.
        """
        if self._measurer is None:
            self.say("starting workers")
            self._measurer = self.resources.enter_context(Measurer(self.target, self.threads))
        key = task.workload.key
        if key not in self._known:
            provide_reference(task, program, self._measurer)
            if best_seconds < float("inf"):
                self._measurer.expect(key, best_seconds)
            self._known.add(key)
        return self._measurer

    @property
    def have_started(self) -> bool:
        """Whether there are processes."""
        return self._measurer is not None

    def compare_with(self, task: Task, program: Program, seconds: float) -> None:
        """Time the kernels of a task beside this one, which takes so long; once the workers have started."""
        assert self._measurer is not None
        self._measurer.compare_with(task.workload.key, program, seconds)
