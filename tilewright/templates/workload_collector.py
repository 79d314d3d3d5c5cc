"""Which workloads a program builds, and how often: what to tune for it."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewright.templates.dispatch import Choice, Dispatcher
from tilewright.templates.registry import OPERATORS
from tilewright.templates.workload import Workload

if TYPE_CHECKING:
    from tilewright.templates.task import Task
    from tilewright.templates.template import Template


class WorkloadCollector(Dispatcher):
    """Takes note of what is built, and leaves the configuration to the others.

    Iterating gives a mapping of ``op``, ``args`` and ``weight`` for each workload, in the order in which they
    were first built; the weight is how often it was built.
    """

    def __init__(self) -> None:
        super().__init__()
        self._counts: Counter[Workload] = Counter()
        self._templates: dict[Workload, Template] = {}

    def choose(self, task: "Task") -> Choice | None:
        """Count the task; None."""
        self._counts[task.workload] += 1
        self._templates[task.workload] = task.template
        return None

    def __len__(self) -> int:
        return len(self._counts)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for workload, count in self._counts.items():
            yield {"op": self._templates[workload], "args": workload.args, "weight": count}

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write them as JSON lines, as `tilewright tune-all` reads them."""
        entries = [{**entry, "op": _name(entry["op"])} for entry in self]
        Path(path).write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")


def collect_workloads() -> WorkloadCollector:
    """Collect the workloads that are built with their best configuration.

        with collect_workloads() as found:     # in this context; or .install(), in the whole process
            make_network()
        tune_all(found)

    A build that an inner `apply_best` has a record for is not collected.
    """
    return WorkloadCollector()


def _name(template: "Template") -> str:
    """How another process finds a template."""
    if template.name in OPERATORS:
        return template.name
    return f"{os.path.realpath(template.source_file)}:{template.name}"
