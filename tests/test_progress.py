"""What a run's display shows."""

import io
from datetime import UTC, datetime

from rich.console import Console

from tests.scaling import scaling
from tilewright.deploy import make_task
from tilewright.logs.record import Record, TargetData, TemplateData, make_record
from tilewright.measure.result import MeasureResult, failed
from tilewright.tuners import Budget
from tilewright.tuning.line_progress import LineProgress
from tilewright.tuning.live_progress import LiveProgress
from tilewright.tuning.tally import Tally, describe_time

TASK = make_task(scaling, None, 1, {"n": 64})


def trial(seconds: float | None) -> Record:
    result = failed("crash", "it crashed", "SIGSEGV")
    if seconds is not None:
        result = MeasureResult(state="ok", costs=(seconds,), seconds=seconds, interval=(seconds, seconds))
    return record_of(result)


def record_of(result: MeasureResult) -> Record:
    return make_record(
        result,
        workload=TASK.workload.to_json(),
        template=TemplateData("scaling"),
        target=TargetData("cpu", "features"),
        config={"factor": 1},
        at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_lines_come_with_improvements_and_every_eighth_trial() -> None:
    stream = io.StringIO()
    progress = LineProgress(stream)
    progress.start(TASK, Budget(20), [])
    for seconds in (2e-6, 3e-6, 1e-6, *[None] * 5, 1e-6):
        progress.trial(trial(seconds))
    progress.finish()
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("tuning scaling(n=64")
    assert [line.split(":")[0] for line in lines[1:]] == ["trial 1/20", "trial 3/20", "trial 8/20", "failed"]
    assert "crash, best 0.1 GFLOP/s, failed: 5 crash" in lines[-2]
    assert "left" in lines[-2]
    assert lines[-1] == f"failed: 5 crash (SIGSEGV), such as trial {trial(None).id}: it crashed"


def test_the_live_display_shows_best_failures_and_count() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    progress = LiveProgress(console)
    progress.start(TASK, Budget(20), [trial(2e-6)])
    progress.trial(trial(1e-6))
    progress.trial(trial(None))
    progress.stage("play-off")
    progress.finish()
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for words in ("scaling(n=64", "trial 3/20", "0.1 GFLOP/s", "1 crash", "1 crash (SIGSEGV), such as"):
        assert words in text


def test_a_tally_counts_reused_trials_as_done() -> None:
    tally = Tally.begin(TASK, Budget(4), [trial(2e-6), trial(None)])
    assert (tally.count_text, tally.measured, tally.best_seconds) == ("2/4", 0, 2e-6)
    assert tally.seconds_left is None
    assert tally.add(trial(1e-6))
    assert not tally.add(trial(3e-6))
    assert tally.seconds_left == 0.0


def test_speeds_without_operations_are_times() -> None:
    tally = Tally("copy", 0, Budget())
    assert tally.speed_text(2.5e-5) == "25 us"
    assert [describe_time(t) for t in (2.0, 0.5, 1e-8)] == ["2 s", "500 ms", "10 ns"]
