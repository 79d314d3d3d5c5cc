"""Replaying a recorded space counts evaluations as a run would."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import pstdev
from typing import Any

import pytest

from tilewright.logs.errors import RecordError
from tilewright.logs.formats.recorded_space import RecordedSpace, options_space
from tilewright.logs.formats.spaces import read_recorded_space
from tilewright.templates.config import Config
from tilewright.tuners import Observation
from tilewright.tuners.errors import TunerError
from tilewright.tuners.registry import TUNERS
from tilewright.tuners.tuner import Tuner
from tilewright.tuning.replay import Curve, ReplayResult, Search, replay, search, summarize

COSTS = [4.0, None, 2.0, None, 1.0] + [3.0] * 27


@pytest.fixture
def recorded() -> RecordedSpace:
    return options_space("made", [({"i": i}, cost) for i, cost in enumerate(COSTS)])


class Told(Tuner):
    """Proposes indices in order, and remembers what it was told."""

    batches: list[int]
    told: list[Observation]

    def __init__(self, *args: Any, **options: Any) -> None:
        self.batches, self.told = [], []
        super().__init__(*args, **options)
        made.append(self)

    def next_batch(self, n: int) -> list[Config]:
        self.batches.append(n)
        return super().next_batch(n)

    def update(self, observations: Iterable[Observation]) -> None:
        observations = list(observations)
        self.told += observations
        super().update(observations)

    def _propose(self, count: int) -> Sequence[int]:
        return [i for i in range(len(COSTS)) if i not in self.seen][:count]


made: list[Told] = []


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    monkeypatch.setitem(TUNERS, "told", Told)
    made.clear()
    return made


def test_a_curve_is_the_best_so_far_and_failures_count(recorded: RecordedSpace, told: list[Told]) -> None:
    assert search(recorded, "told", 6, 0).curve == [0.25, 0.25, 0.5, 0.5, 1.0, 1.0]
    (tuner,) = told
    assert [o.cost_seconds for o in tuner.told] == COSTS[:6]
    assert [o.config["i"].val for o in tuner.told] == list(range(6))


def test_a_failure_first_is_worth_nothing(told: list[Told]) -> None:
    space = options_space("made", [({"i": i}, cost) for i, cost in enumerate([None, 2.0, 1.0])])
    assert search(space, "told", 3, 0).curve == [0.0, 0.5, 1.0]


def test_batches_are_small_at_first_and_the_last_is_cut(recorded: RecordedSpace, told: list[Told]) -> None:
    assert len(search(recorded, "told", 20, 0).curve) == 20
    assert told[0].batches == [4] * 5
    assert len(search(recorded, "told", 500, 0).curve) == len(COSTS)  # each once, and then none is left


def summarized(recorded: RecordedSpace, curves: Sequence[Curve]) -> ReplayResult:
    return summarize(recorded, "t", [Search(curve, 0.5) for curve in curves], 60)


def test_a_summary_is_a_mean_and_a_median(recorded: RecordedSpace) -> None:
    curves: list[Curve] = [[0.5] * 24 + [0.75] * 25 + [1.0], [0.0] * 9 + [0.96] * 41, [0.25] * 50]
    result = summarized(recorded, curves)
    assert result.fraction_of_optimum == {
        25: (0.75 + 0.96 + 0.25) / 3,
        50: (1 + 0.96 + 0.25) / 3,
        100: None,
        200: None,
    }
    assert result.spread[25] == pytest.approx(pstdev([0.75, 0.96, 0.25]))
    assert result.spread[100] is None
    assert result.seconds_per_100 == 1.0  # half a second for each fifty
    assert result.evaluations_to_95 == 50  # of 50, 10 and never
    assert summarized(recorded, curves[:2]).evaluations_to_95 == 30
    assert summarized(recorded, curves[2:]).evaluations_to_95 is None


def test_an_exhausted_space_keeps_its_last_value(recorded: RecordedSpace, told: list[Told]) -> None:
    result = replay(recorded, "told", seeds=2)
    assert result.fraction_of_optimum == {25: 1.0, 50: 1.0, 100: 1.0, 200: 1.0}
    data = result.to_json()
    assert data.pop("seconds_per_100") >= 0
    assert data == {
        "space": "made",
        "size": 32,
        "tuner": "told",
        "fraction_of_optimum": {"25": 1.0, "50": 1.0, "100": 1.0, "200": 1.0},
        "spread": {"25": 0.0, "50": 0.0, "100": 0.0, "200": 0.0},
        "evaluations_to_95": 5,
    }


@pytest.mark.parametrize("tuner", list(TUNERS))
def test_every_tuner_finds_the_best_of_a_small_space(recorded: RecordedSpace, tuner: str) -> None:
    result = replay(recorded, tuner, trials=40, seeds=2)
    assert result.fraction_of_optimum[25] is not None
    assert result.evaluations_to_95 is not None
    curve = search(recorded, tuner, 40, 0).curve
    assert curve == sorted(curve)
    assert curve[-1] == 1.0


def test_seeds_are_the_same_each_time_and_differ(recorded: RecordedSpace) -> None:
    assert search(recorded, "random", 32, 3).curve == search(recorded, "random", 32, 3).curve
    assert len({tuple(search(recorded, "random", 32, seed).curve) for seed in range(6)}) > 1


def test_searches_can_run_elsewhere(recorded: RecordedSpace) -> None:
    seeds: list[int] = []

    def backwards(function: Callable[[int], Search], given: Iterable[int]) -> list[Search]:
        seeds.extend(given)
        return [function(seed) for seed in seeds]

    there, here = replay(recorded, "random", seeds=3, run=backwards), replay(recorded, "random", seeds=3)
    assert there.curves == here.curves
    assert seeds == [0, 1, 2]


def test_an_unknown_tuner_is_named(recorded: RecordedSpace) -> None:
    with pytest.raises(TunerError, match="no tuner 'great'"):
        replay(recorded, "great")


def test_other_recordings_warm_the_search(recorded: RecordedSpace) -> None:
    cold = replay(recorded, "xgb", trials=4, seeds=4)
    slower = [None if cost is None else cost + place / 100 for place, cost in enumerate(COSTS)]
    other = options_space("made", [({"i": i}, cost) for i, cost in enumerate(slower)])
    warm = replay(recorded, "xgb", trials=4, seeds=4, warm=[recorded, other])
    assert all(curve[0] == 1.0 for curve in warm.curves)
    assert not all(curve[0] == 1.0 for curve in cold.curves)
    assert replay(recorded, "xgb", trials=4, seeds=4, warm=[recorded, recorded]).curves == cold.curves


def test_a_recording_of_other_knobs_cannot_warm(recorded: RecordedSpace) -> None:
    other = options_space("other", [({"j": j}, 1.0 + j) for j in range(20)])
    with pytest.raises(RecordError, match=r"other cannot warm a search of made.*knobs are j and not i"):
        replay(recorded, "xgb", warm=[other])


def test_a_recorded_convolution_takes_few_evaluations() -> None:
    space = read_recorded_space(Path(__file__).parent / "data" / "conv2d_space.t4.json.gz")
    found = {name: replay(space, name, trials=25, seeds=6) for name in ("xgb", "random")}
    shares = {name: result.fraction_of_optimum[25] or 0.0 for name, result in found.items()}
    assert shares["xgb"] > 0.98
    assert shares["xgb"] > shares["random"]


def test_recordings_are_left_aside_without_a_model(
    recorded: RecordedSpace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    result = replay(recorded, "xgb", trials=6, seeds=1, warm=[recorded, recorded])
    assert len(result.curves[0]) == 6
    assert [r.message for r in caplog.records if "left aside" in r.message] == [
        "the recordings of other machines are left aside: import of xgboost halted; None in sys.modules"
    ]
