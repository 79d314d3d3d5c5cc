"""AutoTVM's tuning loop around our searches."""

import multiprocessing
import random
import time
import warnings
from statistics import fmean
from typing import Any

import pytest

from tests.tvm.gemm import DummyBuilder, bowl, dummy_option, product, sample_records, sample_task
from tilewright.tvm import autotvm
from tilewright.tvm.autotvm.tuner import GATuner, GridSearchTuner, RandomTuner, Tuner, XGBTuner
from tilewright.tvm.autotvm.tuner.xgboost_cost_model import XGBoostCostModel
from tilewright.tvm.ignored import _warn

ALL = [GridSearchTuner, RandomTuner, GATuner, XGBTuner]


def filtered_task(low: int, high: int) -> Any:
    task = sample_task()
    task.config_space.multi_filter(filter=lambda entity: low <= product(entity) < high)
    return task


def trials(tuner: Any, n_trial: int, **options: Any) -> list[int]:
    """The indices that a run measures, in order."""
    seen: list[int] = []
    tuner.tune(
        n_trial,
        dummy_option(),
        callbacks=[lambda t, inputs, results: seen.extend(each.config.index for each in inputs)],
        **options,
    )
    return seen


def test_17_grid_search_keeps_to_its_range() -> None:
    tuner = GridSearchTuner(sample_task())
    assert (tuner.begin_idx, tuner.end_idx, tuner.index) == (0, 64, 0)
    assert (tuner.range_length, tuner.visited_max) == (64, 64)
    tuner = GridSearchTuner(sample_task(), range_idx=(8, 15))
    assert (tuner.begin_idx, tuner.end_idx, tuner.index) == (8, 16, 8)
    assert (tuner.range_length, tuner.visited_max) == (8, 8)
    assert trials(tuner, 8) == list(range(8, 16))
    assert not tuner.has_next()


def test_17_grid_search_of_a_filtered_space() -> None:
    tuner = GridSearchTuner(filtered_task(32, 1024))
    assert (tuner.begin_idx, tuner.end_idx, tuner.index, tuner.visited_max) == (0, 64, 5, 34)
    tuner = GridSearchTuner(filtered_task(32, 1024), range_idx=(8, 15))
    assert (tuner.begin_idx, tuner.end_idx, tuner.index, tuner.visited_max) == (8, 16, 12, 4)
    assert trials(tuner, 8) == [12, 13, 14, 15]
    assert tuner.visited == {12, 13, 14, 15}
    assert not tuner.has_next()


def test_18_random_search_keeps_to_its_range() -> None:
    tuner = RandomTuner(sample_task(), range_idx=(8, 15))
    assert (tuner.range_length, tuner.visited_max) == (8, 8)
    assert sorted(trials(tuner, 8)) == list(range(8, 16))
    assert not tuner.has_next()
    tuner = RandomTuner(filtered_task(32, 1024), range_idx=(8, 15))
    assert tuner.visited_max == 4
    assert sorted(trials(tuner, 8)) == [12, 13, 14, 15]


@pytest.mark.parametrize("pop_size", [32, 100])
@pytest.mark.parametrize(("task", "size"), [(sample_task, 64), (lambda: filtered_task(8, 1024), 43)])
def test_19_the_first_population_is_valid(pop_size: int, task: Any, size: int) -> None:
    tuner = GATuner(task(), pop_size=pop_size)
    valid = [i for i in tuner.visited if tuner.task.config_space.is_index_valid(i)]
    assert tuner.pop_size == len(valid) == len(tuner.visited) == min(pop_size, size)
    assert len(set(trials(tuner, 64))) == size
    assert not tuner.has_next()


@pytest.mark.parametrize("kind", ALL)
def test_20_every_tuner_finds_something(kind: Any) -> None:
    assert best_flops_of(kind) > 1


def test_20_tuners_work_in_a_spawned_process() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert min(pool.map(best_flops_of, ALL)) > 1


def best_flops_of(kind: Any) -> float:
    tuner = kind(sample_task())
    tuner.tune(n_trial=10, measure_option=dummy_option())
    return float(tuner.best_flops)


@pytest.mark.parametrize("kind", [XGBTuner, GATuner])
def test_23_learning_beats_chance(kind: Any) -> None:
    def best_cost(kind: Any, seed: int, **options: Any) -> float:
        task = sample_task(4096)
        return min(bowl(task.config_space.get(i)) for i in trials(kind(task, seed=seed, **options), 40))

    options = {"pop_size": 12} if kind is GATuner else {}
    informed = fmean(best_cost(kind, seed, **options) for seed in range(20))
    chance = fmean(best_cost(RandomTuner, seed) for seed in range(20))
    assert informed < 0.75 * chance


@pytest.mark.parametrize("kind", ALL)
def test_23_the_same_seed_gives_the_same_trials(kind: Any) -> None:
    first, second = (trials(kind(sample_task(), seed=3), 24) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("kind", ALL)
def test_25_a_space_ends_before_the_trials_do(kind: Any) -> None:
    assert len(trials(kind(filtered_task(32, 1024)), 1000)) == 34
    single = sample_task()
    single.config_space.multi_filter(filter=lambda entity: product(entity) == 1)
    assert trials(kind(single), 1000) == [0]


def test_25_patience_counts_from_the_best_trial() -> None:
    class Falling(autotvm.measure.Runner):
        def run(self, measure_inputs: Any, build_results: Any) -> Any:
            # The best is index 3; nothing after it is better.
            costs = [1.0 if each.config.index == 3 else 2.0 for each in measure_inputs]
            return [autotvm.MeasureResult((cost,), 0, 0.1, time.time()) for cost in costs]

    tuner = GridSearchTuner(sample_task())
    option = autotvm.measure_option(builder=DummyBuilder(), runner=Falling())
    tuner.tune(n_trial=64, measure_option=option, early_stopping=10)
    assert tuner.best_iter == 3
    assert 13 <= len(tuner.visited) < 13 + 8


@pytest.mark.parametrize("kind", ALL)
def test_26_a_reset_tuner_is_as_new(kind: Any) -> None:
    tuner = kind(sample_task())
    first = trials(tuner, 20)
    tuner.reset()
    assert (tuner.best_config, tuner.best_flops, tuner.best_iter, tuner.best_measure_pair) == (
        None,
        0,
        0,
        None,
    )
    assert tuner.visited == kind(sample_task()).visited
    assert trials(tuner, 20) == first


def test_history_is_learned_and_never_measured_again() -> None:
    tuner = XGBTuner(sample_task())
    tuner.load_history(sample_records(10), min_seed_records=5)
    assert not set(trials(tuner, 64)) & set(range(10))


@pytest.mark.parametrize("kind", ALL)
def test_costs_of_another_shape_are_not_those_of_this_one(kind: Any) -> None:
    tuner = kind(sample_task(256))
    tuner.load_history(sample_records(10))
    assert len(trials(tuner, 100)) == 81


def test_a_tuner_of_ones_own() -> None:
    class Backwards(Tuner):
        def __init__(self, task: Any) -> None:
            super().__init__(task)
            self.left = list(range(64))

        def has_next(self) -> bool:
            return bool(self.left)

        def next_batch(self, batch_size: int) -> Any:
            return [
                self.task.config_space.get(self.left.pop()) for _ in range(min(batch_size, len(self.left)))
            ]

        def update(self, inputs: Any, results: Any) -> None:
            assert all(result.error_no == 0 for result in results)

    assert trials(Backwards(sample_task()), 20) == list(range(63, 43, -1))


def test_options_of_autotvms_model_are_ignored_with_one_warning() -> None:
    _warn.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            XGBTuner(sample_task(), loss_type="rank", feature_type="curve")
    (warning,) = caught
    assert "XGBTuner: Tilewright has no use for feature_type, loss_type; ignored" in str(warning.message)


def test_callbacks_see_every_trial(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monitor = autotvm.tuner.callback.Monitor()
    log = tmp_path / "log.json"
    callbacks: list[Any] = [autotvm.callback.log_to_file(log), autotvm.callback.progress_bar(20), monitor]
    tuner = RandomTuner(sample_task())
    tuner.tune(20, dummy_option(), callbacks=callbacks)
    assert len(monitor.trial_scores()) == len(monitor.trial_timestamps()) == 20
    assert max(monitor.trial_scores()) == tuner.best_flops
    pairs = list(autotvm.record.load_from_file(log))
    assert {inp.config.index for inp, _ in pairs} == tuner.visited
    assert "Progress: (20/20)" in capsys.readouterr().err
    monitor.reset()
    assert monitor.trial_scores() == []


def test_a_space_where_all_fails_says_why(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(autotvm.measure.Runner):
        def run(self, measure_inputs: Any, build_results: Any) -> Any:
            return [autotvm.MeasureResult((ValueError("no luck"),), 4, 0.1, 0.0) for _ in measure_inputs]

    tuner = RandomTuner(sample_task())
    tuner.tune(4, autotvm.measure_option(builder=DummyBuilder(), runner=Broken()))
    assert tuner.best_config is None
    assert "no trial gave a time: {'no luck': 4}" in caplog.text


def test_the_cost_model_ranks() -> None:
    task = sample_task()
    scores = {i: 1 / bowl(task.config_space.get(i)) for i in range(64)}
    known = random.Random(0).sample(range(64), 40)
    model = XGBoostCostModel(task)
    model.fit(known, [scores[i] for i in known], plan_size=32)
    left = sorted(set(scores) - set(known))
    predicted = dict(zip(left, model.predict(left), strict=True))
    best = sorted(left, key=lambda i: -scores[i])[:6]
    worst = sorted(left, key=lambda i: scores[i])[:6]
    assert min(predicted[i] for i in best) > max(predicted[i] for i in worst)
