"""What a run knows before its first trial: the estimate of the nests, and the nearest other trials."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tilewright.compiler.target import Target
from tilewright.logs.record import Record, TemplateData, make_record, target_data
from tilewright.logs.store import RecordStore
from tilewright.measure.result import MeasureResult
from tilewright.templates.constraints import Ordinals
from tilewright.templates.task import Task
from tilewright.tuners.distilled_prior import DistilledPrior
from tilewright.tuners.nest_features import FEATURE_NAMES
from tilewright.tuners.transfer import TransferPrior
from tilewright.tuning.conductor import make_searcher
from tilewright.tuning.guesses import SOURCES, describe_nest, distance, gather_priors
from tilewright.tuning.history import History

SMALL = {"m": 64, "n": 64, "k": 64}


def matmul(threads: int = 1, target: Target | None = None, **sizes: int) -> Task:
    return Task.create("matmul", target or Target.host(), threads, **{**SMALL, **sizes})


def records(task: Task, count: int) -> list[Record]:
    """Trials whose cost is that of the number of rows of a tile."""
    rng = np.random.default_rng(0)
    made = []
    for index in task.space.sample(count, rng):
        config = task.space.config(index)
        seconds = 1e-3 / float(str(config.to_json()["rows"]))
        result = MeasureResult(
            state="ok", costs=(seconds,), seconds=seconds, interval=(seconds, seconds), reference_ratio=1.0
        )
        made.append(
            make_record(
                result,
                workload=task.workload.to_json(),
                template=TemplateData(task.template.name, task.template_hash),
                target=target_data(task.target, task.threads),
                config=config.to_json(),
                index=index,
                attempt=1,
                seed=0,
                kinds={knob.name: knob.kind for knob in task.space.knobs},
            )
        )
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecordStore]:
    with RecordStore(tmp_path / "tune.db") as opened:
        yield opened


def kinds(task: Task, store: RecordStore, **options: Any) -> list[type]:
    return [type(prior) for prior in gather_priors(task, store, 0, **options)]


def test_an_empty_database_leaves_the_estimate(store: RecordStore) -> None:
    assert kinds(matmul(), store, transfer=True) == [DistilledPrior]


def test_trials_of_another_shape_are_learned_from_unless_forbidden(store: RecordStore) -> None:
    store.add_all(records(matmul(m=96), 24))
    assert kinds(matmul(), store, transfer=True) == [DistilledPrior, TransferPrior]
    assert kinds(matmul(), store, transfer=False) == [DistilledPrior]
    *_, learned = gather_priors(matmul(), store, 0, transfer=True)
    task = matmul()
    indices: Ordinals = np.array(
        task.space.sample(200, np.random.default_rng(1)), dtype=task.space.index_dtype
    )
    rows = np.array([math.log(float(str(task.space.config(i).to_json()["rows"]))) for i in indices.tolist()])
    assert np.corrcoef(learned(task.space, indices), rows)[0, 1] < -0.8


def test_its_own_trials_and_other_operators_are_no_source(store: RecordStore) -> None:
    store.add_all(records(matmul(), 24))
    batched = Task.create("batch_matmul", Target.host(), 1, b=2, **SMALL)
    store.add_all(records(batched, 24))
    assert kinds(matmul(), store, transfer=True) == [DistilledPrior]


def test_the_nearest_are_taken(store: RecordStore) -> None:
    sizes = [32, 65, 66, 67, 1024]
    for size in sizes:
        store.add_all(records(matmul(m=size), 12))
    assert kinds(matmul(), store, transfer=True).count(TransferPrior) == SOURCES
    apart = {f.workload.args["m"]: distance(matmul(), f) for f in store.iter_firsts("matmul")}
    assert sorted(apart, key=lambda size: apart[size]) == [65, 66, 67, 32, 1024]


def test_machines_threads_and_choices_are_apart(store: RecordStore) -> None:
    other = Target.named("haswell")
    for task in (matmul(), matmul(4), matmul(target=other)):
        store.add_all(records(task, 8))
    here, threads, machine = (distance(matmul(), first) for first in store.iter_firsts("matmul"))
    assert (here, threads, machine) == (0.0, 2.0, 1.0)


def test_a_run_describes_loop_nests_to_the_tuner_that_learns(store: RecordStore) -> None:
    task = matmul()
    learner, other = (
        make_searcher(name, History(task, store), seed=0, transfer=False) for name in ("xgb", "random")
    )
    assert other.describe is None
    assert learner.describe is not None
    found = learner.describe(task.default_config)
    assert found.shape == (len(FEATURE_NAMES),)
    assert found.tolist() == describe_nest(task, task.default_config).tolist()
