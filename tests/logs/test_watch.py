"""`apply_best(..., watch=True)`: later builds see what others have stored; earlier kernels stay."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.faults.improving import FIRST_SECONDS, LOSER_SECONDS, ROUNDS, record_of
from tests.scaling import scaling
from tilewright.compiler.kernel import Kernel
from tilewright.deploy import build
from tilewright.logs import watch
from tilewright.logs.apply import apply_best
from tilewright.logs.formats.jsonl import append_jsonl, export_jsonl
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.logs.watch import Change, Watch

SLOW, FAST, FASTEST = record_of(1, 3e-4), record_of(2, 2e-4), record_of(4, 1e-4)
LAST_SECONDS = FIRST_SECONDS * 0.95 ** (ROUNDS - 1)


def build_scaling() -> Kernel:
    return build(scaling, n=64, threads=1)


def seconds_of(kernel: Kernel) -> float:
    assert isinstance(kernel.record, Record)
    assert kernel.record.seconds is not None
    return kernel.record.seconds


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with RecordStore(tmp_path / "tune.db") as store:
        store.add(SLOW)
    return tmp_path / "tune.db"


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "INTERVAL_SECONDS", 0.0)


@pytest.mark.usefixtures("_at_once")
def test_a_later_build_sees_what_was_stored_and_an_earlier_kernel_stays(database: Path) -> None:
    with apply_best(database, watch=True), apply_best([], watch=True):
        first = build_scaling()
        with RecordStore(database) as store:
            store.add(FAST)
        second = build_scaling()
        assert (first.record, second.record) == (SLOW, FAST)


@pytest.mark.usefixtures("_at_once")
def test_without_watching_nothing_changes(database: Path) -> None:
    with apply_best(database):
        build_scaling()
        with RecordStore(database) as store:
            store.add(FAST)
        assert build_scaling().record == SLOW


@pytest.mark.usefixtures("_at_once")
def test_a_workload_that_had_no_record_gets_one(tmp_path: Path) -> None:
    with RecordStore(tmp_path / "tune.db"):
        pass
    with apply_best(tmp_path / "tune.db", watch=True):
        assert build_scaling().record is None
        with RecordStore(tmp_path / "tune.db") as store:
            store.add(FAST)
        assert build_scaling().record == FAST


@pytest.mark.usefixtures("_at_once")
def test_a_database_that_takes_the_place_of_another_is_read(database: Path, tmp_path: Path) -> None:
    with RecordStore(tmp_path / "other.db") as store:
        store.add(FASTEST)
    with apply_best(database, watch=True):
        assert build_scaling().record == SLOW
        os.replace(tmp_path / "other.db", database)
        assert build_scaling().record == FASTEST


@pytest.mark.usefixtures("_at_once")
def test_a_log_is_read_again_when_it_has_grown(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    export_jsonl([SLOW], path)
    with apply_best(path, watch=True):
        assert build_scaling().record == SLOW
        append_jsonl([FAST], path)
        assert build_scaling().record == FAST


@pytest.mark.usefixtures("_at_once")
def test_a_database_that_is_gone_leaves_what_is_known(database: Path) -> None:
    with apply_best(database, watch=True):
        assert build_scaling().record == SLOW
        for name in database.parent.iterdir():
            name.unlink()
        assert build_scaling().record == SLOW


def test_sources_are_looked_at_once_a_second(database: Path) -> None:
    now = [0.0]
    watched = Watch([database, [SLOW]], clock=lambda: now[0])
    assert watched.look() is Change.NONE
    with RecordStore(database) as store:
        store.add(FAST)
    now[0] = 0.9
    assert watched.look() is Change.NONE
    now[0] = 1.1
    assert watched.look() is Change.CONTENTS
    now[0] = 2.2
    assert watched.look() is Change.NONE
    watched.close()


@pytest.mark.usefixtures("_at_once")
def test_builds_beside_a_writer_see_whole_updates_in_their_order(database: Path, root: Path) -> None:
    """A process improves the record again and again, while two threads build."""
    seen: list[list[float]] = [[], []]
    kernels: list[Kernel] = []

    def build_until_the_last(found: list[float]) -> None:
        limit = time.monotonic() + 60
        while (not found or found[-1] > LAST_SECONDS * 1.001) and time.monotonic() < limit:
            kernels.append(build_scaling())
            found.append(seconds_of(kernels[-1]))

    command = [sys.executable, "-m", "tests.faults.improving", str(database)]
    source = apply_best(database, watch=True).install()
    try:
        with subprocess.Popen(command, cwd=root) as writer:
            threads = [threading.Thread(target=build_until_the_last, args=(found,)) for found in seen]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert writer.wait(60) == 0
    finally:
        source.uninstall()
    for found in seen:
        assert found[-1] == pytest.approx(LAST_SECONDS)
        assert LOSER_SECONDS not in found  # as half of a play-off would show
    for kernel in kernels:
        assert isinstance(kernel.record, Record)
        assert kernel.config.to_json() == kernel.record.config
