"""Tuners on a recorded space: what they have found after so many evaluations, over seeds.

Beside ours there may be searches of others: Optuna's ``tpe``, and AutoTVM's, ``autotvm-rank`` and
``autotvm-reg``.
"""

from __future__ import annotations

from pathlib import Path

from interleave import parser, table, write_json
from searches.registry import FOREIGN, make_search

from tilewright.logs.formats.spaces import read_recorded_space
from tilewright.tuners import TUNERS
from tilewright.tuning.replay import ReplayResult, replay

SPACE = Path(__file__).resolve().parent.with_name("tests") / "data" / "matmul_space.json"


def main() -> None:
    """Search with every tuner and seed."""
    options = parser(__doc__)
    options.add_argument("--space", type=Path, default=SPACE)
    options.add_argument(
        "--tuners", nargs="+", choices=[*TUNERS, *FOREIGN], default=list(TUNERS), metavar="T"
    )
    options.add_argument("--trials", type=int, default=100)
    options.add_argument("--seeds", type=int, default=10)
    given = options.parse_args()
    recorded = read_recorded_space(given.space)
    results = [
        replay(recorded, name, trials=given.trials, seeds=given.seeds, make=make_search)
        for name in given.tuners
    ]
    marks = [f"{mark} trials" for mark in results[0].fraction_of_optimum]
    print(f"{recorded.name}: {len(recorded.costs)} configurations, mean over {given.seeds} seeds")
    headings = ["best / best found", *marks, "trials to 95 %", "s / 100 trials"]
    print(table(headings, [_row(result) for result in results]))
    write_json(given.json, {"seeds": given.seeds, "results": [result.to_json() for result in results]})


def _row(result: ReplayResult) -> list[object]:
    found = result.fraction_of_optimum.values()
    return [result.tuner, *found, result.evaluations_to_95, result.seconds_per_100]


if __name__ == "__main__":
    main()
