"""The command line, run in this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.scaling import scaling
from tilewright.cli.application import run
from tilewright.deploy import make_task
from tilewright.logs.record import Record, TemplateData, make_record, target_data
from tilewright.logs.store import RecordStore
from tilewright.measure.result import MeasureResult, failed

assert scaling.name == "scaling"  # registered by its module


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on standard output."""
        (line,) = self.out.splitlines()
        return json.loads(line, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


Tilewright = Callable[..., Answer]


@pytest.fixture
def tilewright(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Tilewright:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TILEWRIGHT_CACHE", "0")

    def call(*arguments: str) -> Answer:
        status = run([*arguments])
        out, err = capsys.readouterr()
        return Answer(status, out, err)

    return call


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    """Three trials of the `scaling` template in `tune.db`: two valid, one crash."""
    task = make_task(scaling, None, 1, {"n": 64})
    made = []
    for index, seconds in enumerate((2e-6, 1e-6, None)):
        result = failed("crash", "the worker was ended by SIGSEGV", "SIGSEGV")
        if seconds is not None:
            result = MeasureResult(
                state="ok",
                costs=(seconds,),
                seconds=seconds,
                interval=(seconds, seconds),
                reference_ratio=seconds,
            )
        made.append(
            make_record(
                result,
                workload=task.workload.to_json(),
                template=TemplateData("scaling", task.template_hash),
                target=target_data(task.target, task.threads),
                config=task.space.config(index).to_json(),
                index=index,
            )
        )
    with RecordStore(tmp_path / "tune.db") as store:
        store.add_all(made)
    return made
