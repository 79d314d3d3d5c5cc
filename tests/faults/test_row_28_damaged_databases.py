"""Row 28: damaged databases; the message names them and the remedy, and the remedy saves the rest."""

import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Tilewright
from tests.logs.records import cost, make
from tilewright.logs.errors import DatabaseError
from tilewright.logs.integrity import check
from tilewright.logs.recovery import recover
from tilewright.logs.store import RecordStore

PAGE = 4096
LEAST_SHARE = 0.99
RECORDS = 2000


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of some 500 pages, one row in 30 so long that it overflows its page."""
    path = tmp_path_factory.mktemp("sound") / "tune.db"
    with RecordStore(path) as store:
        for start in range(0, RECORDS, 100):
            store.add_all(
                make(cost(1e-4), config={"i": i, "text": "x" * (9000 if i % 30 == 0 else 10)})
                for i in range(start, start + 100)
            )
    return path


@pytest.fixture(scope="module")
def pages_of_rows(sound: Path) -> dict[int, set[int]]:
    """The pages of the table of trials by the rows that they hold a part of, as SQLite itself tells."""
    data = sound.read_bytes()
    places: dict[int, set[int]] = {}
    with sqlite3.connect(sound) as raw:
        for number, line in raw.execute("SELECT id, line FROM trials"):
            # The line lies at the end of its row: in one page, or at the ends of several.
            pieces = [line.encode()[-60:], line.encode()[:60]]
            places[number] = {data.find(piece) // PAGE for piece in pieces}
    raw.close()
    return places


@pytest.mark.parametrize("seed", range(4))
def test_row_28_of_rows_outside_overwritten_pages_99_percent_are_recovered(
    sound: Path, pages_of_rows: dict[int, set[int]], tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "tune.db"
    data = bytearray(sound.read_bytes())
    chance = random.Random(seed)
    hit = set(chance.sample(range(1, len(data) // PAGE), 20)) | ({0} if seed % 2 else set())
    for page in hit:
        data[page * PAGE : (page + 1) * PAGE] = chance.randbytes(PAGE)
    path.write_bytes(data)
    outside = sum(not pages & hit for pages in pages_of_rows.values())
    assert outside > RECORDS // 2
    report = recover(path, tmp_path / "new.db")
    assert report["trials"] >= LEAST_SHARE * outside
    assert path.read_bytes() == data
    assert check(tmp_path / "new.db") == {"trials": report["trials"], "problems": []}


def test_row_28_a_sound_database_is_recovered_whole(sound: Path, tmp_path: Path) -> None:
    assert recover(sound, tmp_path / "new.db") == {"trials": RECORDS, "playoffs": 0, "damaged": 0}
    with RecordStore(sound) as old, RecordStore(tmp_path / "new.db") as new:
        assert all(a == b for a, b in zip(old.iter_trials(), new.iter_trials(), strict=True))


def test_row_28_what_lies_in_the_log_alone_is_recovered(tmp_path: Path) -> None:
    path, copy = tmp_path / "tune.db", tmp_path / "copy.db"
    with RecordStore(path) as store:
        store.add_all(make(config={"i": i}) for i in range(50))
        for ending in ("", "-wal"):
            shutil.copy(f"{path}{ending}", f"{copy}{ending}")  # as after a crash: nothing was written back
    assert recover(copy, tmp_path / "new.db")["trials"] == 50


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"SQLite format 3\x00" + os.urandom(8192), "not a SQLite database|damaged"),
        (b"SQLite format 3\x00", "not a SQLite database|damaged|another program|empty"),
        (b"hello, this is text", "not a SQLite database"),
    ],
)
def test_row_28_what_is_no_database_is_one_line(
    tilewright: Tilewright, tmp_path: Path, contents: bytes, message: str
) -> None:
    path = tmp_path / "tune.db"
    path.write_bytes(contents)
    with pytest.raises(DatabaseError, match=message):
        RecordStore(path)
    for words in (("best",), ("log", "stats"), ("log", "check"), ("log", "export")):
        answer = tilewright(*words)
        assert answer.status == 1
        assert "Traceback" not in answer.err
        assert len(answer.err.splitlines()) <= 1


def test_row_28_4_kb_overwritten_anywhere_is_no_traceback(
    tilewright: Tilewright, sound: Path, tmp_path: Path
) -> None:
    chance = random.Random(28)
    whole = sound.read_bytes()
    for _ in range(12):
        place = chance.randrange(len(whole) - PAGE)
        (tmp_path / "tune.db").write_bytes(whole[:place] + chance.randbytes(PAGE) + whole[place + PAGE :])
        answer = tilewright("log", "check", "--quiet")
        assert answer.status == 1
        for words in (("best",), ("log", "stats")):
            answer = tilewright(*words, "--quiet")
            assert answer.status in (0, 1)
            assert "unexpected" not in answer.err
            assert (
                answer.status == 0 or "tilewright log recover" in answer.err or "not a SQLite" in answer.err
            )


def test_row_28_a_file_of_no_length_is_a_new_database(tmp_path: Path) -> None:
    path = tmp_path / "tune.db"
    path.touch()
    with pytest.raises(DatabaseError, match="is empty"):
        recover(path, tmp_path / "new.db")
    with pytest.raises(DatabaseError, match="is empty"):
        RecordStore(path, read_only=True)
    with RecordStore(path) as store:
        assert store.add(make())
