"""Row 19: `kill -9` of writers at random; nothing acknowledged is lost, nothing is stored twice."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.stopping import TRIALS
from tests.faults.writers import Stored, Writer, stored
from tests.logs.records import make
from tilewright.logs.store import RecordStore

MANY = 100_000
RESUME_RECORDS = 100_000


def kill_writers(path: Path, kills: int, records: int) -> None:
    """Two writers at a time are killed after a random number of acknowledgements, until there are enough."""
    chance = random.Random(19)
    acknowledged: list[Stored] = []
    for _ in range(kills // 2):
        writers = [Writer(path, MANY, owner="a"), Writer(path, MANY, owner="b")]
        for writer in writers:
            acknowledged += writer.acknowledged(chance.randrange(1, 2 * records // kills))
        for writer in writers:
            acknowledged += writer.kill()
    found = stored(path)
    lost = set(acknowledged) - set(found)
    assert len(lost) == 0
    assert len(acknowledged) == len(set(acknowledged)), "a trial was acknowledged as new twice"
    assert len(found) == len(set(found)) >= records
    with RecordStore(path) as store:
        assert store.problems() == []


def test_row_19_kills_lose_no_acknowledged_record(tmp_path: Path) -> None:
    kill_writers(tmp_path / "tune.db", kills=12, records=300)


def test_row_19_the_next_start_says_what_is_reused_and_what_is_repeated(tmp_path: Path, root: Path) -> None:
    for name in ("tests", "tilewright"):
        (tmp_path / name).symlink_to(root / name)
    command = [sys.executable, "-m", "tests.faults.stopping", "timing", "SIGKILL"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == -9
    with RecordStore(tmp_path / "tune.db") as store:
        reused = store.count()
        (key,) = store.workload_keys()
        (owner,) = store.lease_owners(key)
        in_flight = store.unfinished(key, owner)
    assert 1 <= reused < TRIALS
    assert in_flight >= 1
    done = subprocess.run([*command[:3], "never"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"resumed; {reused} reused; {in_flight} in flight repeated\n" in done.stderr
    with RecordStore(tmp_path / "tune.db") as store:
        assert store.count() == TRIALS
        assert store.lease_owners(key) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_row_19_of_200_kills_over_10000_records_none_loses_or_doubles_one(tmp_path: Path) -> None:
    kill_writers(tmp_path / "tune.db", kills=200, records=10_000)


@pytest.mark.slow
def test_row_19_100000_records_are_all_resumed(tmp_path: Path) -> None:
    """How long that takes is in benchmarks/store.py."""
    path = tmp_path / "tune.db"
    with RecordStore(path) as store:
        store.add_all(make(config={"i": i}) for i in range(RESUME_RECORDS))
    with RecordStore(path) as store:
        assert {trial.config["i"] for trial in store.briefs(make().key)} == set(range(RESUME_RECORDS))
