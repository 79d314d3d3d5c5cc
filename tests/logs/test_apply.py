"""The best record is found by its exact key: in the context, then in the process, then not at all."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.logs.records import cost, make
from tilewright.logs.apply import ApplyBest, apply_best
from tilewright.logs.errors import DatabaseError
from tilewright.logs.formats.jsonl import export_jsonl
from tilewright.logs.lookup import Lookup
from tilewright.logs.record import Record, TargetData
from tilewright.logs.report import summarize_best, summarize_failures, summarize_states
from tilewright.logs.store import RecordStore
from tilewright.measure.result import MeasureResult
from tilewright.templates.dispatch import dispatchers

FAST = make(cost(1e-4), config={"i": 1})
SLOW = make(cost(2e-4), config={"i": 0})
KEY = FAST.key


def find_best(key: str) -> Record | None:
    asked = (each.find(key) for each in dispatchers() if isinstance(each, ApplyBest))
    return next((record for record in asked if record is not None), None)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with RecordStore(tmp_path / "tune.db") as store:
        store.add_all([SLOW, FAST])
    return tmp_path / "tune.db"


def test_nothing_applies_outside() -> None:
    assert find_best(KEY) is None


def test_every_kind_of_source_is_read(database: Path, tmp_path: Path) -> None:
    export_jsonl([SLOW, FAST], tmp_path / "log.jsonl")
    with RecordStore(database) as store:
        sources: list[Any] = [database, str(database), f"sqlite:///{database}", store, tmp_path / "log.jsonl"]
        for source in [*sources, [SLOW, FAST], iter([SLOW, FAST])]:
            with apply_best(source):
                assert find_best(KEY) == FAST
            assert find_best(KEY) is None
        assert store.count() == 2


def test_only_exact_keys_apply() -> None:
    foreign = make(cost(1e-5), target=TargetData("znver5", "f00", 2))
    with apply_best([foreign]):
        assert find_best(KEY) is None
        assert find_best(foreign.key) == foreign


def test_failures_never_apply() -> None:
    with apply_best([make(MeasureResult(state="slow", seconds=1e-6)), SLOW]):
        assert find_best(KEY) == SLOW


def test_the_first_source_that_knows_a_key_decides() -> None:
    other = make(cost(1e-3), workload={"op": "softmax", "args": {}})
    with apply_best([other], [SLOW], [FAST]):
        assert find_best(KEY) == SLOW
        assert find_best(other.key) == other


def test_contexts_nest() -> None:
    with apply_best([SLOW]):
        with apply_best([FAST]):
            assert find_best(KEY) == FAST
        assert find_best(KEY) == SLOW


def test_the_process_comes_after_the_context_and_reaches_threads() -> None:
    found: list[Record | None] = []
    installed = apply_best([SLOW]).install()
    try:
        with apply_best([FAST]):
            assert find_best(KEY) == FAST
            thread = threading.Thread(target=lambda: found.append(find_best(KEY)))
            thread.start()
            thread.join()
        assert found == [SLOW]
        assert find_best(KEY) == SLOW
    finally:
        installed.uninstall()
    assert find_best(KEY) is None


def test_a_key_is_asked_for_once() -> None:
    class Counting(RecordStore):
        def __init__(self) -> None:
            self.asked = 0

        def best(self, key: str) -> Record | None:
            self.asked += 1
            return None

    source = Counting()
    lookup = Lookup([source])
    assert [lookup.find(KEY) for _ in range(3)] == [None] * 3
    assert source.asked == 1


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"tune\.db does not exist"):
        apply_best(tmp_path / "tune.db")
    (tmp_path / "x.db").write_text("some text")
    with apply_best(tmp_path / "x.db"), pytest.raises(DatabaseError, match="not a SQLite database"):
        find_best(KEY)
    with pytest.raises(DatabaseError, match="at least one"):
        apply_best()


@pytest.mark.parametrize("source", [5, None, b"tune.db", object(), [5], ["tune.db"], {"a": 1}])
def test_what_is_no_source_is_refused_when_it_is_given(source: Any) -> None:
    with pytest.raises(DatabaseError, match="is no source: give a database, a log or a"):
        apply_best(source)


@pytest.fixture
def failures(tmp_path: Path) -> Iterator[RecordStore]:
    with RecordStore(tmp_path / "tune.db") as store:
        results = [
            cost(1e-4),
            MeasureResult(state="crash", signal="SIGSEGV", error="a"),
            MeasureResult(state="crash", signal="SIGSEGV", error="b"),
            MeasureResult(state="invalid", error="c"),
        ]
        store.add_all(make(result, config={"i": i}) for i, result in enumerate(results))
        yield store


def test_failures_are_grouped_by_cause(failures: RecordStore) -> None:
    assert summarize_failures(failures) == [
        {"state": "crash", "signal": "SIGSEGV", "count": 2, "messages": ["a", "b"]},
        {"state": "invalid", "signal": None, "count": 1, "messages": ["c"]},
    ]
    assert summarize_failures(failures, "other") == []


def test_a_store_is_summarized(failures: RecordStore) -> None:
    assert summarize_states(failures) == {
        "trials": 4,
        "workloads": 1,
        "states": {"ok": 1, "crash": 2, "invalid": 1},
        "failed": {"crash": 2, "invalid": 1},
        "pruned": 0,
    }
    (best,) = summarize_best(failures)
    assert (best["op"], best["seconds"], best["config"]) == ("matmul", 1e-4, {"i": 0})


def test_looking_up_nothing_does_not_import_sqlalchemy() -> None:
    program = (
        "import sys; from tilewright.logs.apply import apply_best; apply_best([]).find('x');"
        "sys.exit('sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_threads_may_share_one() -> None:
    best, ready = apply_best([FAST]), threading.Barrier(4)
    found: list[object] = []

    def use() -> None:
        ready.wait()
        for _ in range(50):
            try:
                with best:
                    found.append(find_best(KEY))
            except Exception as error:
                found.append(error)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [FAST] * 200
    assert not best.is_in_force


def test_what_is_uninstalled_lets_go_of_its_files(database: Path) -> None:
    installed = apply_best(database).install()
    assert find_best(KEY) == FAST
    held = [name for name in map(os.path.realpath, _open_files()) if name.startswith(str(database))]
    installed.uninstall()
    left = [name for name in map(os.path.realpath, _open_files()) if name.startswith(str(database))]
    assert held
    assert left == []


def _open_files() -> list[str]:
    folder = "/proc/self/fd"
    if not os.path.isdir(folder):
        pytest.skip("this system does not list open files")
    return [f"{folder}/{name}" for name in os.listdir(folder)]
