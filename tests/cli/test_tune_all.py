"""``tilewright tune-all``: what it reads and prints; nothing is measured."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Tilewright
from tests.fake_measurer import FakeMeasurer
from tilewright.tuners import TUNERS
from tilewright.tuners.task_scheduler import STRATEGIES
from tilewright.tuning import TuneAllResult, workers

ENTRIES: list[dict[str, Any]] = [
    {"op": "scaling", "n": 64, "weight": 3},
    {"op": "scaling", "n": 128, "fails": "8"},
]
OPTIONS = ("--threads", "1", "--tuner", "grid", "--trials", "8")


@pytest.fixture
def measurer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeMeasurer]:
    class Fake(FakeMeasurer):
        pass

    monkeypatch.setattr(workers, "Measurer", Fake)
    (tmp_path / "workloads.json").write_text(json.dumps(ENTRIES))
    return Fake


def test_the_json_holds_each_workload_and_the_total(
    tilewright: Tilewright, measurer: type[FakeMeasurer]
) -> None:
    answer = tilewright("tune-all", "workloads.json", *OPTIONS, "--json")
    assert answer.status == 0
    found = answer.json
    assert found.keys() == TuneAllResult.__dataclass_fields__.keys()
    assert found["weights"] == [3, 1]
    assert [each["trials"] for each in found["results"]] == [4, 4]
    assert found["results"][1]["failed"] == {"invalid": 1}
    best = [each["best"]["seconds"] for each in found["results"]]
    assert found["total"]["best"] == pytest.approx(3 * best[0] + best[1])
    assert found["total"]["default"] == pytest.approx(4 * 1e-3 / 2)
    assert "trial 1/8: scaling(n=64)" in answer.err


def test_people_see_a_table(tilewright: Tilewright, measurer: type[FakeMeasurer]) -> None:
    answer = tilewright("tune-all", "workloads.json", *OPTIONS, "-q")
    assert answer.err == ""
    head, first, second, total, last = answer.out.splitlines()
    assert head.split() == ["workload", "weight", "trials", "default", "best", "gain"]
    assert first.split() == ["scaling(n=64)", "3", "4", "500", "us", "125", "us", "4.00x"]
    assert second.startswith("scaling(n=128, fails=8)")
    assert total.split() == ["total", "8", "2", "ms", "625", "us", "3.20x"]
    assert last.startswith("8 trials measured, 0 reused; records in ")


def test_a_workload_without_a_kernel_is_status_1(
    tilewright: Tilewright, measurer: type[FakeMeasurer]
) -> None:
    measurer.crashes = (1, 2, 4, 8)
    answer = tilewright("tune-all", "workloads.json", *OPTIONS, "--json", "-q")
    assert answer.status == 1
    assert answer.json["total"] == {"default": None, "best": None}
    assert "scaling(n=64, fails=): none of 4 trials gave a valid kernel" in answer.err


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ('{"op": "matmull", "m": 3}', 1, "did you mean 'matmul'?"),
        ('{"op": "scaling"}', 2, "scaling: n must be given"),
        ('{"op": "scaling", "n": 4, "k": 4}', 2, "unknown parameter 'k'"),
        ("[]", 2, "there is no workload to tune"),
    ],
)
def test_a_wrong_file_is_one_line(
    tilewright: Tilewright, tmp_path: Path, text: str, status: int, message: str
) -> None:
    (tmp_path / "wrong.json").write_text(text)
    answer = tilewright("tune-all", "wrong.json")
    assert (answer.status, answer.out) == (status, "")
    (line,) = answer.err.splitlines()
    assert message in line


def test_a_missing_file_is_status_2(tilewright: Tilewright) -> None:
    answer = tilewright("tune-all", "nothing.json")
    assert answer.status == 2
    assert "nothing.json cannot be read" in answer.err


def test_the_choices_are_those_that_there_are(tilewright: Tilewright) -> None:
    text = tilewright("tune-all", "--help").out
    for name in (*STRATEGIES, *TUNERS):
        assert name in text
