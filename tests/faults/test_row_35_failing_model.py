"""Row 35: xgboost is missing, raises or predicts nonsense; one warning, and as many trials as ever."""

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.record_matmul_space import __file__ as beside
from tilewright.templates.space_json import space_from_json
from tilewright.tuners import Observation, make_tuner

TRIALS = 64
BATCH = 8
SPACE = Path(beside).with_name("matmul_space.json")


def search() -> int:
    """Trials of a search by cost model on a recorded space, each configuration once."""
    trials = json.loads(SPACE.read_text())["trials"]
    space = space_from_json(json.loads(SPACE.read_text())["space"], [trial["config"] for trial in trials])
    costs = {space.from_values(t["config"]).index: t["cost"] for t in trials}
    tuner = make_tuner("xgb", space, 0)
    seen: list[int] = []
    while len(seen) < TRIALS and (batch := tuner.next_batch(BATCH)):
        tuner.update([Observation(config, costs[config.index]) for config in batch])
        seen += [config.index for config in batch]
    assert len(seen) == len(set(seen))
    return len(seen)


def missing(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(sys.modules, "xgboost", None)


def raising(patch: pytest.MonkeyPatch) -> None:
    def train(*_: Any, **__: Any) -> Any:
        raise ValueError("labels are wrong")

    for name in ("train", "DMatrix", "QuantileDMatrix"):
        patch.setattr(f"xgboost.{name}", train)


def not_a_number(patch: pytest.MonkeyPatch) -> None:
    import xgboost

    for name in ("predict", "inplace_predict"):
        plain: Callable[..., Any] = getattr(xgboost.Booster, name)

        def spoiled(*arguments: Any, _plain: Callable[..., Any] = plain, **options: Any) -> Any:
            return np.full_like(_plain(*arguments, **options), np.nan)

        patch.setattr(xgboost.Booster, name, spoiled)


def other_length(patch: pytest.MonkeyPatch) -> None:
    import xgboost

    for name in ("predict", "inplace_predict"):
        patch.setattr(xgboost.Booster, name, lambda *_, **__: np.zeros(3, np.float32))


@pytest.mark.parametrize("fault", [missing, raising, not_a_number, other_length])
def test_row_35_a_failing_model_costs_no_trial_and_one_warning(
    fault: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fault(monkeypatch)
    with caplog.at_level(logging.WARNING):
        assert search() == TRIALS
    assert len(caplog.records) <= 1
