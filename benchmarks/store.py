"""A store of many records: how fast it imports, opens and answers, and what memory that takes.

Each phase is a process of its own, so that its memory and its imports are its own.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from interleave import parser, table, write_json

WORKLOADS = 1000
LOOKUPS = 200
RESUMED = 100_000
OPENINGS = 20
GOALS = {
    "import, records a second": "at least 20,000",
    "memory of a whole import over a tenth, MiB": "flat",
    "open, s": "under 0.1",
    "best, median ms": "under 2",
    "best, slowest ms": "",
    "all best, s": "",
    "states, s": "",
    "resume 100,000 records of a workload, s": "under 2",
    "bytes a record": "",
}


def main() -> None:
    """Write a log, import it, open the database and ask it."""
    options = parser(__doc__)
    options.add_argument("--records", type=int, default=1_000_000)
    options.add_argument("--folder", type=Path, help="where the files go; by default a temporary folder")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = measure(Path(folder), given)
    print(f"{given.records:,} records of {WORKLOADS} workloads")
    print(table(["", "found", "goal"], [[name, found[name], goal] for name, goal in GOALS.items()]))
    write_json(given.json, {"records": given.records, **found})


def measure(folder: Path, given: argparse.Namespace) -> dict[str, float]:
    """All figures, by the names of the goals."""
    log, part = folder / "log.jsonl", folder / "part.jsonl"
    in_process(write_log, log, given.records)
    in_process(write_log, part, given.records // 10)
    one = folder / "one.jsonl"
    in_process(write_log, one, RESUMED, 1)
    in_process(import_log, one, folder / "one.db")
    small = in_process(import_log, part, folder / "part.db")
    whole = in_process(import_log, log, folder / "tune.db")
    return {
        "import, records a second": given.records / whole["seconds"],
        "memory of a whole import over a tenth, MiB": whole["mebibytes"] - small["mebibytes"],
        "bytes a record": (folder / "tune.db").stat().st_size / given.records,
        **in_process(ask, folder / "tune.db"),
        "resume 100,000 records of a workload, s": in_process(resume, folder / "one.db"),
    }


def in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def write_log(path: Path, count: int, workloads: int = WORKLOADS) -> None:
    """A log of trials as tuning leaves them: nine of ten valid, in bursts of 64 a workload."""
    from tilewright.logs.record import Record, TargetData, TemplateData, WorkloadData

    target, template = TargetData("znver5", "f" * 16, 1), TemplateData("matmul", "a" * 16)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with path.open("w") as file:
        for number in range(count):
            workload = number // 64 % workloads
            seconds = 1e-4 * (1 + (number * 7919 % 1000) / 1000)
            valid = number % 10 != 9
            record = Record(
                workload=WorkloadData("matmul", {"m": 64 + workload, "n": 512, "k": 512, "dtype": "float32"}),
                template=template,
                target=target,
                config={"tile": [8, number % 64], "order": [0, 1, 2], "unroll": 4, "number": number},
                index=number,
                state="ok" if valid else "crash",
                signal=None if valid else "SIGSEGV",
                costs=(seconds,) * 20 if valid else (),
                seconds=seconds if valid else None,
                interval=(seconds, seconds) if valid else None,
                reference_ratio=seconds * 1e5 if valid else None,
                error=None if valid else "the worker was ended by SIGSEGV",
                versions={"python": "3.11.7", "tilewright": "0.1.0", "llvmlite": "0.50.0", "numpy": "2.4.0"},
                at=start + timedelta(seconds=number),
                kinds={"tile": "split", "order": "reorder", "unroll": "other", "number": "other"},
            )
            file.write(record.to_json() + "\n")


def import_log(log: Path, database: Path) -> dict[str, float]:
    """The seconds and the memory of an import."""
    from tilewright.logs.formats.jsonl import import_jsonl
    from tilewright.logs.store import RecordStore

    start = time.perf_counter()
    with RecordStore(database) as store:
        import_jsonl(store, log)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def ask(database: Path) -> dict[str, float]:
    """How long questions take; the first opening, which imports modules, is left out."""
    from tilewright.logs.report import summarize_states
    from tilewright.logs.store import RecordStore

    RecordStore(database).close()
    openings = [timed(lambda: RecordStore(database).close()) for _ in range(OPENINGS)]
    with RecordStore(database) as store:
        keys = store.workload_keys()
        step = max(1, len(keys) // LOOKUPS)
        lookups = [1e3 * timed(functools.partial(store.best, key)) for key in keys[::step]]
        return {
            "open, s": min(openings),
            "best, median ms": statistics.median(lookups),
            "best, slowest ms": max(lookups),
            "all best, s": timed(lambda: list(store.iter_best())),
            "states, s": timed(lambda: summarize_states(store)),
        }


def resume(database: Path) -> float:
    """The seconds from opening a database until all trials of its one workload are known."""
    from tilewright.logs.store import RecordStore

    with RecordStore(database) as store:
        (key,) = store.workload_keys()
    start = time.perf_counter()
    with RecordStore(database) as store:
        known = {trial.id for trial in store.briefs(key)}
    seconds = time.perf_counter() - start
    assert len(known) == RESUMED
    return seconds


def timed(function: Callable[[], Any]) -> float:
    """The seconds of a call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
