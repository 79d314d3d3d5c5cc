"""How many trials the search needs: the default and few trials beside the best that many have found."""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from comparison import Ratio, speed_ratio
from interleave import kernel_runner, one_core, parser, table, take_rounds, write_json

import tilewright as tw
from tilewright.compiler.kernel import Kernel
from tilewright.measure.inputs import make_inputs

KNOWN_TRIALS = 1000
TRIALS = (16, 64)
WANTED = {"default": 0.85, "16": 0.95, "64": 0.985}
LEAST_DEFAULT = 0.7

Workload = tuple[str, dict[str, Any]]
_SAME = {"n": 1, "kernel": 3, "stride": 1, "padding": 1}
WORKLOADS: dict[str, Workload] = {
    "matmul 1024": ("matmul", {"m": 1024, "n": 1024, "k": 1024}),
    "dense 128x768x3072": ("dense", {"m": 128, "n": 3072, "k": 768}),
    "conv 3x3 56x56x64": ("conv2d", {**_SAME, "c": 64, "h": 56, "w": 56, "o": 64}),
    "conv 1x1/2 28x28x128": (
        "conv2d",
        {"n": 1, "c": 128, "h": 28, "w": 28, "o": 256, "kernel": 1, "stride": 2, "padding": 0},
    ),
    "conv 3x3 7x7x512": ("conv2d", {**_SAME, "c": 512, "h": 7, "w": 7, "o": 512}),
    "depthwise 14x14x512": ("depthwise_conv2d", {**_SAME, "c": 512, "h": 14, "w": 14}),
    "softmax 1536x128": ("softmax", {"shape": (1536, 128)}),
}


@dataclass(frozen=True, slots=True)
class Found:
    """The speeds of one workload, each to that of the best known."""

    name: str
    ratios: dict[str, Ratio]
    seconds: dict[str, float]
    best_seconds: float

    def to_json(self) -> dict[str, Any]:
        """All figures."""
        ratios = {name: ratio.to_json() for name, ratio in self.ratios.items()}
        return {"workload": self.name, "to_best": ratios, "tuning_seconds": self.seconds}


def main() -> int:
    """Find the best of each workload once, search anew with few trials, time all in turns."""
    options = parser(__doc__)
    options.add_argument("--known", type=Path, default=Path("known.db"), help="database of the many trials")
    options.add_argument("--known-trials", type=int, default=KNOWN_TRIALS, help="trials of the best known")
    options.add_argument("--workloads", nargs="+", default=list(WORKLOADS), metavar="NAME")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--rounds", type=int, default=21, help="of timing for each workload")
    given = options.parse_args()
    found = []
    for name in given.workloads:
        find_best(WORKLOADS[name], given.known, given.known_trials)
        found.append(search(name, given.known, given.seed, given.rounds))
        print(f"{name}: {_summary(found[-1])}", file=sys.stderr, flush=True)
    print(report(found))
    lines = verdicts(found)
    print("\n".join(["", *lines]))
    write_json(given.json, {"known_trials": given.known_trials, "rows": [row.to_json() for row in found]})
    return int(any(line.startswith("not met") for line in lines))


def find_best(workload: Workload, known: Path, trials: int) -> None:
    """Bring a workload's trials to so many; a second run adds nothing."""
    op, params = workload
    tw.tune(op, trials=trials, threads=1, db=known, **params)


def search(name: str, known: Path, seed: int, rounds: int) -> Found:
    """Tune with few trials, each time from nothing, and time what came out beside the best known."""
    op, params = WORKLOADS[name]
    kernels: dict[str, Kernel] = {"best": build(known, op, params)}
    kernels["default"] = tw.build(op, threads=1, config="default", **params)
    seconds = {}
    folder = Path(tempfile.mkdtemp())
    try:
        for trials in TRIALS:
            db = folder / f"{trials}.db"
            result = tw.tune(op, trials=trials, threads=1, db=db, seed=seed, **params)
            seconds[str(trials)] = result.elapsed_seconds
            kernels[str(trials)] = build(db, op, params)
    finally:
        shutil.rmtree(folder)
    arrays = make_inputs(kernels["best"].inputs)
    runners = {label: kernel_runner(kernel, arrays) for label, kernel in kernels.items()}
    with one_core():
        times = take_rounds(runners, lambda count: count < rounds)
    ratios = {label: speed_ratio(times[label], times["best"]) for label in WANTED}
    return Found(name, ratios, seconds, float(np.min(times["best"])))


def build(db: Path, op: str, params: dict[str, Any]) -> Kernel:
    """The kernel that a database's best record makes."""
    with tw.apply_best(db):
        return tw.build(op, threads=1, **params)


def report(found: list[Found]) -> str:
    """A row for each workload."""
    cells: list[list[object]] = [
        [row.name, row.best_seconds * 1e6, *(f"{row.ratios[label]}" for label in WANTED)] for row in found
    ]
    return table(["speed to the best known", "best, us", "default", *(f"{n} trials" for n in TRIALS)], cells)


def verdicts(found: list[Found]) -> list[str]:
    """Whether the geometric means, and the least default, are what is demanded."""
    lines = []
    for label, wanted in WANTED.items():
        speeds = [min(row.ratios[label].median, 1.0) for row in found]
        mean = float(np.exp(np.mean(np.log(speeds))))
        lines.append(_verdict(mean, wanted, f"{label}, geometric mean {wanted} of the best known"))
        if label == "default":
            lines.append(_verdict(min(speeds), LEAST_DEFAULT, f"the least default {LEAST_DEFAULT}"))
    return lines


def _verdict(value: float, wanted: float, demand: str) -> str:
    return f"{'met' if value >= wanted else 'not met'}: {demand}: {value:.3f}"


def _summary(row: Found) -> str:
    return ", ".join(f"{label} {ratio}" for label, ratio in row.ratios.items())


if __name__ == "__main__":
    sys.exit(main())
