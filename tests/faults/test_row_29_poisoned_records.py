"""Row 29: records with impossible costs or of unknown spaces are refused with a reason, and never applied."""

import json
import math
import random
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.logs.records import make
from tests.scaling import scaling
from tilewright.deploy import build, make_task
from tilewright.logs.apply import apply_best
from tilewright.logs.errors import RecordError
from tilewright.logs.formats.jsonl import import_jsonl
from tilewright.logs.record import Record, TemplateData, make_record, target_data
from tilewright.logs.store import RecordStore
from tilewright.measure.result import LONGEST_SECONDS, SHORTEST_SECONDS, MeasureResult

LINES = 1000
COSTS: tuple[Any, ...] = (0, 0.0, -1e-4, 1e-12, 1e-300, 1e9, 1e300, "1e-4", None, [], {}, True, "nan", "inf")
OTHERS: dict[str, tuple[Any, ...]] = {
    "state": ("great", "", None, 1, "crash"),
    "attempt": (0, -1, 1.5, "1"),
    "index": (-1, "7", 1.5),
    "target": ({}, {"cpu": "", "features": ""}, {"cpu": "a", "features": "b", "threads": 0}, None),
    "workload": ({}, {"op": ""}, {"op": "x", "args": []}, [], "matmul"),
    "config": ([], None, "x", 1),
    "at": ("yesterday", 5, None, "2026-01-02T03:04:05"),
    "reference_ratio": (0.0, -1.0, "1"),
    "build_seconds": (-1.0, "0", None),
    "v": (0, 2, "1", None),
}
TASK = make_task(scaling, None, 1, {"n": 64})


def forged(line: dict[str, Any]) -> str:
    """A line with the checksum that belongs to its contents."""
    fields = {name: value for name, value in line.items() if name not in ("id", "crc")}
    return json.dumps({**line, "crc": f"{zlib.crc32(msgspec.json.encode(fields, order='sorted')):08x}"})


def poisoned(chance: random.Random) -> str:
    """A line with one field that is impossible."""
    line = json.loads(make(config={"i": chance.randrange(100)}).to_json())
    if chance.random() < 0.5:
        cost, name = chance.choice(COSTS), chance.choice(("seconds", "costs", "interval"))
        line[name] = cost if name == "seconds" else [cost, cost]
    else:
        name = chance.choice(list(OTHERS))
        line[name] = chance.choice(OTHERS[name])
    return forged(line)


def test_row_29_of_1000_poisoned_lines_none_is_accepted(tmp_path: Path) -> None:
    chance = random.Random(29)
    path = tmp_path / "log.jsonl"
    path.write_text("".join(poisoned(chance) + "\n" for _ in range(LINES)))
    with RecordStore(tmp_path / "tune.db") as store:
        report = import_jsonl(store, path)
        assert store.count() == report["imported"] == 0
    assert len(report["skipped"]) == LINES
    assert all(skipped["reason"] for skipped in report["skipped"])


@settings(max_examples=200, deadline=None)
@given(st.floats().filter(lambda cost: not SHORTEST_SECONDS <= cost <= LONGEST_SECONDS))
def test_row_29_no_cost_outside_what_a_kernel_can_take_is_accepted(cost: float) -> None:
    line = json.loads(make().to_json())
    if math.isfinite(cost):
        with pytest.raises(RecordError):
            Record.from_json(forged({**line, "seconds": cost, "costs": [cost], "interval": [cost, cost]}))
    with pytest.raises(ValueError, match="impossible"):
        MeasureResult(state="ok", costs=(cost,), seconds=cost, interval=(cost, cost))


@pytest.mark.parametrize(
    "config",
    [
        {"factor": 16},
        {"factor": -1},
        {"factor": "2"},
        {"other": 2},
        {},
        {"factor": 2, "more": 1},
        {"factor": None},
    ],
)
def test_row_29_a_configuration_out_of_the_space_is_never_applied(
    config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    record = make_record(
        MeasureResult(state="ok", costs=(1e-6,), seconds=1e-6, interval=(1e-6, 1e-6)),
        workload=TASK.workload.to_json(),
        template=TemplateData("scaling", TASK.template_hash),
        target=target_data(TASK.target, TASK.threads),
        config=config,
    )
    with apply_best([record]):
        kernel = build(scaling, n=64, threads=1)
    assert (kernel.config, kernel.record) == (TASK.default_config, None)
    assert "no longer fits the template" in caplog.text


def test_row_29_records_of_an_unknown_template_are_never_applied() -> None:
    record = make(workload={"op": "no_such_template", "args": {"n": 64}})
    with apply_best([record]):
        assert build(scaling, n=64, threads=1).record is None
