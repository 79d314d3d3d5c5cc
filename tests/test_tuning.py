"""The loop: how many trials are made, what is stored, who wins, and what happens when something stops it."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.fake_measurer import FakeMeasurer
from tests.scaling import FACTORS, scaling
from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.target import Target
from tilewright.deploy import make_task
from tilewright.logs.apply import task_key
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.templates.template import Template
from tilewright.tuning import NoValidConfig, TuneResult, TuningInterrupted, tune
from tilewright.tuning import run as run_module
from tilewright.tuning import workers as workers_module
from tilewright.tuning.leases import is_dead, name_owner


@pytest.fixture
def measurer(monkeypatch: pytest.MonkeyPatch) -> type[FakeMeasurer]:
    class Fake(FakeMeasurer):
        pass

    monkeypatch.setattr(workers_module, "Measurer", Fake)
    return Fake


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "tune.db"


def tune_scaling(db: Path, trials: int | None = 4, **options: Any) -> TuneResult:
    return tune(scaling, n=64, threads=1, db=db, trials=trials, tuner="grid", **options)


def stored(db: Path) -> list[Record]:
    with RecordStore(db, read_only=True) as store:
        return list(store.iter_trials())


def test_the_default_comes_first_and_alone(measurer: type[FakeMeasurer], db: Path) -> None:
    tune_scaling(db)
    assert measurer.measured[0] == 2
    assert stored(db)[0].config == {"factor": 2}


def test_trials_are_timed_beside_the_first_trial_of_the_default(
    measurer: type[FakeMeasurer], db: Path
) -> None:
    tune_scaling(db, trials=2)
    assert list(measurer.baselines) == [5e-4]
    measurer.slowness = 0.5  # another day: what was stored counts
    tune_scaling(db)
    assert list(measurer.baselines) == [5e-4, 5e-4]


def test_long_kernels_are_timed_beside_the_loop(measurer: type[FakeMeasurer], db: Path) -> None:
    measurer.slowness = 10.0
    tune_scaling(db)
    assert measurer.baselines == ()


def test_where_the_default_fails_there_is_no_baseline(measurer: type[FakeMeasurer], db: Path) -> None:
    measurer.crashes = (2,)
    tune_scaling(db)
    assert measurer.baselines == ()


def test_the_result_tells_what_was_found(measurer: type[FakeMeasurer], db: Path) -> None:
    result = tune_scaling(db)
    assert result.best is not None
    assert result.default is not None
    assert result.best.config == {"factor": 8}
    assert result.best.seconds == pytest.approx(1e-3 / 8)
    assert result.best.gflops == pytest.approx(64 / (1e-3 / 8) / 1e9)
    assert result.default.seconds == pytest.approx(1e-3 / 2)
    assert (result.trials, result.reused, result.failed) == (4, 0, {})
    assert set(result.to_json()) == set(TuneResult.__dataclass_fields__)


def test_the_same_run_again_measures_nothing(measurer: type[FakeMeasurer], db: Path) -> None:
    first = tune_scaling(db)
    again = tune_scaling(db)
    assert measurer.started == 1
    assert (again.trials, again.reused) == (0, 4)
    assert (again.best, again.default) == (first.best, first.default)


def test_trials_are_those_at_the_end(measurer: type[FakeMeasurer], db: Path) -> None:
    tune_scaling(db, trials=2)
    result = tune_scaling(db, trials=3)
    assert (result.trials, result.reused) == (1, 2)
    assert measurer.playoffs == 2


def test_an_exhausted_space_is_not_measured_again(measurer: type[FakeMeasurer], db: Path) -> None:
    first = tune_scaling(db, trials=None)
    again = tune_scaling(db, trials=None)
    assert (first.trials, again.trials, again.reused) == (len(FACTORS), 0, len(FACTORS))
    assert (measurer.started, measurer.playoffs) == (1, 1)


def test_patience_counts_trials_without_improvement(measurer: type[FakeMeasurer], db: Path) -> None:
    measurer.crashes = (1, 4, 8)
    result = tune_scaling(db, trials=None, patience=2)
    assert result.trials == 3


def test_a_failed_default_leaves_the_field_to_others(measurer: type[FakeMeasurer], db: Path) -> None:
    measurer.crashes = (2,)
    result = tune_scaling(db)
    assert result.default is None
    assert result.best is not None
    assert result.failed == {"crash": 1}
    assert tune_scaling(db).best == result.best


def test_a_template_that_raises_in_a_configuration_is_a_failed_trial(
    measurer: type[FakeMeasurer], db: Path
) -> None:
    result = tune_scaling(db, fails="1+8")
    assert result.failed == {"invalid": 2}
    messages = [r.error for r in stored(db) if r.state == "invalid"]
    assert all(message and "is refused" in message for message in messages)


def test_when_nothing_is_valid_the_causes_are_told(measurer: type[FakeMeasurer], db: Path) -> None:
    measurer.crashes = FACTORS
    with pytest.raises(NoValidConfig, match=r"none of 4 trials .* 4 crash, such as: .*SIGSEGV") as caught:
        tune_scaling(db)
    assert caught.value.result.best is None
    assert caught.value.result.failed == {"crash": 4}
    with pytest.raises(NoValidConfig):
        tune_scaling(db)
    assert len(measurer.measured) == 4


def test_a_play_off_that_was_cut_short_is_held_again(measurer: type[FakeMeasurer], db: Path) -> None:
    tune_scaling(db)
    with RecordStore(db) as store:
        default = next(r for r in stored(db) if r.config == {"factor": 2})
        key = default.key
        store.add_playoff(default)
        store.add_all([_repeat(stored(db)[0])])  # a trial after the play-off
        assert store.best(key) == default
    result = tune_scaling(db)
    assert measurer.playoffs == 2
    assert result.best is not None
    assert result.best.config == {"factor": 8}


def _repeat(record: Record) -> Record:
    import datetime

    return msgspec.structs.replace(record, attempt=2, at=datetime.datetime.now(datetime.UTC))


def test_every_trial_is_stored_before_it_is_shown(measurer: type[FakeMeasurer], db: Path) -> None:
    seen: list[int] = []
    tune_scaling(db, on_trial=lambda record: seen.append(len(stored(db))))
    assert seen == [1, 2, 3, 4]


def test_an_error_of_the_callers_loses_nothing(measurer: type[FakeMeasurer], db: Path) -> None:
    def stop(record: Record) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        tune_scaling(db, on_trial=stop)
    assert len(stored(db)) == 1


def test_ctrl_c_keeps_the_running_trial(measurer: type[FakeMeasurer], db: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)

    def interrupt(record: Record) -> None:
        if record.config == {"factor": 1}:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TuningInterrupted) as caught:
        tune_scaling(db, on_trial=interrupt)
    assert caught.value.result.trials == len(stored(db)) == 2
    assert caught.value.result.best is not None
    assert measurer.playoffs == 0
    assert signal.getsignal(signal.SIGINT) is handler
    assert tune_scaling(db).trials == 2


def test_leases_of_dead_processes_are_given_back(measurer: type[FakeMeasurer], db: Path) -> None:
    machine, _, _, number = name_owner().split(":")
    dead = f"{machine}:{os.getpid()}:1:{number}"  # another process had this id
    with RecordStore(db) as store:
        key = task_key(make_task(scaling, None, 1, {"n": 64}))
        assert all(store.lease_all(key, [{"factor": factor} for factor in FACTORS], dead))
    assert tune_scaling(db).trials == 4


def test_what_another_process_measures_is_left_to_it(measurer: type[FakeMeasurer], db: Path) -> None:
    with RecordStore(db) as store:
        key = task_key(make_task(scaling, None, 1, {"n": 64}))
        assert store.lease(key, {"factor": 4}, "somebody else")
    assert tune_scaling(db).trials == 3
    assert 4 not in measurer.measured


def test_owners_are_told_from_the_dead() -> None:
    owner = name_owner()
    assert len(owner) <= 64
    assert not is_dead(owner)
    assert not is_dead("somebody else")
    assert not is_dead(owner.replace(owner.split(":")[0], "another machine"))


def test_trials_of_an_older_template_only_hint(
    measurer: type[FakeMeasurer], db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune_scaling(db)
    changed = Template(scaling.name, scaling.function, scaling.reference, scaling.default, positive=("n",))
    changed.__dict__["source_hash"] = "another"
    result = tune(changed, n=64, threads=1, db=db, trials=2, tuner="grid")
    assert (result.trials, result.reused) == (2, 0)
    assert measurer.measured[4:] == (2, 8)  # the default, then the best of the older version
    assert result.best is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "trials must be a positive integer"),
        ({"trials": True}, "trials must be a positive integer"),
        ({"patience": -1}, "patience must be a positive integer"),
        ({"seconds": 0}, "seconds must be a positive number"),
        ({"seconds": "10"}, "seconds must be a positive number"),
        ({"seed": -1}, "seed must be an integer from 0"),
        ({"tuner": "best"}, "there is no tuner 'best'; choose one of xgb"),
        ({"threads": 0}, "threads must be a positive integer"),
        ({"target": "native"}, "target must be a Target"),
        ({"db": None}, "db must be a path or a URL"),
        ({"tuner": ["xgb"]}, "there is no tuner \\['xgb'\\]"),
        ({"progress": 3}, "progress must be True, False or an object with the methods start, .* not 3"),
        ({"progress": None}, "progress must be True, False or"),
        ({"on_trial": 3}, "on_trial must be a function"),
        ({"n": 0}, "n must be a positive integer"),
        ({"frobnicate": 1}, "unknown parameter 'frobnicate'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    db: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TilewrightError, match=message):
        tune(scaling, **{"n": 64, "db": db, **options})
    assert not db.exists()


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (lambda a: a[1:], r"gives shape \(63,\) where the template's C has \(64,\)"),
        (lambda a: (a, a), "gives 2 arrays where the template has 1 outputs"),
        (lambda a: a.nothing, "failed: AttributeError"),
    ],
)
def test_a_wrong_reference_is_named(
    measurer: type[FakeMeasurer], db: Path, reference: Any, message: str
) -> None:
    wrong = Template(scaling.name, scaling.function, reference, scaling.default)
    with pytest.raises(TilewrightError, match=f"the reference of scaling.* {message}"):
        tune(wrong, n=64, db=db, threads=1)


class Listener:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def start(self, task: Any, budget: Any, reused: Sequence[Record]) -> None:
        self.heard.append(f"start {len(reused)}")

    def trial(self, record: Record) -> None:
        self.heard.append(record.state)

    def stage(self, text: str) -> None:
        self.heard.append(text)

    def finish(self) -> None:
        self.heard.append("finish")


def test_progress_is_told_in_order(measurer: type[FakeMeasurer], db: Path) -> None:
    listener = Listener()
    tune_scaling(db, trials=2, progress=listener)
    assert listener.heard == ["start 0", "starting workers", "ok", "ok", "play-off", "finish"]


def test_python_is_quiet_unless_asked(
    measurer: type[FakeMeasurer], db: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tune_scaling(db, trials=2)
    assert capfd.readouterr() == ("", "")
    tune_scaling(db, trials=4, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "tuning scaling(n=64" in err
    assert "trial 4/4" in err


def test_another_target_is_another_key(measurer: type[FakeMeasurer], db: Path) -> None:
    tune_scaling(db)
    other = msgspec.structs.replace(Target.host(), cpu="another")
    assert tune_scaling(db, target=other).reused == 0


def test_a_new_default_gets_its_play_off(measurer: type[FakeMeasurer], db: Path) -> None:
    tune_scaling(db)
    changed = Template(
        scaling.name, scaling.function, scaling.reference, lambda target, threads, n, fails: {"factor": 4}
    )
    result = tune(changed, n=64, threads=1, db=db, trials=4)
    assert (result.trials, measurer.playoffs) == (0, 2)
    assert result.default is not None
    assert result.default.seconds == pytest.approx(1e-3 / 4)
    tune(changed, n=64, threads=1, db=db, trials=4)
    assert measurer.playoffs == 2


def test_more_is_proposed_while_trials_run_where_a_core_is_free(
    measurer: type[FakeMeasurer], db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "physical_cores", lambda: 4)
    monkeypatch.setattr(run_module, "batch_size", lambda known: 1)
    assert tune_scaling(db).trials == 4
    assert measurer.measured[0] == 2
    assert sorted(measurer.measured) == list(FACTORS)


@pytest.mark.parametrize("fault", ["missing", "failing", "nan"])
def test_a_run_bears_the_loss_of_its_model(
    fault: str, measurer: type[FakeMeasurer], db: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    import xgboost

    def fail(*args: object, **options: object) -> None:
        raise ValueError("no trees today")

    if fault == "missing":
        monkeypatch.setitem(sys.modules, "xgboost", None)
    elif fault == "failing":
        monkeypatch.setattr(xgboost, "train", fail)
    else:
        monkeypatch.setattr(
            xgboost.Booster, "predict", lambda self, data, **options: np.full(data.num_row(), np.nan)
        )
    monkeypatch.setattr("tilewright.tuners.model_based.FIRST_POINTS", 2)
    monkeypatch.setattr(run_module, "batch_size", lambda known: 1)
    result = tune(scaling, n=64, threads=1, db=db, trials=len(FACTORS), tuner="xgb")
    assert result.trials == len(FACTORS)
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "the cost model failed" in warnings[0].getMessage()


def test_trials_with_knobs_that_the_space_has_no_more_do_not_count(
    measurer: type[FakeMeasurer], db: Path
) -> None:
    """What a template calls may have changed, which its own source does not show."""
    tune_scaling(db, trials=2)
    former = [
        msgspec.structs.replace(record, config={"unknown": n}, kinds=None)
        for n, record in enumerate(stored(db))
    ]
    with RecordStore(db) as store:
        for record in former:
            store.add(record)
    again = tune_scaling(db, trials=4)
    assert (again.trials, again.reused) == (2, 2)
