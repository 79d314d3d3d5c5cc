"""What a few trials teach trees that see knobs, and trees that see the loop nest too.

Of each workload in databases, best written with ``--tuner random``, some trials are learned and the others
ranked. The figures are correlations of the ranks of prediction and cost, the median over draws of the
trials that are learned. ``knobs`` are the features of wide scoring, ``estimate`` adds the analytical estimate
and ``nest`` the features of the loop nest, as a search's shortlist does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
from cost_model import read_workloads, spearman
from interleave import parser, table, write_json

from tilewright.compiler.target import Target
from tilewright.logs.record import Record
from tilewright.templates.config_cost import config_cost
from tilewright.templates.task import Task
from tilewright.tuners import knob_features
from tilewright.tuners.nest_features import nest_features
from tilewright.tuners.points import Points
from tilewright.tuners.scores import cost_scores
from tilewright.tuners.shortlist import make_trees

LEARNED = (16, 32, 64)
_DRAWS = 5

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Row:
    """How well the trials of a workload that were not learned are ranked.

    Attributes:
        ranked: how many these are.
        learned: how many were learned.
        knobs, estimate, nest: the correlation of ranks with these features.
    """

    workload: str
    ranked: int
    learned: int
    knobs: float
    estimate: float
    nest: float


def main() -> None:
    """Learn from some trials of every workload."""
    options = parser(__doc__)
    options.add_argument("databases", nargs="+", type=Path, help="written by tilewright tune")
    given = options.parse_args()
    workloads = read_workloads(given.databases).items()
    rows = [row for name, records in workloads for row in compare(name, records)]
    print(table(list(asdict(rows[0])), [list(asdict(row).values()) for row in rows]))
    write_json(given.json, {"rows": [asdict(row) for row in rows]})


def compare(name: str, records: Sequence[Record]) -> list[Row]:
    """Return a row for each number of learned trials that leaves as many to rank."""
    first = records[0]
    task = Task.create(first.workload.op, Target.host(), first.target.threads, **first.workload.args)
    configs = [task.space.from_values(record.config) for record in records]
    costs = [config_cost(task, config) for config in configs]
    knobs = knob_features(task.space)(
        np.array([config.index for config in configs], dtype=task.space.index_dtype)
    )
    estimates = np.array([[cost.log_cycles] for cost in costs], dtype=np.float32)
    nests = np.array([nest_features(cost) for cost in costs])
    scores = cost_scores(np.array([record.seconds for record in records], dtype=np.float64))
    kinds = (knobs, np.hstack([knobs, estimates]), np.hstack([knobs, nests]))
    return [
        Row(name, len(scores) - count, count, *(_ranked(features, scores, count) for features in kinds))
        for count in LEARNED
        if 2 * count <= len(scores)
    ]


def _ranked(features: Matrix, scores: npt.NDArray[np.float64], count: int) -> float:
    """Return how well trees rank what they did not learn."""
    found = []
    for draw in range(_DRAWS):
        order = np.random.default_rng(draw).permutation(len(scores))
        learned, rest = order[:count], order[count:]
        trees = make_trees(draw)
        trees.fit(Points.of_features(features[learned]), scores[learned])
        found.append(spearman(trees.predict(Points.of_features(features[rest]))[0], scores[rest]))
    return median(found)


if __name__ == "__main__":
    main()
