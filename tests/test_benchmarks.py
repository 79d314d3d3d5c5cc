"""What the benchmarks conclude and what they compare with; nothing here is timed for its speed."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tilewright as tw
from tilewright.compiler.target import Target
from tilewright.measure.inputs import make_inputs
from tilewright.templates.task import Task

IMAGE = {"n": 2, "c": 6, "h": 9, "w": 8}
PROBLEMS: dict[str, dict[str, Any]] = {
    "matmul": {"m": 5, "n": 7, "k": 3, "transpose_b": True},
    "batch_matmul": {"b": 2, "m": 5, "n": 7, "k": 3},
    "dense": {"m": 1, "n": 7, "k": 3},
    "conv2d": {**IMAGE, "o": 4, "kernel": 3, "stride": 2, "padding": 1, "epilogue": ("bias", "relu")},
    "depthwise_conv2d": {**IMAGE, "kernel": (3, 2), "padding": (1, 0)},
    "max_pool2d": {**IMAGE, "kernel": 3, "stride": 2, "padding": 1, "layout": "NHWC"},
}


@pytest.fixture(autouse=True)
def _path(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))


def module(name: str) -> Any:
    return importlib.import_module(name)


@pytest.mark.parametrize("op", PROBLEMS)
def test_numpy_computes_what_the_operator_does(op: str) -> None:
    problem, measurement = module("libraries.problem"), module("row_measurement")
    task = Task.create(op, Target.host(), 1, **PROBLEMS[op])
    *arrays, _ = make_inputs((program := task.instantiate(task.default_config)).inputs + program.outputs)
    expected = problem.images_first(task, measurement.reference(task, arrays))
    forms = module("libraries.numpy_forms").numpy_forms(problem.describe(task, arrays, expected))
    assert forms
    for form in forms:
        measurement.check(form.name, form.result(), expected)
        measurement.check(form.name, form.result(), expected)  # nothing is left over from the first call


@pytest.mark.parametrize(("count", "first"), [(3, 1), (9, 2), (15, 4), (21, 6)])
def test_the_interval_of_a_median_lies_between_sorted_values(count: int, first: int) -> None:
    values = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
    assert module("comparison").median_interval(values) == (first, count + 1 - first)


def test_the_interval_of_a_median_holds_it_as_often_as_it_says() -> None:
    rng, median_interval = np.random.default_rng(0), module("comparison").median_interval
    bounds = [median_interval(rng.exponential(size=21)) for _ in range(2000)]
    held = np.mean([low <= np.log(2) <= high for low, high in bounds])
    assert held > 0.95


def test_contestants_take_turns_in_an_order_that_changes() -> None:
    order: list[str] = []

    def runner(name: str) -> Any:
        def run(repeats: int) -> int:
            order.append(name)
            return 10**9

        return run

    times = module("interleave").take_rounds({name: runner(name) for name in "abc"}, lambda count: count < 4)
    rounds = ["".join(order[-3 * n : len(order) - 3 * n + 3]) for n in range(1, 5)]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len(set(rounds)) > 1
    assert {name: len(found) for name, found in times.items()} == {"a": 4, "b": 4, "c": 4}


def test_a_demand_counts_rows_that_failed() -> None:
    rows, demands, measured = module("rows"), module("demands"), module("row_measurement").Measured
    good, *others = (row for row in rows.ROWS if row.kind == "1x1")
    times = {"peak": np.ones(5), "torch": np.full(5, 1.2), "default": np.ones(5), "tuned": np.ones(5)}
    entry = measured(good, 10**9, 10**9, times, {"torch": "eager"}, {}, {})

    def verdict(failed: list[Any]) -> Any:
        found = demands.check_demands([entry], failed)
        return next(demand for demand in found if demand.text.startswith("1x1"))

    assert verdict([]).is_met is True
    assert verdict(others).is_met is False
    assert others[0].name in verdict(others).figure
    assert next(d for d in demands.check_demands([entry], []) if "gemv" in d.text).is_met is None


def test_every_operator_has_a_workload_to_compile() -> None:
    from tilewright.templates.registry import OPERATORS

    assert set(module("compile_time").WORKLOADS) >= set(OPERATORS)


def test_ranks_that_agree_correlate_whatever_the_distances() -> None:
    spearman = module("cost_model").spearman
    values = np.array([1.0, 2.0, 2.0, 50.0])
    assert spearman(values, values**3) == pytest.approx(1)
    assert spearman(values, -values) == pytest.approx(-1)
    assert abs(spearman(np.arange(4.0), np.array([1.0, 0.0, 0.0, 1.0]))) < 1e-9


def test_the_table_of_features_ranks_what_was_not_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, database = module("features"), tmp_path / "few.db"
    monkeypatch.setattr(features, "LEARNED", (4, 32))
    tw.tune("softmax", shape=(8, 32), tuner="random", trials=8, threads=1, db=database)
    (found,) = module("cost_model").read_workloads([database]).items()
    (row,) = features.compare(*found)
    assert (row.learned, row.ranked) == (4, 4)
    assert all(-1 <= value <= 1 for value in (row.knobs, row.estimate, row.nest))


def test_the_table_of_estimates_reads_what_tuning_wrote(tmp_path: Path) -> None:
    cost_model, database = module("cost_model"), tmp_path / "few.db"
    tw.tune("softmax", shape=(8, 32), tuner="random", trials=3, threads=1, db=database)
    (found,) = cost_model.read_workloads([database, database]).items()
    row = cost_model._rank(*found)
    assert (row.workload, row.trials) == ("few", 3)
    assert row.top_5 == 1
    assert row.default >= 1
