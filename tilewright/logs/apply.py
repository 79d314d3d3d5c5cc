"""Applying the best records: in a context, or in the whole process."""

from typing import TYPE_CHECKING

from tilewright.logs.errors import DatabaseError
from tilewright.logs.lookup import Lookup, SourceArgument, check_source
from tilewright.logs.record import Record, record_key
from tilewright.templates.dispatch import Choice, Dispatcher

if TYPE_CHECKING:
    from tilewright.templates.task import Task


class ApplyBest(Dispatcher):
    """Best records in force: inside `with`, or from `install` to `uninstall`."""

    def __init__(self, *sources: SourceArgument) -> None:
        super().__init__()
        if not sources:
            raise DatabaseError("apply_best: give at least one database, log or collection of records")
        for source in sources:
            check_source(source)
        self._lookup = Lookup(sources)

    def choose(self, task: "Task") -> Choice | None:
        """The best record of the task's exact key."""
        record = self.find(task_key(task))
        if record is None:
            return None
        return Choice(
            record.config, f"recorded at {record.at:%Y-%m-%d %H:%M}, {record.seconds:.3g} s", record
        )

    def release(self) -> None:
        """Close the databases."""
        self._lookup.close()

    def find(self, key: str) -> Record | None:
        """The best record of a key in these sources."""
        return self._lookup.find(key)


def apply_best(*sources: SourceArgument) -> ApplyBest:
    """Use the best records of databases, logs and collections of records.

        with apply_best("tune.db"):            # in this context
            kernel = build("matmul", m=512, n=512, k=512)

        apply_best("tune.db").install()        # in the whole process

    Args:
        sources: paths of databases and of logs, URLs, stores, or collections of records; the first that
            knows a key decides.
    """
    return ApplyBest(*sources)


def task_key(task: "Task") -> str:
    """The key of a task's records."""
    target = task.target
    return record_key(task.workload.to_json(), target.cpu, target.feature_hash, task.threads)
