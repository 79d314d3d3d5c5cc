"""Row 35: xgboost is missing, raises or predicts nonsense; one warning, and as many trials as ever."""

import json
import logging
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tilewright
from tests.data.record_matmul_space import __file__ as beside
from tilewright.settings import child_environment
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


def range_of_xgboost() -> tuple[str, str]:
    """The versions that the project says it works with: the first, and that before which they end."""
    project = tomllib.loads((Path(tilewright.__file__).parent.parent / "pyproject.toml").read_text())[
        "project"
    ]
    (needed,) = [item for item in project["dependencies"] if item.startswith("xgboost")]
    first, end = needed.removeprefix("xgboost>=").split(",<")
    return first, end


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("version", ["first", "last"])
def test_row_35_the_first_and_the_last_xgboost_complete_the_trials(
    version: str, tmp_path: Path, root: Path
) -> None:
    """Each in a folder of its own, in front of the installed one; needs a package index."""
    first, end = range_of_xgboost()
    wanted = f"xgboost=={first}.*" if version == "first" else f"xgboost>={first},<{end}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), wanted]
    subprocess.run(pip, check=True)
    program = (
        "import xgboost; from tests.faults.test_row_35_failing_model import TRIALS, search;"
        "assert search() == TRIALS; print(xgboost.__version__, xgboost.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", program],
        cwd=root,
        env=child_environment(PYTHONPATH=f"{tmp_path}{os.pathsep}{root}"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    number, place = done.stdout.split()
    print(number)
    assert Path(place).is_relative_to(tmp_path)
    assert version == "last" or number.startswith(first)
    assert "WARNING" not in done.stderr
