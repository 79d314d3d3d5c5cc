"""The front door of tuning several workloads at once."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial

from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.target import Target
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.tuners import Budget
from tilewright.tuners.task_scheduler import (
    STRATEGIES,
    Objective,
    ScheduledTask,
    TaskScheduler,
)
from tilewright.tuning.conductor import (
    DATABASE,
    TRIALS,
    check_options,
    check_outlets,
    explain_failures,
    make_searcher,
    open_history,
    tell_resumed,
)
from tilewright.tuning.granted_threads import granted_threads
from tilewright.tuning.group_progress import GroupProgress, MemberProgress, choose_group_progress
from tilewright.tuning.group_result import (
    IncompleteTuningError,
    TuneAllInterrupted,
    TuneAllResult,
    gather_results,
)
from tilewright.tuning.group_run import GroupRun, costs_by_round, round_size
from tilewright.tuning.history import History, operations
from tilewright.tuning.interruption import Interruption
from tilewright.tuning.leases import name_owner
from tilewright.tuning.result import TuneResult
from tilewright.tuning.run import Run
from tilewright.tuning.salvage import Salvage
from tilewright.tuning.weighted_workloads import WeightedTask, WorkloadEntry, weighted_tasks
from tilewright.tuning.workers import Workers


def tune_all(
    workloads: Iterable[WorkloadEntry],
    *,
    weights: Sequence[float] | None = None,
    objective: Objective | None = None,
    strategy: str = "gradient",
    trials: int | None = None,
    seconds: float | None = None,
    patience: int | None = None,
    tuner: str = "xgb",
    seed: int = 0,
    transfer: bool = True,
    threads: int | None = None,
    target: Target | None = None,
    db: str | os.PathLike[str] = DATABASE,
    progress: GroupProgress | bool = False,
    on_trial: Callable[[Record], None] | None = None,
) -> TuneAllResult:
    """Tune several workloads in one run, with more trials where the weighted total falls more.

    Args:
        workloads: each ``(op, parameters)``, or a mapping of ``op``, the parameters and perhaps ``weight``;
            equal ones are tuned once, their weights added.
        weights: of the workloads, such as how often a network calls each; 1 by default.
        objective: of the workloads' seconds, in place of their weighted sum; equal workloads count as one.
        strategy: ``gradient`` (Ansor's) or ``round-robin``.
        trials: the number of trials that all workloads together have at the end, those in the database
            included; by default 64 for each.
        seconds: as for :func:`tune`.
        patience: leave a workload after so many trials of it without an improvement.
        tuner: as for :func:`tune`.
        seed: of the search and the scheduler.
        transfer: as for :func:`tune`.
        threads: as for :func:`tune`.
        target: as for :func:`tune`.
        db: as for :func:`tune`.
        progress: ``True`` shows the run on standard error; an object follows it.
        on_trial: as for :func:`tune`.

    Raises:
        IncompleteTuningError: a workload has no valid kernel; the message gives the causes.
        TuneAllInterrupted: Ctrl-C was pressed; every finished trial is stored.
        RecordsNotStored: as for :func:`tune`; ``.result`` is what a run returns.
        TilewrightError: a workload, an option or the database is wrong.
    """
    check_options(trials, seconds, patience, tuner, seed)
    check_outlets(db, on_trial)
    _check_strategy(strategy, objective)
    members = weighted_tasks(workloads, weights, target, granted_threads(threads))
    for member in members:
        member.task.default_config  # noqa: B018 - a faulty template or default is reported before anything else
    budget = Budget(TRIALS * len(members) if trials is None else trials, seconds)
    searcher = partial(make_searcher, tuner, seed=seed, transfer=transfer)
    follow = choose_group_progress(progress)
    limits, owner, size = Budget(None, None, patience), name_owner(), round_size(budget.trials, len(members))
    with Salvage() as salvage, ExitStack() as stack:
        interruption = stack.enter_context(Interruption())
        store = stack.enter_context(RecordStore(db))
        histories = [open_history(member.task, store) for member in members]
        rounds = [costs_by_round(history.records, size) for history in histories]
        scheduler = _make_scheduler(strategy, members, rounds, objective, seed)
        workers = Workers(members[0].task.target, members[0].task.threads, stack, follow.stage)
        shared = (on_trial, interruption, stack, workers, owner)
        runs = [
            Run(h.task, h, partial(searcher, h), limits, seed, MemberProgress(follow, place), *shared)
            for place, h in enumerate(histories)
        ]
        group = GroupRun(runs, scheduler, budget, interruption, size)
        salvage.recall = partial(_gather, group, members, objective, Run.remembered)
        result = _conduct(group, members, objective, follow, stack)
    return _judge(result, interruption, histories)


def _make_scheduler(
    strategy: str,
    members: Sequence[WeightedTask],
    rounds: Sequence[Sequence[float]],
    objective: Objective | None,
    seed: int,
) -> TaskScheduler:
    """The scheduler, which goes on from the rounds that the database tells of."""
    tasks = [ScheduledTask(m.task.workload.op, operations(m.task), m.weight) for m in members]
    return STRATEGIES[strategy](tasks, seed, objective=objective, history=rounds)


def _conduct(
    group: GroupRun,
    members: Sequence[WeightedTask],
    objective: Objective | None,
    follow: GroupProgress,
    stack: ExitStack,
) -> TuneAllResult:
    """Search, decide, and say what was found."""
    follow.start(members, group.budget, [tuple(run.history.records) for run in group.runs])
    stack.callback(follow.finish)
    tell_resumed(group.runs, follow.stage)
    group.search()
    group.decide()
    return _gather(group, members, objective, Run.result)


def _gather(
    group: GroupRun,
    members: Sequence[WeightedTask],
    objective: Objective | None,
    result_of: Callable[[Run, float], TuneResult],
) -> TuneAllResult:
    """What was found, as each run tells it of so many seconds."""
    results = [result_of(run, spent) for run, spent in zip(group.runs, group.elapsed_seconds, strict=True)]
    elapsed = time.monotonic() - group.started
    return gather_results(results, [member.weight for member in members], objective, elapsed)


def _judge(result: TuneAllResult, interruption: Interruption, histories: Sequence[History]) -> TuneAllResult:
    if interruption.requested:
        raise TuneAllInterrupted(result)
    causes = [
        explain_failures(history.records, history.task)
        for history, found in zip(histories, result.results, strict=True)
        if found.best is None
    ]
    if causes:
        raise IncompleteTuningError("; ".join(causes), result)
    return result


def _check_strategy(strategy: object, objective: object) -> None:
    if not isinstance(strategy, str) or strategy not in STRATEGIES:
        raise TilewrightError(f"there is no strategy {strategy!r}; choose one of {', '.join(STRATEGIES)}")
    if objective is not None and not callable(objective):
        raise TilewrightError(f"objective must be a function of a list of seconds, not {objective!r}")
