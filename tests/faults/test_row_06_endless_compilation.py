"""Row 6: a space with a point whose loops are unrolled 4096**3 times; its trial ends, the next one starts."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.crashing import QuickMeasurer
from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.te import Tensor
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.measure.measurer import Timeouts
from tilewright.templates.collector import get_config
from tilewright.templates.template import template
from tilewright.tuning import tune
from tilewright.tuning import workers as workers_module

TIMEOUT_SECONDS = 0.6
SLACK_SECONDS = 0.5


@template("blowing_up", default=lambda target, threads: {"extent": 1})
def blowing_up() -> tuple[Schedule, list[Tensor]]:
    """Stores a value at as many places as a knob says, cubed, with all loops unrolled."""
    cfg = get_config()
    cfg.define_knob("extent", [1, 4096, 2])
    extent = cfg["extent"].val
    a = te.placeholder((1,), "float32", name="a")
    parts = te.reduce_axis((0, extent), name="p")
    more = te.reduce_axis((0, extent), name="q")
    most = te.reduce_axis((0, extent), name="r")
    c = te.compute(
        (1,), lambda i: te.max(a[i] + 0.0 * te.cast("float32", parts + more + most), axis=[parts, more, most])
    )
    schedule = create_schedule(c.op)
    for axis in schedule[c].op.reduce_axis:
        schedule[c].unroll(axis)
    return schedule, [a, c]


class Unlimited(QuickMeasurer):
    """Compiles whatever is asked for, as long as it may."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, line_limit=10**12, timeouts=Timeouts(compiling=TIMEOUT_SECONDS))


def test_row_06_unrolling_4096_cubed_ends_at_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "Measurer", Unlimited)
    ends: dict[int, tuple[float, Record]] = {}

    def note(record: Record) -> None:
        ends[record.config["extent"]] = (time.monotonic(), record)

    result = tune(blowing_up, threads=1, db=tmp_path / "tune.db", trials=3, tuner="grid", on_trial=note)
    assert (result.trials, result.failed) == (3, {"compile_timeout": 1})
    (default_end, _), (end, record), (last_end, last) = (ends[extent] for extent in (1, 4096, 2))
    assert end - default_end <= TIMEOUT_SECONDS + SLACK_SECONDS
    assert record.state == "compile_timeout"
    assert record.config == {"extent": 4096}
    assert record.error == f"while compiling: phase compiling took longer than {TIMEOUT_SECONDS:g} s"
    assert last_end > end
    assert last.state in ("ok", "slow")
    with RecordStore(tmp_path / "tune.db", read_only=True) as store:
        assert record in list(store.iter_trials())
