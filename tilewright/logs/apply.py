"""Applying the best records: in a context, or in the whole process."""

from typing import TYPE_CHECKING

from tilewright.logs.errors import DatabaseError
from tilewright.logs.lookup import Lookup, SourceArgument, check_source
from tilewright.logs.record import Record, plain, record_key
from tilewright.logs.usable import first_usable
from tilewright.logs.watch import Change, Watch
from tilewright.templates.dispatch import Choice, Dispatcher

if TYPE_CHECKING:
    from tilewright.templates.task import Task


class ApplyBest(Dispatcher):
    """Best records in force: inside `with`, or from `install` to `uninstall`."""

    def __init__(self, *sources: SourceArgument, verify: bool | None = None, watch: bool = False) -> None:
        super().__init__()
        if not sources:
            raise DatabaseError("apply_best: give at least one database, log or collection of records")
        for source in sources:
            check_source(source)
        self._lookup = Lookup(sources)
        self._verify = verify
        self._watch = Watch(sources) if watch else None
        self._choices: dict[tuple[str, str], Choice] = {}

    def choose(self, task: "Task") -> Choice:
        """The best record of the task's exact key that fits the template and works, if it is to be tried."""
        self._follow()
        choices = self._choices  # another one takes its place when the sources change
        key = task_key(task)
        known = choices.get((key, task.template_hash))
        if known is None:
            known = choices[key, task.template_hash] = self._first_usable(key, task)
        return known

    def _follow(self) -> None:
        """Forget what was found if the sources have changed since; kernels stay as they were built."""
        change = Change.NONE if self._watch is None else self._watch.look()
        if change is Change.FILES:
            self._lookup.close()
        if change is not Change.NONE:
            self._lookup.forget()
            self._choices = {}

    def _first_usable(self, key: str, task: "Task") -> Choice:
        """The best record that can be used here, or why there is none."""
        if self.find(key) is None:
            return Choice(None, self._why_none(task))
        return first_usable(self._lookup.candidates(key), task, self._verify)

    def _why_none(self, task: "Task") -> str:
        """Whose the records of the same workload are, if there are any."""
        target = task.target
        cpus, features, threads = set(), set(), set()
        for record in self._lookup.elsewhere(task.workload.op, plain(task.workload.args)):
            made_for = record.target
            if made_for.cpu != target.cpu:
                cpus.add(made_for.cpu)
            elif made_for.features != target.feature_hash:
                features.add(made_for.features)
            else:
                threads.add(made_for.threads)
        others = [f"made on another CPU ({', '.join(sorted(cpus))})"] if cpus else []
        others += ["made with other features of the CPU"] if features else []
        others += [f"made for another number of threads ({_join(threads)})"] if threads else []
        if not others:
            return "no record for this key is in force"
        return f"no record for this key is in force; those of the workload were {', or '.join(others)}"

    def release(self) -> None:
        """Close the databases, and forget what was tried."""
        self._lookup.close()
        self._choices = {}
        if self._watch is not None:
            self._watch.close()

    def find(self, key: str) -> Record | None:
        """The best record of a key in these sources."""
        return self._lookup.find(key)


def apply_best(*sources: SourceArgument, verify: bool | None = None, watch: bool = False) -> ApplyBest:
    """Use the best records of databases, logs and collections of records.

        with apply_best("tune.db"):            # in this context
            kernel = build("matmul", m=512, n=512, k=512)

        apply_best("tune.db").install()        # in the whole process

    Args:
        sources: paths of databases and of logs, URLs, stores, or collections of records; the first that
            knows a key decides.
        verify: try each record in a child process before it is first used, and fall back on the next best
            where its kernel crashes, hangs or is wrong; by default only those that came from another machine,
            or that another compiler or another version of the template made.
        watch: let later builds see what others have stored since; the databases and logs named by a path or
            a URL are looked at when something is built, at most once a second.
    """
    return ApplyBest(*sources, verify=verify, watch=watch)


def task_key(task: "Task") -> str:
    """The key of a task's records."""
    target = task.target
    return record_key(task.workload.to_json(), target.cpu, target.feature_hash, task.threads)


def _join(numbers: set[int]) -> str:
    return ", ".join(str(number) for number in sorted(numbers))
