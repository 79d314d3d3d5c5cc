"""Several workloads in one run: who gets trials, what is stored, and how a run goes on."""

import io
import json
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tests.fake_measurer import FakeMeasurer, factor_of
from tests.scaling import double
from tilewright.compiler import te
from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.te import Tensor
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.measure.result import MeasureInput, MeasureResult, failed
from tilewright.templates.collector import get_config
from tilewright.templates.errors import WorkloadError
from tilewright.templates.template import template
from tilewright.tuning import IncompleteTuningError, TuneAllInterrupted, TuneAllResult, tune, tune_all
from tilewright.tuning import run as run_module
from tilewright.tuning import workers as workers_module
from tilewright.tuning.group_run import ROUND, costs_by_round
from tilewright.tuning.leases import name_owner
from tilewright.tuning.live_group import LiveGroup
from tilewright.tuning.weighted_workloads import read_workloads

FACTORS = 64


@template("stretch", reference=double, default=lambda target, threads, n: {"factor": 1})
def stretch(n: int) -> tuple[Schedule, list[Tensor]]:
    a = te.placeholder((n,), "float32", name="A")
    c = te.compute((n,), lambda i: a[i] * np.float32(2).item(), name="C")
    s = create_schedule(c)
    cfg = get_config()
    cfg.define_knob("factor", list(range(1, FACTORS + 1)))
    s[c].split(s[c].op.axis[0], cfg["factor"].val)
    return s, [a, c]


@template("alone", reference=double)
def alone(n: int) -> tuple[Schedule, list[Tensor]]:
    a = te.placeholder((n,), "float32", name="A")
    c = te.compute((n,), lambda i: a[i] * np.float32(2).item(), name="C")
    s = create_schedule(c)
    cfg = get_config()
    cfg.define_knob("factor", [2, 4])
    s[c].split(s[c].op.axis[0], cfg["factor"].val)
    return s, [a, c]


class Fake(FakeMeasurer):
    """Kernels of `n` take `n` microseconds, less with a larger factor where `falls` says so."""

    order: tuple[tuple[int, int], ...] = ()
    falls: tuple[int, ...] = ()
    broken: tuple[int, ...] = ()
    references: tuple[str, ...] = ()

    def provide_reference(self, workload: str, *_: Any, **__: Any) -> None:
        type(self).references += (workload,)

    def iter_results(self, inputs: Sequence[MeasureInput]) -> Iterator[tuple[int, MeasureResult]]:
        position = 0
        while position < len(inputs):
            trial = inputs[position]
            n = int(json.loads(trial.workload.removeprefix("stretch").removeprefix("alone"))["n"])
            assert trial.workload in self.references
            type(self).order += ((n, factor_of(trial)),)
            yield position, self._answer(n, factor_of(trial))
            position += 1

    def _answer(self, n: int, factor: int) -> MeasureResult:
        if n in self.broken:
            return failed("crash", "the worker was ended by SIGSEGV", "SIGSEGV")
        cost = n * 1e-6 / (factor if n in self.falls else 1)
        return MeasureResult(
            state="ok", costs=(cost,), seconds=cost, interval=(cost, cost), reference_ratio=cost
        )


@pytest.fixture
def measurer(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    class Fresh(Fake):
        pass

    monkeypatch.setattr(workers_module, "Measurer", Fresh)
    monkeypatch.setattr(run_module, "physical_cores", lambda: 1)
    return Fresh


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "tune.db"


def workloads(*extents: int) -> list[tuple[Any, dict[str, int]]]:
    return [(stretch, {"n": n}) for n in extents]


def tune_some(db: Path, *extents: int, **options: Any) -> TuneAllResult:
    return tune_all(workloads(*extents), **{"db": db, "threads": 1, "tuner": "random", **options})


def stored(db: Path) -> list[Record]:
    with RecordStore(db, read_only=True) as store:
        return list(store.iter_trials())


def trials_of(result: TuneAllResult) -> list[int]:
    return [each.trials + each.reused for each in result.results]


def test_each_workload_begins_with_its_default_and_has_a_round(measurer: type[Fake], db: Path) -> None:
    result = tune_some(db, 64, 128, trials=2 * ROUND)
    assert [n for n, _ in measurer.order] == [64] * ROUND + [128] * ROUND
    assert measurer.order[0] == (64, 1)
    assert measurer.order[ROUND] == (128, 1)
    assert (result.trials, result.reused, trials_of(result)) == (2 * ROUND, 0, [ROUND, ROUND])
    assert measurer.started == 1


def test_trials_go_where_the_total_falls(measurer: type[Fake], db: Path) -> None:
    measurer.falls = (100,)
    result = tune_some(db, 100, 1000, weights=[1e4, 1], trials=10 * ROUND, tuner="grid")
    # the first falls from a thousand times the other's share of the total to sixteen times, in eight rounds
    assert trials_of(result) == [FACTORS, 2 * ROUND]
    assert sorted(factor for n, factor in measurer.order if n == 100) == list(range(1, FACTORS + 1))


def test_the_gradient_gives_what_round_robin_does_not(measurer: type[Fake], tmp_path: Path) -> None:
    extents = (1, 100)
    fair = tune_some(tmp_path / "fair.db", *extents, trials=10 * ROUND, strategy="round-robin")
    keen = tune_some(tmp_path / "keen.db", *extents, trials=8 * ROUND)
    assert trials_of(fair) == [5 * ROUND, 5 * ROUND]
    assert trials_of(keen) == [ROUND, 7 * ROUND]


def test_weights_count(measurer: type[Fake], db: Path) -> None:
    assert trials_of(tune_some(db, 1, 100, weights=[1e6, 1], trials=8 * ROUND)) == [7 * ROUND, ROUND]


def test_an_objective_takes_the_place_of_the_sum(measurer: type[Fake], db: Path) -> None:
    def first(seconds: Sequence[float]) -> float:
        return 1e5 * seconds[0]

    result = tune_some(db, 1, 100, objective=first, trials=5 * ROUND)
    assert trials_of(result) == [4 * ROUND, ROUND]
    assert result.total.best is not None
    assert result.total.best == pytest.approx(first([r.best.seconds for r in result.results if r.best]))


def test_the_total_is_weighted_before_and_after(measurer: type[Fake], db: Path) -> None:
    result = tune_some(db, 64, 128, weights=[2, 3], trials=2 * ROUND)
    assert measurer.playoffs == 2
    best = [each.best.seconds for each in result.results if each.best is not None]
    default = [each.default.seconds for each in result.results if each.default is not None]
    assert result.total.best == pytest.approx(2 * best[0] + 3 * best[1])
    assert result.total.default == pytest.approx(2 * default[0] + 3 * default[1])
    assert default[0] == pytest.approx(1e-3)  # of the play-off, with a factor of 1
    assert result.weights == (2, 3)
    assert set(result.to_json()) == set(TuneAllResult.__dataclass_fields__)
    json.dumps(result.to_json(), allow_nan=False)


def test_the_same_seed_and_results_give_the_same_trials(measurer: type[Fake], tmp_path: Path) -> None:
    orders = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        measurer.order = ()
        tune_some(tmp_path / f"{name}.db", 100, 101, 102, trials=9 * ROUND, seed=seed)
        orders.append(measurer.order)
    assert orders[0] == orders[1] != orders[2]


def test_the_same_run_again_measures_nothing(measurer: type[Fake], db: Path) -> None:
    first = tune_some(db, 64, 128, trials=20)
    again = tune_some(db, 64, 128, trials=20)
    assert (again.trials, again.reused, measurer.started) == (0, 20, 1)
    assert [each.best for each in again.results] == [each.best for each in first.results]
    assert again.total == first.total


def test_a_run_after_one_that_was_killed_says_what_is_repeated(
    measurer: type[Fake], db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tune_some(db, 64, 128, trials=20)
    with RecordStore(db) as store:
        words = name_owner().split(":")
        killed = ":".join([words[0], words[1], "0", words[3]])  # another process had this number before
        for key in store.workload_keys():
            assert store.lease(key, {"factor": -1}, killed)
    assert tune_some(db, 64, 128, trials=20, progress=True).reused == 20
    assert "resumed; 20 reused; 2 in flight repeated\n" in capsys.readouterr().err
    tune_some(db, 64, 128, trials=20, progress=True)
    assert "resumed" not in capsys.readouterr().err


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(measurer: type[Fake], tmp_path: Path) -> None:
    whole = tune_some(tmp_path / "whole.db", 10, 300, 2000, trials=10 * ROUND)
    parts = [tune_some(tmp_path / "parts.db", 10, 300, 2000, trials=n * ROUND) for n in (4, 7, 10)]
    assert [(p.trials, p.reused) for p in parts] == [(32, 0), (24, 32), (24, 56)]
    assert trials_of(parts[-1]) == trials_of(whole)
    records = stored(tmp_path / "parts.db")
    assert len({(r.key, r.config_hash) for r in records}) == len(records) == 10 * ROUND


def test_trials_of_tune_count(measurer: type[Fake], db: Path) -> None:
    tune(stretch, n=64, threads=1, db=db, trials=5, tuner="random")
    result = tune_some(db, 64, 128, trials=16)
    assert (result.trials, result.reused) == (11, 5)


def test_by_default_each_workload_may_have_64(measurer: type[Fake], db: Path) -> None:
    result = tune_some(db, 64, 128)
    assert result.trials == 128


def test_patience_is_of_each_workload(measurer: type[Fake], db: Path) -> None:
    measurer.falls = (128,)
    result = tune_some(db, 64, 128, patience=10, trials=200, tuner="grid")
    assert trials_of(result) == [11, FACTORS]  # an improvement, then ten without one


def test_an_exhausted_workload_leaves_the_rest_to_others(measurer: type[Fake], db: Path) -> None:
    result = tune_all(
        [(alone, {"n": 9000}), *workloads(64)], db=db, threads=1, trials=3 * ROUND, tuner="random"
    )
    assert trials_of(result) == [2, 3 * ROUND - 2]
    again = tune_all([(alone, {"n": 9000}), *workloads(64)], db=db, threads=1, trials=500, tuner="grid")
    assert trials_of(again) == [2, FACTORS]


def test_a_workload_that_always_fails_is_given_up_and_told(measurer: type[Fake], db: Path) -> None:
    measurer.broken = (128,)
    with pytest.raises(
        IncompleteTuningError, match=r"stretch\(n=128\): none of 24 trials .*SIGSEGV"
    ) as caught:
        tune_some(db, 64, 128, trials=8 * ROUND)
    result = caught.value.result
    assert trials_of(result) == [5 * ROUND, 3 * ROUND]
    assert result.total.best is None
    assert result.results[0].best is not None
    assert result.results[1].failed == {"crash": 24}


def test_ctrl_c_keeps_everything(measurer: type[Fake], db: Path) -> None:
    def interrupt(record: Record) -> None:
        if len(stored(db)) == 11:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TuneAllInterrupted) as caught:
        tune_some(db, 64, 128, trials=30, on_trial=interrupt)
    assert caught.value.result.trials == len(stored(db)) == 11
    assert measurer.playoffs == 0
    assert tune_some(db, 64, 128, trials=30).trials == 19


class TwoWorkers(Fake):
    """Takes a second trial before it answers the first."""

    alone: tuple[tuple[int, int], ...] = ()

    def iter_results(self, inputs: Sequence[MeasureInput]) -> Iterator[tuple[int, MeasureResult]]:
        taken: list[tuple[int, MeasureInput]] = []
        position = 0
        while position < len(inputs) or taken:
            while position < len(inputs) and len(taken) < 2:
                taken.append((position, inputs[position]))
                position += 1
            first, trial = taken.pop(0)
            n = int(json.loads(trial.workload.removeprefix("stretch"))["n"])
            type(self).order += ((n, factor_of(trial)),)
            if not taken:
                type(self).alone += ((n, factor_of(trial)),)
            yield first, self._answer(n, factor_of(trial))


@pytest.mark.parametrize("strategy", ["gradient", "round-robin"])
def test_the_next_is_proposed_while_one_runs_where_a_core_is_free(
    db: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    class Fresh(TwoWorkers):
        pass

    monkeypatch.setattr(workers_module, "Measurer", Fresh)
    monkeypatch.setattr(run_module, "physical_cores", lambda: 4)
    result = tune_some(db, 64, 128, trials=6 * ROUND, strategy=strategy)
    assert result.trials == 6 * ROUND == len(set(Fresh.order))
    # The default of a workload comes before its others; the last trial of all has no company either.
    assert Fresh.alone == ((64, 1), (128, 1), Fresh.order[-1])
    assert [n for n, _ in Fresh.order[: 2 * ROUND]] == [64] * ROUND + [128] * ROUND
    if strategy == "round-robin":
        assert trials_of(result) == [3 * ROUND, 3 * ROUND]


def test_equal_workloads_are_one(measurer: type[Fake], db: Path) -> None:
    result = tune_some(db, 64, 128, 64, weights=[1, 5, 2], trials=2 * ROUND)
    assert result.weights == (3, 5)
    assert [each.workload for each in result.results] == [{"n": 64}, {"n": 128}]


def test_workloads_may_be_mappings(measurer: type[Fake], db: Path) -> None:
    entries: list[dict[str, Any]] = [
        {"op": "stretch", "n": 64, "weight": 2},
        {"op": "stretch", "args": {"n": 128}},
        {"op": stretch, "n": 256},
    ]
    result = tune_all(entries, db=db, threads=1, trials=24, tuner="random")
    assert result.weights == (2, 1, 1)
    assert [each.workload["n"] for each in result.results] == [64, 128, 256]


@pytest.mark.parametrize(
    "text",
    [
        '[{"op": "a", "n": 1}, {"op": "b"}]',
        '{"workloads": [{"op": "a", "n": 1}, {"op": "b"}]}',
        '{"op": "a", "n": 1}\n\n{"op": "b"}\n',
    ],
)
def test_a_file_holds_json_or_lines_of_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "workloads").write_text(text)
    assert read_workloads(tmp_path / "workloads") == [{"op": "a", "n": 1}, {"op": "b"}]


def test_one_line_is_one_workload(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text('{"op": "a", "n": 1}\n')
    assert read_workloads(tmp_path / "one.jsonl") == [{"op": "a", "n": 1}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3", "must hold a list of workloads"),
        ('{"n": 1}', "must hold a list of workloads"),
        ('{"op": "a"}\n{"op"', r"workloads:2: Expecting"),
        ('{"op": "a"}\n3\n', r"workloads:2: a line must be"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "workloads").write_text(text)
    with pytest.raises(WorkloadError, match=message):
        read_workloads(tmp_path / "workloads")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"nothing\.json cannot be read"):
        read_workloads(tmp_path / "nothing.json")


@pytest.mark.parametrize(
    ("entries", "options", "message"),
    [
        ([], {}, "there is no workload"),
        (5, {}, r"workloads must be a list, each \(op, parameters\) or .* not 5"),
        ("stretch", {}, "workloads must be a list, .* not 'stretch'"),
        ({"op": "stretch", "n": 4}, {}, "workloads must be a list"),
        (["stretch"], {}, r"workload 1 must be \(op, parameters\) or"),
        ([("stretch", 64)], {}, "workload 1 must be"),
        ([{"n": 64}], {}, "workload 1 must be"),
        ([{"op": "stretch", "args": {"n": 3}, "n": 3}], {}, "workload 1 must be"),
        ([("stretch", {"n": 0})], {}, "n must be a positive integer"),
        ([("stretch", {"n": 4})], {"weights": [1, 2]}, "2 weights for 1 workloads"),
        ([("stretch", {"n": 4})], {"weights": 5}, "weights must be a list, one number for each .* not 5"),
        ([("stretch", {"n": 4})], {"weights": "5"}, "weights must be a list, .* not '5'"),
        ([{"op": "stretch", "n": 4, "weight": 0}], {}, "weight must be a positive number, not 0"),
        ([{"op": "stretch", "n": 4, "weight": "2"}], {}, "weight must be a positive number"),
        ([("stretch", {"n": 4})], {"strategy": "best"}, "no strategy 'best'; choose one of gradient"),
        ([("stretch", {"n": 4})], {"strategy": ["gradient"]}, "no strategy "),
        ([("stretch", {"n": 4})], {"progress": 3}, "progress must be True, False or an object"),
        ([("stretch", {"n": 4})], {"objective": 3}, "objective must be a function"),
        ([("stretch", {"n": 4})], {"trials": 0}, "trials must be a positive integer"),
        ([("stretch", {"n": 4})], {"tuner": "best"}, "there is no tuner 'best'"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_written(
    db: Path, entries: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TilewrightError, match=message):
        tune_all(entries, db=db, **options)
    assert not db.exists()


def test_too_few_trials_for_all_are_told(measurer: type[Fake], db: Path) -> None:
    with pytest.raises(IncompleteTuningError, match=r"stretch\(n=128\): no trial was made: allow more"):
        tune_some(db, 64, 128, trials=1)


def test_rounds_are_short_where_trials_are_few(measurer: type[Fake], db: Path) -> None:
    result = tune_some(db, 10, 20, 1000, trials=10)
    assert [n for n, _ in measurer.order] == [10] * 3 + [20] * 3 + [1000] * 4
    assert result.total.best is not None
    assert tune_some(db, 10, 20, 1000, trials=10).trials == 0


def test_rounds_are_told_from_records(measurer: type[Fake], db: Path) -> None:
    measurer.falls = (64,)
    tune_some(db, 64, trials=ROUND + 3, tuner="grid")
    assert costs_by_round(stored(db), ROUND) == pytest.approx([64e-6 / ROUND, 64e-6 / (ROUND + 3)])
    assert costs_by_round([], ROUND) == []


def test_progress_is_told_in_order(measurer: type[Fake], db: Path) -> None:
    heard: list[object] = []

    class Listener:
        def start(self, members: Sequence[Any], budget: Any, reused: Sequence[Sequence[Record]]) -> None:
            heard.append([len(members), budget.trials, *map(len, reused)])

        def trial(self, place: int, record: Record) -> None:
            heard.append(place)

        def stage(self, text: str) -> None:
            heard.append(text)

        def finish(self) -> None:
            heard.append("finish")

    tune_some(db, 64, 128, trials=9, progress=Listener())
    assert heard == [
        [2, 9, 0, 0], "starting workers", *[0] * 4, *[1] * 5, "play-off", "play-off", "finish",
    ]  # fmt: skip


def test_plain_lines_tell_the_total(
    measurer: type[Fake], db: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tune_some(db, 64, 128, trials=2 * ROUND, weights=[1, 2], progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if not line.startswith("warning")]  # of a busy machine
    assert lines[0] == "tuning 2 workloads on 1 thread"
    assert lines[2].startswith("trial 1/16: stretch(n=64) 0.0 GFLOP/s, best 0.0 GFLOP/s")
    assert any("total 320 us" in line for line in lines)
    assert lines.count("play-off") == 1


def test_a_terminal_shows_a_line_for_each_workload(measurer: type[Fake], db: Path) -> None:
    stream = io.StringIO()
    live = LiveGroup(Console(file=stream, force_terminal=True, width=100))
    measurer.broken = (128,)
    with pytest.raises(IncompleteTuningError):
        tune_some(db, 64, 128, trials=2 * ROUND, progress=live)
    shown = stream.getvalue()
    assert "trial 16/16" in shown
    assert "stretch(n=64)" in shown
    assert "8 crash" in shown
    assert "weight" in shown
