"""The analytical estimate against measured costs: how well it ranks the trials of databases.

Each database is one that ``tilewright tune`` wrote, best with ``--tuner random``. Where several have trials
of the same configuration, as after runs with the same seed, the lowest cost counts. ``default`` is the cost
of the template's analytical default. Costs are relative to the best of the trials.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
from interleave import parser, table, write_json

from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.target import Target
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.templates.config import Config
from tilewright.templates.config_cost import config_cost
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
    rows = [_rank(name, records) for name, records in read_workloads(given.databases).items()]
    print(table(list(asdict(rows[0])), [list(asdict(row).values()) for row in rows]))
    print(f"median Spearman {median(row.spearman for row in rows):.2f}")
    write_json(given.json, {"rows": [asdict(row) for row in rows]})


def read_workloads(paths: Sequence[Path]) -> dict[str, list[Record]]:
    """The timed trials of each workload, by the name of the database that had it first."""
    names: dict[str, str] = {}
    found: dict[str, list[Record]] = {}
    for path in paths:
        with RecordStore(path, read_only=True) as store:
            for record in store.iter_trials():
                if record.seconds is not None:
                    known = len(set(names.values()))
                    stem = path.stem if path.stem not in names.values() else f"{path.stem}-{known}"
                    found.setdefault(names.setdefault(record.key, stem), []).append(record)
    return found


def _rank(name: str, records: Sequence[Record]) -> Row:
    first = records[0]
    task = Task.create(first.workload.op, Target.host(), first.target.threads, **first.workload.args)
    costs: dict[Config, float] = {}
    for record in records:
        config = task.space.from_values(record.config)
        costs[config] = min(record.seconds or math.inf, costs.get(config, math.inf))
    estimates, times = zip(*(_estimate(task, config) for config in costs), strict=True)
    best = min(costs.values())
    relative = np.array(list(costs.values()))[np.argsort(estimates, kind="stable")] / best
    default = costs.get(task.default_config)
    return Row(
        workload=name,
        trials=len(costs),
        spearman=spearman(np.array(estimates), np.array(list(costs.values()))),
        rank_of_best=1 + int(np.argmin(relative)),
        top_1=float(relative[0]),
        top_5=float(relative[:5].min()),
        default=None if default is None else default / best,
        milliseconds=1e3 * median(times),
        slowest_milliseconds=1e3 * float(np.quantile(times, 0.95)),
    )


def _estimate(task: Task, config: Config) -> tuple[float, float]:
    """The estimate of a configuration, and the seconds that it took."""
    start = time.perf_counter()
    try:
        cost = config_cost(task, config).log_cycles
    except TilewrightError:
        cost = math.inf
    return cost, time.perf_counter() - start


def spearman(left: Vector, right: Vector) -> float:
    """The correlation of ranks; equal values share a rank."""
    a, b = (ranks - ranks.mean() for ranks in (_ranks(left), _ranks(right)))
    return float(a @ b / max(float(np.sqrt((a @ a) * (b @ b))), 1e-9))


def _ranks(values: Vector) -> Vector:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)


if __name__ == "__main__":
    main()
