"""The tuners on a recorded space: what they have found after 16, 32 and 64 trials, over seeds."""

from __future__ import annotations

import json
import time
from pathlib import Path
from statistics import mean

from interleave import parser, table, write_json

from tilewright.templates import ConfigSpace
from tilewright.templates.space_json import space_from_json
from tilewright.tuners import Observation, make_tuner
from tilewright.tuners.registry import TUNERS

SPACE = Path(__file__).resolve().parent.with_name("tests") / "data" / "matmul_space.json"
BATCH = 8
Costs = dict[int, float | None]


def main() -> None:
    """Search with every tuner and seed."""
    options = parser(__doc__)
    options.add_argument("--space", type=Path, default=SPACE)
    options.add_argument("--tuners", nargs="+", default=list(TUNERS))
    options.add_argument("--trials", nargs="+", type=int, default=[16, 32, 64])
    options.add_argument("--seeds", type=int, default=10)
    given = options.parse_args()
    space, costs = load(given.space)
    found = {name: search_all(name, space, costs, given.trials, given.seeds) for name in given.tuners}
    headings = ["best found / optimum", *(f"{n} trials" for n in given.trials), "s a run"]
    print(f"{space.size_text} configurations, mean over {given.seeds} seeds")
    print(table(headings, [[name, *row.values()] for name, row in found.items()]))
    write_json(given.json, {"space": given.space.name, "seeds": given.seeds, "fraction_of_optimum": found})


def load(path: Path) -> tuple[ConfigSpace, Costs]:
    """A space and the cost of each of its configurations; None where it failed."""
    data = json.loads(path.read_text())
    trials = data["trials"]
    space = space_from_json(data["space"], [trial["config"] for trial in trials])
    costs = {space.from_values(t["config"]).index: t["cost"] if t["state"] == "ok" else None for t in trials}
    return space, costs


def search_all(name: str, space: ConfigSpace, costs: Costs, marks: list[int], seeds: int) -> dict[str, float]:
    """The mean share of the optimum's speed at each number of trials, and the seconds of a run."""
    start = time.perf_counter()
    runs = [search(name, space, costs, seed, max(marks)) for seed in range(seeds)]
    seconds = (time.perf_counter() - start) / seeds
    optimum = min(cost for cost in costs.values() if cost is not None)
    shares = {str(n): mean(optimum / min(run[:n]) for run in runs) for n in marks}
    return {**shares, "seconds": seconds}


def search(name: str, space: ConfigSpace, costs: Costs, seed: int, trials: int) -> list[float]:
    """The costs that a tuner saw, in order; infinite where a trial failed."""
    tuner = make_tuner(name, space, seed)
    seen: list[float] = []
    while len(seen) < trials and (batch := tuner.next_batch(min(BATCH, trials - len(seen)))):
        fresh = [Observation(config, costs[config.index]) for config in batch]
        tuner.update(fresh)
        seen += [float("inf") if o.cost_seconds is None else o.cost_seconds for o in fresh]
    return seen


if __name__ == "__main__":
    main()
