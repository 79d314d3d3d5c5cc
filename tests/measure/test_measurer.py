"""Candidates go in, results come out: the whole path through real worker processes."""

from collections.abc import Iterator

import numpy as np
import pytest

from tilewright.compiler import te
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target
from tilewright.measure.inputs import make_inputs
from tilewright.measure.measurer import Measurer, Timeouts
from tilewright.measure.outcome import Job, Outcome
from tilewright.measure.playoff import PlayoffPlan
from tilewright.measure.result import MeasureInput, MeasureSetupError
from tilewright.measure.runner import _result
from tilewright.measure.timing import Timing, TimingPlan

SIZE = 64
TIMING = TimingPlan(slice_seconds=0.0005, slices=6, span_seconds=0.005)


def matmul(split: int | None = None, vectorize: bool = False, parallel: bool = False) -> Program:
    a = te.placeholder((SIZE, SIZE), name="a")
    b = te.placeholder((SIZE, SIZE), name="b")
    k = te.reduce_axis((0, SIZE), name="k")
    c = te.compute((SIZE, SIZE), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="c")
    schedule = create_schedule(c.op)
    if split is not None:
        i, j = schedule[c].op.axis
        outer, inner = schedule[c].split(j, factor=split)
        schedule[c].reorder(i, outer, schedule[c].op.reduce_axis[0], inner)
        if vectorize:
            schedule[c].vectorize(inner)
    if parallel:
        schedule[c].parallel(schedule[c].op.axis[0])
    return Program.from_schedule(schedule, [a, b, c])


def trial(program: Program, workload: str = "matmul") -> MeasureInput:
    return MeasureInput(program, workload)


@pytest.fixture(scope="module")
def measurer() -> Iterator[Measurer]:
    playoff = PlayoffPlan(rounds=12, slice_seconds=0.0005)
    with Measurer(Target.host(), timing=TIMING, playoff=playoff) as made:
        yield made


def test_results_come_in_order(measurer: Measurer) -> None:
    plain, tiled = measurer.measure([trial(matmul()), trial(matmul(16, vectorize=True))])
    assert (plain.state, plain.error) == ("ok", None)
    assert tiled.state in ("ok", "slow")
    assert plain.seconds is not None
    assert plain.interval is not None
    assert plain.interval[0] <= plain.seconds <= plain.interval[1]
    assert plain.build_seconds > 0
    assert plain.reference_ratio is not None


def test_costs_are_relative_to_the_baseline(measurer: Measurer) -> None:
    """Beside itself a kernel takes what it is said to take, whatever that is; and its outputs are its own."""
    measurer.compare_with("beside", matmul(), 0.5e-3)
    same, other = measurer.measure([trial(matmul(), "beside"), trial(matmul(4), "beside")])
    assert (same.state, same.error) == (other.state, other.error) == ("ok", None)
    assert same.seconds == pytest.approx(0.5e-3, rel=0.4)
    assert same.interval is not None
    assert same.seconds is not None
    assert same.interval[0] <= same.seconds <= same.interval[1]


def test_a_baseline_that_cannot_be_built_is_done_without(measurer: Measurer) -> None:
    measurer.compare_with("alone", Program('{"args": []}', matmul().inputs, matmul().outputs), 1.0)
    (result,) = measurer.measure([trial(matmul(), "alone")])
    assert result.state == "ok"
    assert result.seconds is not None
    assert result.seconds < 0.1


def test_a_wrong_result_never_counts(measurer: Measurer) -> None:
    a, b = make_inputs(matmul().inputs)
    wrong = a.astype(np.float64) @ b.astype(np.float64)
    wrong[3, 5] += 1.0
    measurer.provide_reference("wrong", [wrong], SIZE)
    (result,) = measurer.measure([trial(matmul(), "wrong")])
    assert result.state == "wrong_result"
    assert result.seconds is None
    assert "(3, 5)" in str(result.error)


def test_the_reference_may_come_from_the_parent(measurer: Measurer) -> None:
    a, b = make_inputs(matmul().inputs)
    measurer.provide_reference("given", [a.astype(np.float64) @ b.astype(np.float64)], SIZE)
    assert measurer.measure([trial(matmul(), "given")])[0].state == "ok"


def test_too_much_code_is_invalid() -> None:
    with Measurer(Target.host(), line_limit=10, workers=1) as small:
        (result,) = small.measure([trial(matmul(16, vectorize=True))])
    assert result.state == "invalid"
    assert result.error


def test_a_much_slower_candidate_stops_at_its_first_run(measurer: Measurer) -> None:
    measurer.expect("hopeless", 1e-9)
    (result,) = measurer.measure([trial(matmul(), "hopeless")])
    assert result.state == "slow"
    assert result.seconds is not None


def test_a_program_that_cannot_be_read_is_a_result(measurer: Measurer) -> None:
    broken = Program('{"args": []}', matmul().inputs, matmul().outputs)
    results = measurer.measure([trial(p, "unread") for p in (matmul(), broken, matmul())])
    assert [result.state for result in results] == ["ok", "invalid", "ok"]


def test_a_deadline_of_the_compiler_is_a_result() -> None:
    with Measurer(Target.host(), timeouts=Timeouts(compiling=0.001), workers=1) as hasty:
        (result,) = hasty.measure([trial(matmul(16, vectorize=True))])
    assert result.state == "compile_timeout"
    assert "0.001 s" in str(result.error)


def test_a_cost_that_noise_makes_too_short_is_no_crash() -> None:
    timing = Timing((2e-9, 3e-9), 5e-10, (3e-10, 2e-9))
    result = _result(timing, 1e-6)
    assert (result.state, result.seconds, result.interval) == ("ok", 1e-9, (1e-9, 2e-9))


def test_a_play_off_has_a_winner(measurer: Measurer) -> None:
    result = measurer.playoff([trial(matmul(16, vectorize=True)), trial(matmul())], default=1)
    assert result.best is not None
    assert [entry.state for entry in result.entries] == ["ok", "ok"]
    assert result.rounds == 12
    assert all(entry.seconds is not None for entry in result.entries)
    assert result.winner in (0, 1)  # which one is for the simulated machine to tell


def test_a_play_off_leaves_out_what_fails(measurer: Measurer) -> None:
    broken = Program('{"args": []}', matmul().inputs, matmul().outputs)
    result = measurer.playoff([trial(broken), trial(matmul())], default=1)
    assert [entry.state for entry in result.entries] == ["invalid", "ok"]
    assert result.winner == 1


def test_a_crash_in_a_play_off_costs_its_candidate_alone(
    measurer: Measurer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = measurer._pool.run
    crash = [Outcome("crash", b"", "verifying:1", "SIGSEGV", "ended")]

    def crash_once(job: Job) -> Outcome:
        return crash.pop() if crash and job.name == "playoff" else run(job)

    monkeypatch.setattr(measurer._pool, "run", crash_once)
    result = measurer.playoff([trial(matmul(16, vectorize=True)), trial(matmul(1))], default=0)
    assert [entry.state for entry in result.entries] == ["ok", "crash"]
    assert result.winner == 0


def test_a_default_that_is_no_candidate_is_an_error(measurer: Measurer) -> None:
    with pytest.raises(MeasureSetupError, match="no default 4"):
        measurer.playoff([trial(matmul())], default=4)


def test_no_candidate_gives_no_result(measurer: Measurer) -> None:
    assert measurer.measure([]) == []


def test_parallel_kernels_are_measured_alone() -> None:
    with Measurer(Target.host(), threads=2, timing=TIMING) as threaded:
        (result,) = threaded.measure([trial(matmul(parallel=True))])
    assert (result.state, result.error) == ("ok", None)


def test_a_backend_that_cannot_be_timed_is_a_result() -> None:
    with Measurer(Target.host(), backend="interpreter", timing=TIMING, workers=1) as slow:
        (result,) = slow.measure([trial(matmul())])
    assert result.state == "compile_error"
    assert "interpreter" in str(result.error)
