"""What every tuner must satisfy, whatever it does to search."""

from collections.abc import Callable
from typing import Any

import pytest

from tilewright.templates import Config, ConfigSpace, option_knob, split_knob
from tilewright.templates.constraints import Constraint
from tilewright.tuners import TUNERS, Observation, Tuner, TunerError, make_tuner


def gemm(*constraints: Constraint) -> ConfigSpace:
    return ConfigSpace((split_knob("y", 128), split_knob("x", 128)), constraints)


def filtered() -> ConfigSpace:
    return gemm(Constraint(lambda e: 8 <= e["y"].size[-1] * e["x"].size[-1] < 1024))


def huge() -> ConfigSpace:
    knobs = tuple(split_knob(name, 1024, num_outputs=4) for name in "abcde")
    return ConfigSpace(knobs, (Constraint(lambda a, b: a.size[-1] * b.size[-1] < 64, ("a", "b")),))


def sparse() -> ConfigSpace:
    knobs = tuple(option_knob(name, range(100)) for name in "abcdef")
    pairs = zip("abcde", "bcdef", strict=True)
    equal = [Constraint(lambda p, q: p.val == q.val and p.val < 5, pair) for pair in pairs]
    return ConfigSpace(knobs, tuple(equal))


def synthetic_cost(config: Config) -> float | None:
    """A bowl over the values; one configuration in seven fails."""
    if config.index % 7 == 3:
        return None
    return 1e-3 * (1 + sum(len(str(config[name])) for name in config) + config.index % 5)


def run(tuner: Tuner, trials: int, batch: int = 7) -> list[int]:
    visited: list[int] = []
    while len(visited) < trials:
        configs = tuner.next_batch(min(batch, trials - len(visited)))
        if not configs:
            break
        visited += [config.index for config in configs]
        tuner.update([Observation(config, synthetic_cost(config)) for config in configs])
    return visited


@pytest.mark.parametrize("name", TUNERS)
class TestTunerContract:
    @pytest.mark.parametrize("space", [gemm, filtered, huge])
    def test_proposals_are_valid_and_distinct(self, name: str, space: Callable[[], ConfigSpace]) -> None:
        searched = space()
        visited = run(make_tuner(name, searched, 0), 40)
        assert len(visited) == len(set(visited)) == 40
        assert all(searched.is_valid(index) for index in visited)

    @pytest.mark.parametrize(("space", "size"), [(gemm, 64), (filtered, 43), (sparse, 5)])
    def test_the_whole_space_is_visited_and_then_nothing(
        self, name: str, space: Callable[[], ConfigSpace], size: int
    ) -> None:
        tuner = make_tuner(name, space(), 0)
        assert len(set(run(tuner, 1000))) == size
        assert tuner.next_batch(4) == []

    @pytest.mark.parametrize(("space", "inside"), [(gemm, range(8, 16)), (filtered, range(10, 16))])
    def test_a_part_of_the_space_is_searched_alone(
        self, name: str, space: Callable[[], ConfigSpace], inside: range
    ) -> None:
        tuner = make_tuner(name, space(), 0, bounds=(8, 16))
        assert sorted(run(tuner, 1000, batch=3)) == list(inside)
        assert tuner.next_batch(4) == []

    def test_a_space_of_one_point_ends(self, name: str) -> None:
        for space in (ConfigSpace((split_knob("x", 1),)), ConfigSpace()):
            assert run(make_tuner(name, space, 0), 10) == [0]

    def test_a_batch_is_never_longer_than_asked(self, name: str) -> None:
        tuner = make_tuner(name, gemm(), 0)
        assert [len(tuner.next_batch(n)) for n in (1, 5, 0, 16)] == [1, 5, 0, 16]

    def test_trials_in_batches_of_seven(self, name: str) -> None:
        tuner = make_tuner(name, gemm(), 0)
        assert [len(tuner.next_batch(n)) for n in (7, 7, 6)] == [7, 7, 6]

    @pytest.mark.parametrize("space", [filtered, huge])
    def test_the_same_seed_gives_the_same_sequence(self, name: str, space: Callable[[], ConfigSpace]) -> None:
        first, second = (run(make_tuner(name, space(), 5), 32) for _ in range(2))
        assert first == second

    def test_start_comes_first(self, name: str) -> None:
        space = gemm()
        start = [space.config(20), space.config(3), space.config(20)]
        assert run(make_tuner(name, space, 0, start=start), 8)[:2] == [20, 3]

    def test_history_is_never_proposed_again(self, name: str) -> None:
        space = filtered()
        first = run(make_tuner(name, space, 0), 20)
        history = [Observation(space.config(index), synthetic_cost(space.config(index))) for index in first]
        second = run(make_tuner(name, space, 0, history=history, start=[space.config(first[0])]), 1000)
        assert len(second) == 23
        assert not set(first) & set(second)

    def test_history_of_another_space_is_passed_over(self, name: str) -> None:
        foreign = ConfigSpace((split_knob("z", 64),)).config(1)
        tuner = make_tuner(name, gemm(), 0, history=[Observation(foreign, 1.0)], start=[foreign])
        assert len(run(tuner, 100)) == 64

    def test_a_space_where_everything_fails_is_still_searched(self, name: str) -> None:
        tuner = make_tuner(name, gemm(), 0)
        visited = []
        while configs := tuner.next_batch(9):
            visited += configs
            tuner.update([Observation(config, None) for config in configs])
        assert len(visited) == 64

    def test_several_batches_may_be_open_at_once(self, name: str) -> None:
        tuner = make_tuner(name, gemm(), 0)
        first, second = tuner.next_batch(16), tuner.next_batch(16)
        tuner.update([Observation(config, synthetic_cost(config)) for config in second])
        third = tuner.next_batch(16)
        tuner.update([Observation(config, synthetic_cost(config)) for config in first])
        assert len({config.index for config in (*first, *second, *third)}) == 48


def test_an_unknown_tuner_is_an_error() -> None:
    with pytest.raises(TunerError, match="no tuner 'sa'; choose one of xgb, ga, random, grid, descent"):
        make_tuner("sa", gemm(), 0)


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), 0.0, -1.0, "x"])
@pytest.mark.parametrize("name", TUNERS)
def test_a_cost_is_a_time_or_none(name: str, cost: Any) -> None:
    space = gemm()
    tuner = make_tuner(name, space, 0)
    first, second = tuner.next_batch(2)
    with pytest.raises(
        TunerError, match=r"the cost of .* is .*: give seconds above 0, or None where it failed"
    ):
        tuner.update([Observation(first, 1.0), Observation(second, cost)])
    assert not tuner.costs


@pytest.mark.parametrize("seed", [-1, True, 2.5, "0"])
def test_a_seed_is_an_integer_from_zero(seed: Any) -> None:
    with pytest.raises(TunerError, match="seed must be an integer from 0"):
        make_tuner("random", gemm(), seed)


def test_a_name_is_a_string() -> None:
    with pytest.raises(TunerError, match=r"there is no tuner \['xgb'\]"):
        make_tuner(["xgb"], gemm(), 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["xgb", "ga", "random", "descent"])
def test_a_search_goes_on_where_draws_find_nothing(name: str, caplog: pytest.LogCaptureFixture) -> None:
    # One in 10^8 is valid, which nothing but a test of whole configurations tells.
    knobs = tuple(option_knob(name, range(100)) for name in "abcdefgh")
    space = ConfigSpace(knobs, (Constraint(lambda e: len({e[name].val for name in "abcde"}) == 1),))
    start = space.from_values(dict.fromkeys("abcdefgh", 5))
    tuner = make_tuner(name, space, 0, start=[start])
    visited = run(tuner, 12, batch=4)
    assert len(set(visited)) == 12
    assert all(space.is_valid(index) for index in visited)
    warned = [record.message for record in caplog.records if "random draws find no valid" in record.message]
    assert len(warned) == 1
