"""The searches of others that the benchmark of tuners compares ours with."""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tilewright.templates.knobs import option_knob
from tilewright.templates.space import ConfigSpace
from tilewright.tuners import Observation
from tilewright.tuners.tuner import Tuner
from tilewright.tuning.replay import replay

SPACE = ConfigSpace((option_knob("x", list(range(40))), option_knob("y", list(range(30)))))


@pytest.fixture(autouse=True)
def _path(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))


def module(name: str) -> Any:
    return importlib.import_module(f"searches.{name}")


def cost(index: int) -> float:
    """Lowest, 1, in the middle of the space."""
    x, y = SPACE.point_to_knob(index)
    return 1.0 + (x - 20) ** 2 + (y - 15) ** 2


def tell(tuner: Tuner, indices: list[int]) -> None:
    tuner.update([Observation(SPACE.config(index), cost(index)) for index in indices])


def drive(tuner: Tuner, trials: int, batch: int = 8) -> list[int]:
    seen: list[int] = []
    while len(seen) < trials:
        proposed = [config.index for config in tuner.next_batch(batch)]
        tell(tuner, proposed)
        seen += proposed
    return seen


def test_recall_is_the_mean_share_of_the_best_among_those_predicted_best() -> None:
    recall = module("autotvm").recall
    labels = np.array([4.0, 3.0, 2.0, 1.0])
    assert recall(labels, labels, 4) == 1
    # predicted best: the second, the first, the fourth, the third
    assert recall(np.array([3.0, 4.0, 1.0, 2.0]), labels, 4) == pytest.approx((0 + 1 + 2 / 3 + 1) / 4)
    assert recall(-labels, labels, 2) == 0


@pytest.mark.parametrize("loss", ["rank", "reg"])
def test_trees_learn_an_order(loss: str) -> None:
    autotvm = module("autotvm")
    rng = np.random.default_rng(0)
    rows = rng.random((64, 4)).astype(np.float32)
    labels = rows[:, 0] * 2 + rows[:, 1] ** 2
    model = autotvm.fit({**autotvm.PARAMETERS, **autotvm.LOSSES[loss]}, rows, labels)
    fresh = rng.random((200, 4)).astype(np.float32)
    found = np.corrcoef(model.inplace_predict(fresh), fresh[:, 0] * 2 + fresh[:, 1] ** 2)[0, 1]
    assert found > 0.8


def test_annealing_finds_the_highest_scores_that_are_allowed() -> None:
    annealing = module("simulated_annealing").Annealing(SPACE, np.random.default_rng(0))

    def score(indices: Any) -> Any:
        return np.array([-cost(int(index)) for index in indices])

    best = sorted(range(SPACE.range_length), key=cost)
    found = annealing.find_maximums(score, 8, exclude=best[:3])
    assert not set(found) & set(best[:3])
    assert sorted(map(cost, found)) == list(map(cost, found))
    assert cost(found[-1]) <= cost(best[20])


def test_annealing_keeps_to_a_listed_space() -> None:
    listed = ConfigSpace(SPACE.knobs, (), frozenset(range(0, 1200, 7)))
    annealing = module("simulated_annealing").Annealing(listed, np.random.default_rng(0))
    found = annealing.find_maximums(lambda indices: np.asarray(indices, float), 5, exclude=())
    assert found[0] == max(listed.listed or ())
    assert all(index in (listed.listed or ()) for index in found)


@pytest.mark.parametrize("loss", ["rank", "reg"])
def test_autotvm_plans_after_64_random_trials(loss: str) -> None:
    autotvm = module("autotvm")
    tuner = autotvm.AutoTvmSearch(SPACE, 0, loss=loss)
    first = drive(tuner, autotvm.PLAN)
    assert tuner._fits == 1
    plan = list(tuner._plan)
    assert not set(plan) & set(first)
    second = drive(tuner, autotvm.PLAN)
    assert second[:61] == plan[:61]
    assert not set(second[61:]) & set(plan[:61])  # the last three are random
    assert np.mean([cost(i) for i in second[:61]]) < np.mean([cost(i) for i in first]) * 0.7
    assert tuner._fits == 2


def test_autotvm_learns_from_history() -> None:
    known = [Observation(SPACE.config(index), cost(index)) for index in range(0, 1200, 17)]
    tuner = module("autotvm").AutoTvmSearch(SPACE, 0, loss="reg", history=known)
    proposed = [config.index for config in tuner.next_batch(8)]
    assert proposed == tuner._plan[:8]


def test_nothing_is_learned_until_something_ran() -> None:
    tuner = module("autotvm").AutoTvmSearch(SPACE, 0, loss="reg")
    tuner.update([Observation(SPACE.config(index), None) for index in range(70)])
    assert tuner._fits == 0
    tell(tuner, [600])
    assert tuner._fits == 1


def test_the_benchmark_replays_them(root: Path) -> None:
    from tilewright.logs.formats.spaces import read_recorded_space

    recorded = read_recorded_space(root / "tests/data/matmul_space.json")
    result = replay(recorded, "autotvm-reg", trials=80, seeds=1, make=module("registry").make_search)
    assert result.tuner == "autotvm-reg"
    assert len(result.curves[0]) == 80
    ours = replay(recorded, "random", trials=8, seeds=1, make=module("registry").make_search)
    assert ours.curves == replay(recorded, "random", trials=8, seeds=1).curves


def test_without_optuna_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SystemExit, match="tpe needs optuna: pip install optuna"):
        module("optuna_search").OptunaSearch(SPACE, 0)


@pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="optuna is not installed")
def test_optuna_searches_where_it_may_and_learns() -> None:
    listed = ConfigSpace(SPACE.knobs, (), frozenset(range(0, 1200, 2)))
    tuner = module("optuna_search").OptunaSearch(listed, 0)
    seen = drive(tuner, 64)
    assert len(set(seen)) == len(seen)
    assert all(listed.is_valid(index) for index in seen)
    assert np.mean([cost(i) for i in seen[-16:]]) < np.mean([cost(i) for i in seen[:16]])
    told = {trial.value for trial in tuner._study.trials if trial.state.name == "COMPLETE"}
    assert told <= {cost(index) for index in seen}
    assert len(told) > 20
