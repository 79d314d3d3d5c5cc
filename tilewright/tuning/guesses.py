"""What is expected of configurations before they are measured: by analysis, and from other trials."""

import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.logs.apply import task_key
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.templates.config import Config
from tilewright.templates.config_cost import config_cost
from tilewright.templates.task import Task
from tilewright.tuners import Prior
from tilewright.tuners.distilled_prior import distil_prior
from tilewright.tuners.nest_features import nest_features
from tilewright.tuners.transfer import TransferPrior

SOURCES = 3
_OTHER_MACHINE = 1.0
_OTHER_CHOICE = 2.0

_log = logging.getLogger(__name__)


def gather_priors(task: Task, store: RecordStore, seed: int, *, transfer: bool) -> Iterator[Prior]:
    """Yield the analytical estimate of the loop nests and, with `transfer`, what the nearest trials tell."""
    estimate = distil_prior(
        task.space, lambda config: config_cost(task, config).log_cycles, seed, default=task.default_config
    )
    if estimate is not None:
        yield estimate
    for trials in _nearest_trials(task, store) if transfer else ():
        known = [(r.config, r.seconds if r.state in ("ok", "slow") else None) for r in trials]
        try:
            prior = TransferPrior.fit(task.space, known, seed)
        except Exception as error:  # a guess that fails must not end a run that can do without it
            _log.info("other trials are left aside: %s", error)
            return
        if prior is not None:
            yield prior


def describe_nest(task: Task, config: Config) -> NDArray[np.float32]:
    """Return what the loop nest of a configuration is like.

    Raises:
        InvalidConfigError: the configuration cannot be lowered.
    """
    return nest_features(config_cost(task, config))


def _nearest_trials(task: Task, store: RecordStore) -> Iterator[list[Record]]:
    """Yield the trials of the nearest other workloads and machines of the operator."""
    own = task_key(task)
    firsts = [first for first in store.iter_firsts(task.workload.op) if first.key != own]
    nearest = sorted(firsts, key=lambda first: (distance(task, first), first.key))
    for first in nearest[:SOURCES]:
        yield store.trials(first.key)


def distance(task: Task, record: Record) -> float:
    """Return how far a record's workload and machine are from a task's: doublings of its arguments."""
    target = record.target
    is_same = (target.cpu, target.features) == (task.target.cpu, task.target.feature_hash)
    machine = 0.0 if is_same else _OTHER_MACHINE
    threads = abs(math.log2(max(target.threads, 1) / task.threads))
    return machine + threads + _apart(task.workload.args, record.workload.args)


def _apart(left: Mapping[str, Any], right: Mapping[str, Any]) -> float:
    return sum(_apart_in(left.get(name), right.get(name)) for name in left.keys() | right.keys())


def _apart_in(left: Any, right: Any) -> float:
    if left == right:
        return 0.0
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)) and len(left) == len(right):
        return sum(_apart_in(a, b) for a, b in zip(left, right, strict=True))
    if _is_size(left) and _is_size(right):
        return abs(math.log2(left / right))
    return _OTHER_CHOICE


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
