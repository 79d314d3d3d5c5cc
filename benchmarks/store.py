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
from typing import TYPE_CHECKING, Any

from interleave import parser, table, write_json

if TYPE_CHECKING:
    from tilewright.logs.record import Record
    from tilewright.templates.task import Task

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
    in_process(write_search, one, RESUMED)
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


def write_log(path: Path, count: int) -> None:
    """A log of trials of many workloads, in bursts of 64 each."""
    from tilewright.logs.record import TargetData, TemplateData, WorkloadData

    target, template = TargetData("znver5", "f" * 16, 1), TemplateData("matmul", "a" * 16)
    with path.open("w") as file:
        for number in range(count):
            args = {"m": 64 + number // 64 % WORKLOADS, "n": 512, "k": 512, "dtype": "float32"}
            record = make_trial(
                number,
                workload=WorkloadData("matmul", args),
                template=template,
                target=target,
                config={"tile": [8, number % 64], "order": [0, 1, 2], "unroll": 4, "number": number},
                index=number,
                kinds={"tile": "split", "order": "reorder", "unroll": "other", "number": "other"},
            )
            file.write(record.to_json() + "\n")


def write_search(path: Path, count: int) -> None:
    """A log of trials of one workload, each of another configuration of its space."""
    import numpy as np

    from tilewright.logs.record import TemplateData, WorkloadData, target_data

    task = resumed_task()
    with path.open("w") as file:
        for number, index in enumerate(task.space.sample(count, np.random.default_rng(0))):
            record = make_trial(
                number,
                workload=WorkloadData(task.workload.op, dict(task.workload.args)),
                template=TemplateData(task.template.name, task.template_hash),
                target=target_data(task.target, task.threads),
                config=task.space.config(index).to_json(),
                index=index,
                kinds={knob.name: knob.kind for knob in task.space.knobs},
            )
            file.write(record.to_json() + "\n")


def resumed_task() -> Task:
    """A task whose space has more configurations than trials are resumed."""
    from tilewright.deploy import make_task

    return make_task("matmul", None, 1, {"m": 1024, "n": 1024, "k": 1024})


def make_trial(number: int, **subject: Any) -> Record:
    """The outcome of a trial as tuning leaves it: nine of ten are valid."""
    from tilewright.logs.record import Record

    seconds = 1e-4 * (1 + (number * 7919 % 1000) / 1000)
    valid = number % 10 != 9
    return Record(
        **subject,
        state="ok" if valid else "crash",
        signal=None if valid else "SIGSEGV",
        costs=(seconds,) * 20 if valid else (),
        seconds=seconds if valid else None,
        interval=(seconds, seconds) if valid else None,
        reference_ratio=seconds * 1e5 if valid else None,
        error=None if valid else "the worker was ended by SIGSEGV",
        versions={"python": "3.11.7", "tilewright": "0.1.0", "llvmlite": "0.50.0", "numpy": "2.4.0"},
        at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
    )


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
    """The seconds from opening a database until a tuner knows the trials of its one workload.

    What is guessed of configurations without trials takes as long as in a new search, and is left out.
    """
    from tilewright.logs.store import RecordStore
    from tilewright.tuners import make_tuner
    from tilewright.tuning.conductor import open_history

    task = resumed_task()
    task.default_config  # noqa: B018 - runs the template, as every search does
    start = time.perf_counter()
    with RecordStore(database) as store:
        history = open_history(task, store)
        known = history.observations(history.records)
        tuner = make_tuner("xgb", task.space, 0, start=[task.default_config], history=known)
    seconds = time.perf_counter() - start
    assert len(history.records) == len(known) == len(tuner.seen) == RESUMED
    return seconds


def timed(function: Callable[[], Any]) -> float:
    """The seconds of a call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
