"""Applying the best records: in a context, or in the whole process."""

import logging
from typing import TYPE_CHECKING

from tilewright.logs.errors import DatabaseError
from tilewright.logs.lookup import Lookup, SourceArgument, check_source
from tilewright.logs.record import Record, record_key
from tilewright.logs.sandbox import find_fault, is_strange
from tilewright.templates.dispatch import Choice, Dispatcher

if TYPE_CHECKING:
    from tilewright.templates.task import Task

_logger = logging.getLogger(__name__)


class ApplyBest(Dispatcher):
    """Best records in force: inside `with`, or from `install` to `uninstall`."""

    def __init__(self, *sources: SourceArgument, verify: bool | None = None) -> None:
        super().__init__()
        if not sources:
            raise DatabaseError("apply_best: give at least one database, log or collection of records")
        for source in sources:
            check_source(source)
        self._lookup = Lookup(sources)
        self._verify = verify
        self._verified: dict[str, Record | None] = {}

    def choose(self, task: "Task") -> Choice | None:
        """The best record of the task's exact key; of those that have to be tried, the best that works."""
        key = task_key(task)
        record = self.find(key)
        if record is None:
            return None
        if self._verify or (self._verify is None and is_strange(record, task)):
            if key not in self._verified:
                self._verified[key] = self._first_sound(key, task)
            record = self._verified[key]
            if record is None:
                return None
        return Choice(
            record.config, f"recorded at {record.at:%Y-%m-%d %H:%M}, {record.seconds:.3g} s", record
        )

    def _first_sound(self, key: str, task: "Task") -> Record | None:
        """The best record that works here; one warning names those that do not."""
        faults: list[str] = []
        found = None
        for record in self._lookup.candidates(key):
            fault = find_fault(record, task)
            if fault is None:
                found = record
                break
            faults.append(f"trial {record.id}: {fault}")
        if faults:
            instead = "the default" if found is None else f"trial {found.id}"
            _logger.warning("%s: %s is used, since %s", task.workload, instead, "; ".join(faults))
        return found

    def release(self) -> None:
        """Close the databases, and forget what was tried."""
        self._lookup.close()
        self._verified.clear()

    def find(self, key: str) -> Record | None:
        """The best record of a key in these sources."""
        return self._lookup.find(key)


def apply_best(*sources: SourceArgument, verify: bool | None = None) -> ApplyBest:
    """Use the best records of databases, logs and collections of records.

        with apply_best("tune.db"):            # in this context
            kernel = build("matmul", m=512, n=512, k=512)

        apply_best("tune.db").install()        # in the whole process

    Args:
        sources: paths of databases and of logs, URLs, stores, or collections of records; the first that
            knows a key decides.
        verify: try each record in a child process before it is first used, and fall back on the next best
            where its kernel crashes, hangs or is wrong; by default only those that another compiler or
            another version of the template made.
    """
    return ApplyBest(*sources, verify=verify)


def task_key(task: "Task") -> str:
    """The key of a task's records."""
    target = task.target
    return record_key(task.workload.to_json(), target.cpu, target.feature_hash, task.threads)
