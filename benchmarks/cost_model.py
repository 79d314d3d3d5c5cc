"""The analytical estimate against measured costs: how well it ranks the trials of databases.

Each database is one that ``tilewright tune`` wrote, best with ``--tuner random``. ``default`` is the first trial of
the template's analytical default. Costs are relative to the best of the trials.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
from interleave import parser, table, write_json

from tilewright.compiler.analysis.cost import estimate_cost
from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.target import Target
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.templates.config import Config
from tilewright.templates.task import Task

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """How well a workload's trials are ranked.

    Attributes:
        trials: those that ran.
        spearman: the correlation of the ranks of estimate and cost.
        rank_of_best: how many configurations the estimate puts before the fastest one, and one more.
        top_1, top_5: the lowest cost among those that the estimate puts first.
        default: the cost of the default.
        milliseconds: to lower and estimate one configuration, the median.
        slowest_milliseconds: the 95th percentile.
    """

    workload: str
    trials: int
    spearman: float
    rank_of_best: int
    top_1: float
    top_5: float
    default: float | None
    milliseconds: float
    slowest_milliseconds: float


def main() -> None:
    """Estimate every trial of every workload."""
    options = parser(__doc__)
    options.add_argument("databases", nargs="+", type=Path, help="written by tilewright tune")
    given = options.parse_args()
    rows = [row for path in given.databases for row in rank_database(path)]
    print(table(list(asdict(rows[0])), [list(asdict(row).values()) for row in rows]))
    print(f"median Spearman {median(row.spearman for row in rows):.2f}")
    write_json(given.json, {"rows": [asdict(row) for row in rows]})


def rank_database(path: Path) -> Iterator[Row]:
    """A row for each workload of a database."""
    with RecordStore(path, read_only=True) as store:
        records: dict[str, list[Record]] = {}
        for record in store.iter_trials():
            records.setdefault(record.key, []).append(record)
    for trials in records.values():
        yield _rank(path.stem, trials)


def _rank(name: str, records: list[Record]) -> Row:
    first = records[0]
    task = Task.create(first.workload.op, Target.host(), first.target.threads, **first.workload.args)
    costs, estimates, times = [], [], []
    default = None
    for record in records:
        if record.seconds is None:
            continue
        config = task.space.from_values(record.config)
        start = time.perf_counter()
        estimate = _estimate(task, config)
        times.append(time.perf_counter() - start)
        costs.append(record.seconds)
        estimates.append(estimate)
        default = record.seconds if config == task.default_config and default is None else default
    best = min(costs)
    order = np.argsort(estimates, kind="stable")
    relative = np.array(costs)[order] / best
    return Row(
        name,
        len(costs),
        spearman(np.array(estimates), np.array(costs)),
        1 + int(np.argmin(relative)),
        float(relative[0]),
        float(relative[:5].min()),
        None if default is None else default / best,
        1e3 * median(times),
        1e3 * float(np.quantile(times, 0.95)),
    )


def _estimate(task: Task, config: Config) -> float:
    try:
        nest = task.lower_for_analysis(config)
    except TilewrightError:
        return float("inf")
    return estimate_cost(nest, task.target, task.threads, task.constants).log_cycles


def spearman(left: Vector, right: Vector) -> float:
    """The correlation of ranks; equal values share a rank."""
    ranks = [_ranks(values) for values in (left, right)]
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: Vector) -> Vector:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)


if __name__ == "__main__":
    main()
