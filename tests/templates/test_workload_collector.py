"""What a program builds is collected, to be tuned."""

import json
from pathlib import Path

import tilewright as tw
from tests.scaling import scaling
from tilewright.templates.dispatch import Choice, Dispatcher
from tilewright.templates.task import Task
from tilewright.templates.workload_collector import collect_workloads
from tilewright.tuning.weighted_workloads import read_workloads, weighted_tasks


def test_builds_are_counted_in_their_order() -> None:
    with collect_workloads() as found:
        for n in (8, 16, 8):
            kernel = tw.build(scaling, n=n, threads=1)
            assert kernel.config is not None
            assert kernel.config.is_default
        tw.build("transpose", shape=(3, 4), threads=1)
    tw.build(scaling, n=32, threads=1)
    assert len(found) == 3
    named = [(entry["op"].name, entry["args"], entry["weight"]) for entry in found]
    assert named[:2] == [("scaling", {"n": 8, "fails": ""}, 2), ("scaling", {"n": 16, "fails": ""}, 1)]
    assert named[2][0] == "transpose"


def test_a_chosen_configuration_is_nothing_to_tune() -> None:
    with collect_workloads() as found:
        tw.build(scaling, n=8, threads=1, config="default")
        tw.build(scaling, n=8, threads=1, config=0)
    assert not len(found)


class Always(Dispatcher):
    def choose(self, task: Task) -> Choice | None:
        return Choice({"factor": 8}, "as told")


def test_what_is_in_force_around_stays_in_force() -> None:
    with Always(), collect_workloads() as found:
        kernel = tw.build(scaling, n=8, threads=1)
        assert kernel.config is not None
        assert kernel.config.to_json() == {"factor": 8}
    assert len(found) == 1


def test_a_file_names_them_for_another_process(tmp_path: Path) -> None:
    with collect_workloads() as found:
        tw.build("transpose", shape=(3, 4), threads=1)
        tw.build(scaling, n=8, threads=1)
    found.write(tmp_path / "workloads.jsonl")
    entries = read_workloads(tmp_path / "workloads.jsonl")
    assert [entry["weight"] for entry in entries] == [1, 1]
    assert entries[0]["op"] == "transpose"
    assert entries[1]["op"].endswith("scaling.py:scaling")
    assert weighted_tasks(entries, None, None, 1) == weighted_tasks(found, None, None, 1)
    assert json.loads((tmp_path / "workloads.jsonl").read_text().splitlines()[0])["args"]["shape"] == [3, 4]
