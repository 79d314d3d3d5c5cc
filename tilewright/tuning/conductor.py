"""The front door of tuning: checks what is asked for, runs it, and says what was found."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.target import Target
from tilewright.deploy import make_task
from tilewright.logs.brief_record import KnownTrial
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.templates.task import Task
from tilewright.templates.template import Template
from tilewright.tuners import TUNERS, Budget, Tuner, TunerError, make_tuner
from tilewright.tuning.granted_threads import granted_threads
from tilewright.tuning.guesses import describe_nest, gather_priors
from tilewright.tuning.history import History
from tilewright.tuning.interruption import Interruption
from tilewright.tuning.leases import release_dead
from tilewright.tuning.progress import Progress, choose_progress
from tilewright.tuning.result import NoValidConfig, TuneResult, TuningInterrupted
from tilewright.tuning.run import Run
from tilewright.tuning.salvage import Salvage
from tilewright.tuning.workers import Workers

TRIALS = 64
DATABASE = "tune.db"


def tune(
    op: str | Template,
    *,
    trials: int | None = TRIALS,
    seconds: float | None = None,
    patience: int | None = None,
    tuner: str = "xgb",
    seed: int = 0,
    transfer: bool = True,
    threads: int | None = None,
    target: Target | None = None,
    db: str | os.PathLike[str] = DATABASE,
    progress: Progress | bool = False,
    on_trial: Callable[[Record], None] | None = None,
    **params: Any,
) -> TuneResult:
    """Find the best configuration of an operator, and record every trial.

    Args:
        op: a name, a template, or ``"file.py:name"``.
        trials: the number of trials that the workload has at the end, those in the database included.
        seconds: stop after so many.
        patience: stop after so many trials without a gain above the noise; half as many without hope of one.
        tuner: ``xgb``, ``ga``, ``random``, ``grid`` or ``descent``.
        seed: of the search.
        transfer: let ``xgb`` learn from the database's trials of other shapes and machines.
        threads: of the kernel; by default the cores granted to the process.
        target: the machine; this one by default.
        db: a path (SQLite) or a URL.
        progress: ``True`` shows the run on standard error; an object follows it.
        on_trial: called with the record of every trial.
        params: the operator's parameters.

    Raises:
        NoValidConfig: every trial failed; the message gives the causes.
        TuningInterrupted: Ctrl-C was pressed; every finished trial is stored.
        RecordsNotStored: the disk is full, or the database is gone; ``.result`` has the best that is known.
        TilewrightError: the operator, a parameter, an option or the database is wrong.
    """
    check_options(trials, seconds, patience, tuner, seed)
    check_outlets(db, on_trial)
    task = make_task(op, target, granted_threads(threads), params)
    task.default_config  # noqa: B018 - a faulty template or default is reported before the database is touched
    searcher = partial(make_searcher, tuner, seed=seed, transfer=transfer)
    budget, follow = Budget(trials, seconds, patience), choose_progress(progress)
    return _tune(task, db, budget, searcher, seed, follow, on_trial)


def _tune(
    task: Task,
    db: str | os.PathLike[str],
    budget: Budget,
    searcher: Callable[[History], Tuner],
    seed: int,
    follow: Progress,
    on_trial: Callable[[Record], None] | None,
) -> TuneResult:
    """Tune a task, with options that were checked."""
    with Salvage() as salvage, ExitStack() as stack:
        interruption = stack.enter_context(Interruption())
        history = open_history(task, stack.enter_context(RecordStore(db)))
        workers = Workers(task.target, task.threads, stack, follow.stage)
        make = partial(searcher, history)
        run = Run(task, history, make, budget, seed, follow, on_trial, interruption, stack, workers)
        salvage.recall = run.remembered
        result = _conduct(run)
    return _judge(result, interruption, history)


def open_history(task: Task, store: RecordStore) -> History:
    """What the database holds of a task, the leases of killed runs given back."""
    history = History(task, store)
    if not store.read_only:
        history.abandoned = release_dead(store, history.key)
    return history


def make_searcher(tuner: str, history: History, *, seed: int, transfer: bool) -> Tuner:
    """The tuner, which measures the default first and knows what is known and what is expected."""
    task, known = history.task, history.observations(history.records)
    start = [task.default_config, *history.hints()]
    options: dict[str, Any] = {"start": start, "history": known}
    if TUNERS[tuner].uses_priors:
        options["priors"] = gather_priors(task, history.store, seed, transfer=transfer)
        options["describe"] = partial(describe_nest, task)
    return make_tuner(tuner, task.space, seed, **options)


def _conduct(run: Run) -> TuneResult:
    """Search, and decide unless the user asked to stop."""
    run.progress.start(run.task, run.budget, tuple(run.history.records))
    run.resources.callback(run.progress.finish)
    tell_resumed([run], run.progress.stage)
    run.search()
    if not run.interruption.requested:
        run.decide()
    return run.result()


def tell_resumed(runs: Sequence[Run], tell: Callable[[str], None]) -> None:
    """Say what is reused and what is repeated, where a run before was killed."""
    abandoned = sum(run.history.abandoned for run in runs)
    if abandoned:
        tell(f"resumed; {sum(run.reused for run in runs)} reused; {abandoned} in flight repeated")


def _judge(result: TuneResult, interruption: Interruption, history: History) -> TuneResult:
    if interruption.requested:
        raise TuningInterrupted(result)
    if result.best is None:
        raise NoValidConfig(explain_failures(history.records, history.task), result)
    return result


def check_outlets(db: object, on_trial: object) -> None:
    """Refuse a database or a listener that can be none.

    Raises:
        TilewrightError: naming it.
    """
    if not isinstance(db, (str, os.PathLike)):
        raise TilewrightError(f"db must be a path or a URL, not {db!r}")
    if on_trial is not None and not callable(on_trial):
        raise TilewrightError(f"on_trial must be a function of a record, not {on_trial!r}")


def check_options(trials: object, seconds: object, patience: object, tuner: object, seed: object) -> None:
    """Refuse limits, a tuner or a seed that can be none.

    Raises:
        TilewrightError: naming it.
    """
    for name, value in (("trials", trials), ("patience", patience)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise TilewrightError(f"{name} must be a positive integer, not {value!r}")
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if seconds is not None and not (is_number and seconds > 0):  # type: ignore[operator]
        raise TilewrightError(f"seconds must be a positive number, not {seconds!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise TilewrightError(f"seed must be an integer from 0, not {seed!r}")
    if not isinstance(tuner, str) or tuner not in TUNERS:
        raise TunerError(f"there is no tuner {tuner!r}; choose one of {', '.join(TUNERS)}")


def explain_failures(records: Sequence[KnownTrial], task: Task) -> str:
    """Why a task has no valid kernel, for people."""
    if not records:
        return (
            f"{task.workload}: no trial was made: allow more trials or seconds, or wait for who tunes it too"
        )
    counts = Counter(r.state for r in records)
    examples = {r.state: (r.error or "").partition("\n")[0] for r in reversed(records)}
    causes = [f"{count} {state}, such as: {examples[state]}" for state, count in counts.most_common()]
    return f"{task.workload}: none of {len(records)} trials gave a valid kernel: {'; '.join(causes)}"
