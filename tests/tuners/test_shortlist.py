"""A second look at hopeful candidates: it helps where it tells more, and costs nothing where it fails."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tilewright.templates import ConfigError, ConfigSpace, option_knob
from tilewright.templates.config import Config
from tilewright.tuners import Observation, make_tuner
from tilewright.tuners import shortlist as module
from tilewright.tuners.features import Describe
from tilewright.tuners.shortlist import CANDIDATES, LESSONS

BATCH = 4
SPACE = ConfigSpace(tuple(option_knob(name, range(16)) for name in "xyz"))
# What a configuration costs has nothing to do with its knobs: only descriptions tell.
HIDDEN = np.random.default_rng(7).permutation(np.linspace(0.0, 1.0, SPACE.size))


@pytest.fixture(autouse=True)
def ample_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured here, so no share of that time is left for descriptions."""
    monkeypatch.setattr(module, "SHARE", 1e6)


def hidden(config: Config) -> NDArray[np.float32]:
    return np.array([HIDDEN[config.index]], dtype=np.float32)


def cost(config: Config) -> float:
    return float(1.0 + hidden(config)[0])


def search(
    trials: int, seed: int, describe: Describe | None, cost: Callable[[Config], Any] = cost
) -> list[Config]:
    tuner = make_tuner("xgb", SPACE, seed, describe=describe)
    found: list[Config] = []
    while len(found) < trials:
        batch = tuner.next_batch(BATCH)
        tuner.update([Observation(config, cost(config)) for config in batch])
        found += batch
    return found


def test_descriptions_lead_where_knobs_tell_little() -> None:
    plain, told = (
        [np.mean([*map(cost, search(60, seed, describe)[24:])]) - 1 for seed in range(3)]
        for describe in (None, hidden)
    )
    assert np.mean(plain) > 0.4
    assert np.mean(told) < 0.75 * np.mean(plain)


def test_the_same_seed_gives_the_same_search() -> None:
    first, second = (search(32, 3, hidden) for _ in range(2))
    assert [config.index for config in first] == [config.index for config in second]


def test_a_small_space_needs_no_descriptions() -> None:
    asked: list[int] = []

    def describe(config: Config) -> NDArray[np.float32]:
        asked.append(config.index)
        return np.zeros(1, dtype=np.float32)

    small = ConfigSpace(tuple(option_knob(name, range(12)) for name in "xyz"))
    tuner = make_tuner("xgb", small, 0, describe=describe)
    for _ in range(6):
        tuner.update([Observation(config, 1.0 + config.index) for config in tuner.next_batch(BATCH)])
    assert len(tuner.costs) == 6 * BATCH
    assert not asked


def test_few_are_described_and_none_twice() -> None:
    asked: list[int] = []

    def describe(config: Config) -> NDArray[np.float32]:
        asked.append(config.index)
        return hidden(config)

    search(48, 0, describe)
    assert len(asked) == len(set(asked))
    assert len(asked) <= 48 / BATCH * (LESSONS + CANDIDATES * BATCH)
    assert len(asked) > 48


def test_time_for_descriptions_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARE", 0.08)
    asked: list[int] = []

    def describe(config: Config) -> NDArray[np.float32]:
        asked.append(config.index)
        time.sleep(0.02)
        return hidden(config)

    def measure(config: Config) -> float:
        time.sleep(0.02)
        return cost(config)

    assert len(search(40, 0, describe, measure)) == 40
    assert 0 < len(asked) < 40


@pytest.mark.parametrize("failure", [KeyError("nest"), ZeroDivisionError()])
def test_a_description_that_fails_changes_nothing(failure: Exception) -> None:
    def fail(config: Config) -> NDArray[np.float32]:
        raise failure

    assert search(32, 1, fail) == search(32, 1, None)


def test_descriptions_without_finite_numbers_change_nothing() -> None:
    assert search(32, 1, lambda config: hidden(config) * np.float32(np.nan)) == search(32, 1, None)


def test_trees_that_fail_are_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no trees today")

    monkeypatch.setattr(module.Shortlist, "learn", fail)
    with caplog.at_level("WARNING"):
        assert len(search(32, 0, hidden)) == 32
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no trees today" in caplog.text


def test_what_cannot_be_lowered_is_not_proposed_by_the_model() -> None:
    def is_invalid(config: Config) -> bool:
        return bool(hidden(config)[0] > 0.7)

    def describe(config: Config) -> NDArray[np.float32]:
        if is_invalid(config):
            raise ConfigError("it does not fit")
        return hidden(config)

    def priced(config: Config) -> float | None:
        return None if is_invalid(config) else cost(config)

    found = search(48, 0, describe, priced)  # before any is in vain for long
    assert not any(map(is_invalid, found[24:]))
