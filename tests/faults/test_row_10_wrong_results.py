"""Row 10: results that are wrong everywhere, in one tile, or for odd extents; none is ever the best."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.faults.crashing import QuickMeasurer
from tests.faults.mutated_nests import RIGHT, mutated, wrong_mutants
from tilewright.deploy import build
from tilewright.logs.apply import apply_best
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.tuning import tune, workers

MUTANTS = 30
ODD, EVEN = (7, 7, 7), (8, 8, 8)
MESSAGE = re.compile(r"output 'c_mutant_\d+' differs .* largest error [-+.e\w]+ at \(\d+, \d+\)")


def tune_mutants(path: Path, names: list[str], extents: tuple[int, int, int]) -> list[Record]:
    """All trials of a right kernel and of mutants, the right one's first."""
    params: dict[str, Any] = {**dict(zip("mnk", extents, strict=True)), "mutants": ",".join([RIGHT, *names])}
    result = tune(mutated, trials=len(names) + 1, tuner="grid", threads=1, db=path, **params)
    with RecordStore(path) as store:
        (key,) = store.workload_keys()
        records = sorted(store.trials(key), key=lambda record: record.config["mutant"])
    assert [record.config["mutant"] for record in records] == list(range(len(names) + 1))
    wrong = {record.config["mutant"] for record in records if record.state != "ok"}
    assert result.best is not None
    assert result.best.config["mutant"] not in wrong
    with apply_best(path):
        kernel = build(mutated, threads=1, **params)
    assert kernel.config.to_json() == result.best.config
    return records


def count_caught(records: list[Record]) -> int:
    """How many are known to be wrong, by how much and where."""
    return sum(r.state == "wrong_result" and MESSAGE.search(r.error or "") is not None for r in records)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Measurer", QuickMeasurer)


@pytest.mark.usefixtures("faulty_compiler")
def test_row_10_30_of_30_mutants_are_caught_and_0_are_the_best(tmp_path: Path) -> None:
    names = wrong_mutants(ODD, MUTANTS)
    assert len(names) == MUTANTS
    right, *wrong = tune_mutants(tmp_path / "tune.db", names, ODD)
    assert right.state == "ok"
    assert count_caught(wrong) == MUTANTS


@pytest.mark.slow
@pytest.mark.usefixtures("faulty_compiler")
def test_row_10_all_mutants_are_caught_where_they_are_wrong(tmp_path: Path) -> None:
    for extents in (ODD, EVEN):
        names = wrong_mutants(extents, 1000)
        _, *wrong = tune_mutants(tmp_path / f"{extents[0]}.db", names, extents)
        assert count_caught(wrong) == len(names) > MUTANTS
