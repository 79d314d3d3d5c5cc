"""Row 25: tuners share a database; none is told that it is locked, none repeats a trial of another."""

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.writers import Writer, stored
from tilewright.logs.store import RecordStore

PROCESSES = 8


def share(path: Path, trials: int, *, leased: bool = False) -> None:
    """Eight processes that start at once want to store the same trials."""
    writers = [Writer(path, trials, leased=leased) for _ in range(PROCESSES)]
    told = Counter(trial for writer in writers for trial in writer.finish())
    assert told == Counter(("", number) for number in range(trials)), "a trial was new to none or to several"
    assert Counter(stored(path)) == told
    with RecordStore(path) as store:
        assert store.problems() == []


@pytest.mark.parametrize("leased", [False, True], ids=["unaware", "leased"])
def test_row_25_eight_tuners_start_at_once_on_no_database(tmp_path: Path, leased: bool) -> None:
    share(tmp_path / "tune.db", 40, leased=leased)


def test_row_25_eight_tuners_start_at_once_on_a_database_and_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "tune.db"
    RecordStore(path).close()
    victim = Writer(path, 1000)
    victim.acknowledged(5)
    acknowledged = victim.kill()
    trials = len(acknowledged) + 20
    writers = [Writer(path, trials) for _ in range(PROCESSES)]
    told = [*acknowledged, *(trial for writer in writers for trial in writer.finish())]
    found = stored(path)
    assert sorted(found) == [("", number) for number in range(trials)]
    assert len(told) == len(set(told))
    with RecordStore(path) as store:
        assert store.problems() == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("leased", [False, True], ids=["unaware", "leased"])
def test_row_25_of_8_processes_with_500_trials_none_fails_or_doubles_one(
    tmp_path: Path, leased: bool
) -> None:
    share(tmp_path / "tune.db", 500, leased=leased)
