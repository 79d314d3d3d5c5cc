"""Row 29: whatever a file or a database holds, loaders give records or our own errors."""

import contextlib
import json
import random
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.faults.mutations import HOSTILE, mutate_bytes, mutate_json
from tests.logs import autotvm_lines
from tests.logs.documents import POINTS, cache_entry, cache_text, t4_document, t4_result
from tests.logs.records import cost, make
from tilewright.compiler.errors import TilewrightError
from tilewright.logs.formats.autotvm import format_line, from_record, parse_line, to_record
from tilewright.logs.formats.kernel_tuner import read_cache
from tilewright.logs.formats.registry import detect_format
from tilewright.logs.formats.spaces import read_recorded_space
from tilewright.logs.formats.t4 import read_t4
from tilewright.logs.integrity import check
from tilewright.logs.record import Record
from tilewright.logs.rows import trial_row
from tilewright.logs.store import RecordStore
from tilewright.measure.result import failed

SHORT, LONG = 4_000, 100_000
LEAST_SHARE_OF_JSON = 0.5
Load = Callable[[bytes, Path], None]

RECORDS = (
    make(),
    make(cost(2e-4, 40.0), config={"i": 3}, kinds={"i": "other"}),
    make(failed("crash", "ended by SIGSEGV", "SIGSEGV")),
)


def load_line(data: bytes, folder: Path) -> None:
    record = Record.from_json(data)
    assert Record.from_json(record.to_json()) == record
    assert len(trial_row(record)) == 13


def load_autotvm(data: bytes, folder: Path) -> None:
    record = to_record(parse_line(data))
    assert Record.from_json(record.to_json()) == record
    assert to_record(parse_line(format_line(from_record(record)))) == record


def load_t4(data: bytes, folder: Path) -> None:
    path = folder / "fuzzed.t4.json"
    path.write_bytes(data)
    for line in read_t4(path):
        assert line.record is None or Record.from_json(line.record.to_json()) == line.record


def load_cache(data: bytes, folder: Path) -> None:
    path = folder / "fuzzed.json"
    path.write_bytes(data)
    for line in read_cache(path):
        assert line.record is None or Record.from_json(line.record.to_json()) == line.record


def load_space(data: bytes, folder: Path) -> None:
    path = folder / "space.json"
    path.write_bytes(data)
    detect_format(path)
    recorded = read_recorded_space(path)
    assert recorded.optimum > 0


SPACE = {
    "space": {"a": {"kind": "other", "values": [1, 2]}},
    "trials": [{"config": {"a": 1}, "state": "ok", "cost": 1e-4}],
}
T4 = t4_document([t4_result(point, [1.0, 2.0]) for point in POINTS[:3]], timeunit="milliseconds")
CACHE = json.loads(cache_text([cache_entry(point, 2.0) for point in POINTS[:3]], closed=True))
LOADERS: dict[str, tuple[Load, tuple[Any, ...]]] = {
    "jsonl": (load_line, tuple(json.loads(record.to_json()) for record in RECORDS)),
    "autotvm": (load_autotvm, tuple(map(json.loads, autotvm_lines.GOOD))),
    "t4": (load_t4, (T4,)),
    "kernel-tuner": (load_cache, (CACHE,)),
    "space": (load_space, (SPACE, T4, CACHE)),
}


def forge(line: Any) -> Any:
    """Give a line the checksum that its contents have, so that it is judged by them."""
    if not isinstance(line, dict):
        return line
    fields = {name: value for name, value in line.items() if name not in ("id", "crc")}
    crc = zlib.crc32(msgspec.json.encode(fields, order="sorted"))
    return {**line, "crc": f"{crc:08x}"}


def make_input(name: str, seeds: tuple[Any, ...], chance: random.Random) -> tuple[bytes, bool]:
    """One input, and whether it is JSON still."""
    seed = chance.choice(seeds)
    if chance.random() < 0.4:
        data = mutate_bytes(json.dumps(seed).encode(), chance)
        try:
            json.loads(data)
        except (ValueError, RecursionError):
            return data, False
        return data, True
    mutated = mutate_json(seed, chance)
    if name == "jsonl" and chance.random() < 0.7:
        with contextlib.suppress(OverflowError, TypeError, ValueError):  # a number that it does not know
            mutated = forge(mutated)
    return json.dumps(mutated).encode(), True


def fuzz(name: str, count: int, folder: Path) -> None:
    """Feed a loader; only our own errors are allowed."""
    load, seeds = LOADERS[name]
    chance = random.Random(f"{name} {count}")
    accepted = json_inputs = 0
    for _ in range(count):
        data, is_json = make_input(name, seeds, chance)
        json_inputs += is_json
        try:
            load(data, folder)
            accepted += 1
        except TilewrightError:
            continue
        except Exception as error:
            pytest.fail(f"{name}: {type(error).__name__}: {error}; input {data[:2000]!r}")
    assert json_inputs >= LEAST_SHARE_OF_JSON * count
    assert 0 < accepted < count, "the inputs are too tame or too wild to tell anything"


@pytest.mark.parametrize("name", LOADERS)
def test_row_29_fuzzed_inputs_raise_no_other_error(name: str, tmp_path: Path) -> None:
    fuzz(name, SHORT // (len(LOADERS) + 1), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", LOADERS)
def test_row_29_of_100000_fuzzed_inputs_none_raises_another_error(name: str, tmp_path: Path) -> None:
    fuzz(name, LONG // (len(LOADERS) + 1), tmp_path)


COLUMNS = (
    "key",
    "config_hash",
    "attempt",
    "op",
    "config",
    "state",
    "seconds",
    "reference_ratio",
    "at",
    "line",
    "checksum",
)


def spoil_rows(path: Path, chance: random.Random, count: int) -> int:
    """Change a column in some rows of a database by raw SQL; how many."""
    connection = sqlite3.connect(path)
    spoiled = 0
    for number in range(1, count + 1):
        column = chance.choice((*COLUMNS, "line", "line"))
        value: Any = chance.choice((*HOSTILE[:40], b"\xff\xfe", b"{}", 2**62, 1e-12))
        if column == "line" and chance.random() < 0.7:
            (line,) = connection.execute("SELECT line FROM trials WHERE id = ?", (number,)).fetchone()
            data = json.dumps(forge(mutate_json(json.loads(line), chance)))
            value = mutate_bytes(line.encode(), chance) if chance.random() < 0.4 else data
        if isinstance(value, (list, dict)) or (isinstance(value, int) and abs(value) >= 2**63):
            value = str(value)
        try:
            connection.execute(f"UPDATE trials SET {column} = ? WHERE id = ?", (value, number))
            spoiled += 1
        except sqlite3.Error:
            continue  # the database itself refuses it
    connection.commit()
    connection.close()
    return spoiled


def read_everything(path: Path) -> None:
    key = make().key
    with RecordStore(path, read_only=True) as store:
        best = store.best(key)
        assert best is None or (best.key, best.state) == (key, "ok")
        for record in [*store.trials(key), *store.iter_trials(), *store.iter_best(), *store.iter_failures()]:
            assert record.seconds is None or record.seconds > 1e-9
        assert [brief.id for brief in store.briefs(key)] == [record.id for record in store.trials(key)]
        store.states()
        store.find("00")
        store.attempts(key, {"i": 1})
    assert check(path)["problems"]


def fuzz_rows(folder: Path, count: int) -> None:
    chance = random.Random(count)
    spoiled = place = 0
    while spoiled < count:
        path = folder / f"{place}.db"
        place += 1
        with RecordStore(path) as store:
            store.add_all(make(cost(1e-4 * (i + 1)), config={"i": i}) for i in range(200))
        spoiled += spoil_rows(path, chance, 200)
        try:
            read_everything(path)
        except TilewrightError as error:
            pytest.fail(f"one bad row hides the others: {error}")
        path.unlink()


def test_row_29_spoiled_rows_raise_no_other_error(tmp_path: Path) -> None:
    fuzz_rows(tmp_path, SHORT // (len(LOADERS) + 1))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_row_29_of_many_spoiled_rows_none_raises_another_error(tmp_path: Path) -> None:
    fuzz_rows(tmp_path, LONG // (len(LOADERS) + 1))
