"""A session: what a search of one's own asks to be measured, and what becomes of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fake_measurer import FakeMeasurer
from tests.scaling import FACTORS, scaling
from tilewright.compiler.errors import TilewrightError
from tilewright.deploy import make_task
from tilewright.logs.apply import task_key
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.templates.errors import ConfigError
from tilewright.tuning import Session, tune, workers


@pytest.fixture
def measurer(monkeypatch: pytest.MonkeyPatch) -> type[FakeMeasurer]:
    class Fake(FakeMeasurer):
        pass

    monkeypatch.setattr(workers, "Measurer", Fake)
    return Fake


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "tune.db"


def session(db: Path, **options: Any) -> Session:
    return Session(scaling, n=64, threads=1, db=db, **options)


def stored(db: Path) -> list[Record]:
    with RecordStore(db, read_only=True) as store:
        return list(store.iter_trials())


def test_a_configuration_is_measured_and_recorded(measurer: type[FakeMeasurer], db: Path) -> None:
    with session(db) as opened:
        record = opened.measure({"factor": 4})
        assert record.state == "ok"
        assert record.seconds == pytest.approx(1e-3 / 4)
        assert stored(db) == [record] == list(opened.records)
        best = opened.best()
        assert best is not None
        assert best.config == {"factor": 4}


@pytest.mark.parametrize("config", [{"factor": 8}, 3])
def test_a_configuration_has_several_names(measurer: type[FakeMeasurer], db: Path, config: Any) -> None:
    with session(db) as opened:
        assert opened.measure(config).config == {"factor": 8}
        assert opened.measure(opened.space.config(3)).config == {"factor": 8}
        assert opened.measure("default").config == {"factor": 2} == opened.default.to_json()
    assert measurer.measured == (8, 2)


def test_nothing_is_measured_twice(measurer: type[FakeMeasurer], db: Path) -> None:
    with session(db) as opened:
        first = opened.measure_all([0, 1, 0, 1, 1])
        assert opened.measure(1) == first[1]
    with session(db) as opened:
        assert opened.measure_all([1, 0]) == [first[1], first[0]]
        assert len(opened.records) == 2
    assert sorted(measurer.measured) == [1, 2]
    assert measurer.started == 1


def test_closing_ends_the_workers(measurer: type[FakeMeasurer], db: Path) -> None:
    ended: list[bool] = []
    measurer.__exit__ = lambda self, *_: ended.append(True)  # type: ignore[method-assign]
    with session(db) as opened:
        opened.measure(0)
        assert not ended
    assert ended == [True]


def test_its_trials_are_those_of_tune(measurer: type[FakeMeasurer], db: Path) -> None:
    with session(db) as opened:
        opened.measure_all([0, 3])
    result = tune(scaling, n=64, threads=1, db=db, trials=4, tuner="random")
    assert (result.trials, result.reused) == (2, 2)
    assert len(measurer.measured) == len(set(measurer.measured)) == len(FACTORS)


def test_the_play_off_settles_what_ships(measurer: type[FakeMeasurer], db: Path) -> None:
    with session(db) as opened:
        opened.measure_all(["default", 2, 3])
        result = opened.finish()
        assert measurer.playoffs == 1
        assert opened.finish().best == result.best
        assert measurer.playoffs == 1
    assert result.best is not None
    assert result.default is not None
    assert result.best.config == {"factor": 8}
    assert result.default.seconds == pytest.approx(1e-3 / 2)
    assert (result.trials, result.reused) == (3, 0)


def test_failures_are_records(measurer: type[FakeMeasurer], db: Path) -> None:
    measurer.crashes = (4,)
    with Session(scaling, n=64, fails="1", threads=1, db=db) as opened:
        invalid, crash, fine = opened.measure_all([0, 2, 3])
    assert (invalid.state, crash.state, fine.state) == ("invalid", "crash", "ok")
    assert invalid.error is not None
    assert "is refused" in invalid.error
    assert [r.state for r in stored(db)] == ["invalid", "crash", "ok"]


@pytest.mark.parametrize("config", [{"factor": 3}, {"width": 4}, 4, -1, "fast"])
def test_what_the_space_has_not_is_refused(measurer: type[FakeMeasurer], db: Path, config: Any) -> None:
    with session(db) as opened:
        with pytest.raises(ConfigError):
            opened.measure_all([0, config])
        assert not opened.records
    assert not measurer.measured


def test_a_built_in_tuner_can_be_asked(measurer: type[FakeMeasurer], db: Path) -> None:
    with session(db, tuner="grid") as opened:
        (first,) = opened.ask()
        assert first == opened.default
        opened.measure(first)
        opened.measure(3)  # which the tuner then does not propose
        rest = opened.ask(8)
        assert [config["factor"].val for config in rest] == [1, 4]
        opened.measure_all(rest)
        assert opened.ask() == []


def test_a_tuner_learns_from_what_is_measured(measurer: type[FakeMeasurer], db: Path) -> None:
    with session(db, tuner="ga") as opened:
        opened.measure_all([0, 1, 2, 3])
        opened.ask()
        tuner = opened._run._tuner
        assert tuner is not None
        assert tuner.costs == {0: 1e-3, 1: 1e-3 / 2, 2: 1e-3 / 4, 3: 1e-3 / 8}


def test_without_a_tuner_there_is_nobody_to_ask(measurer: type[FakeMeasurer], db: Path) -> None:
    with session(db) as opened, pytest.raises(TilewrightError, match="has no tuner to ask"):
        opened.ask()


def test_tuners_of_other_processes_leave_it_what_it_measures(measurer: type[FakeMeasurer], db: Path) -> None:
    key = task_key(make_task(scaling, None, 1, {"n": 64}))
    with session(db, on_trial=lambda record: granted.append(take())) as opened, RecordStore(db) as other:
        granted: list[bool] = []

        def take() -> bool:
            return other.lease(key, {"factor": 4}, "somebody else")

        opened.measure({"factor": 4})
    assert granted == [False]
    with RecordStore(db) as other:
        assert other.lease(key, {"factor": 4}, "somebody else")  # it was given back


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tuner": "best"}, "there is no tuner 'best'"),
        ({"tuner": ""}, "there is no tuner ''"),
        ({"tuner": []}, r"there is no tuner \[\]"),
        ({"seed": -1}, "seed must be an integer from 0"),
        ({"on_trial": 3}, "on_trial must be a function"),
        ({"threads": 0}, "threads must be a positive integer"),
        ({"n": 0}, "n must be a positive integer"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    db: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TilewrightError, match=message):
        Session(scaling, **{"n": 64, "db": db, **options})
    assert not db.exists()


@pytest.mark.parametrize("count", [1.5, "3", None, True, -1, [1]])
def test_what_is_no_number_of_configurations_cannot_be_asked_for(
    measurer: type[FakeMeasurer], db: Path, count: Any
) -> None:
    with session(db, tuner="grid") as opened:
        with pytest.raises(TilewrightError, match="ask: count must be an integer from 0, not "):
            opened.ask(count)
        assert opened.ask(0) == []
        assert opened.ask(np.int64(1)) == [opened.default]  # type: ignore[arg-type]


@pytest.mark.parametrize("configs", [5, None, "default", {"factor": 4}])
def test_what_is_no_list_of_configurations_is_refused(
    measurer: type[FakeMeasurer], db: Path, configs: Any
) -> None:
    with session(db) as opened, pytest.raises(ConfigError, match="configs must be a list of configurations"):
        opened.measure_all(configs)


@pytest.mark.parametrize("config", [1.5, "3", None, True, [], {1: 2, "width": 3}])
def test_what_names_no_configuration_is_refused(measurer: type[FakeMeasurer], db: Path, config: Any) -> None:
    with (
        session(db) as opened,
        pytest.raises(ConfigError, match=r"give .* an index, or values|there is no knob"),
    ):
        opened.measure(config)


def test_a_closed_session_tells_what_it_knows_and_measures_nothing(
    measurer: type[FakeMeasurer], db: Path
) -> None:
    with session(db, tuner="grid") as opened:
        opened.measure(2)
    for use in (opened.ask, opened.finish, opened.__enter__, lambda: opened.measure(2)):
        with pytest.raises(TilewrightError, match=r"this session is closed .* make another Session"):
            use()
    opened.close()
    assert [record.config for record in opened.records] == [{"factor": 4}]
    assert (opened.best() is not None, opened.space.size, measurer.started) == (True, len(FACTORS), 1)
    with RecordStore(db) as store:
        assert not store.lease_owners(task_key(opened.task))
