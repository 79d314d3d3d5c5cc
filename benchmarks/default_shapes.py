"""How good untuned defaults are: default beside tuned on random shapes of three operators, one thread."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from comparison import Ratio, speed_ratio
from interleave import kernel_runner, one_core, parser, table, take_rounds, tune_and_build, write_json

from tilewright.compiler.errors import TilewrightError
from tilewright.deploy import make_task
from tilewright.measure.inputs import make_inputs

WANTED = 0.7
WORST = 5
MOST_FLOP = 1e9
Draw = Callable[[int, int], int]


def matmul(draw: Draw) -> dict[str, Any]:
    """A product, sometimes with a vector."""
    return {"m": draw(1, 1024), "n": draw(8, 1024), "k": draw(8, 1024)}


def conv2d(draw: Draw) -> dict[str, Any]:
    """A convolution of batch 1, as networks have them."""
    kernel = (1, 3, 3, 5, 7)[draw(1, 5) - 1]
    size = {"h": draw(7, 112), "w": draw(7, 112)}
    channels = {"c": draw(3, 256), "o": draw(8, 256)}
    return {"n": 1, **channels, **size, "kernel": kernel, "stride": draw(1, 2), "padding": kernel // 2}


def depthwise_conv2d(draw: Draw) -> dict[str, Any]:
    """A convolution of each channel."""
    kernel = (3, 3, 5)[draw(1, 3) - 1]
    size = {"c": draw(8, 512), "h": draw(7, 112), "w": draw(7, 112)}
    return {"n": 1, **size, "kernel": kernel, "stride": draw(1, 2), "padding": kernel // 2}


SHAPES: dict[str, Callable[[Draw], dict[str, Any]]] = {
    "matmul": matmul,
    "conv2d": conv2d,
    "depthwise_conv2d": depthwise_conv2d,
}


@dataclass(frozen=True, slots=True)
class Found:
    """The default's speed to the tuned one's on a shape, and both configurations."""

    op: str
    params: dict[str, Any]
    ratio: Ratio
    configs: dict[str, str]

    @property
    def shape(self) -> str:
        """The parameters in a line."""
        return " ".join(f"{name}={value}" for name, value in self.params.items())

    def to_json(self) -> dict[str, Any]:
        """All figures."""
        return {
            "op": self.op,
            "params": self.params,
            "default_to_tuned": self.ratio.to_json(),
            "configs": self.configs,
        }


def main() -> int:
    """Tune every shape, then time its default and its best in turns; 1 where a shape failed."""
    options = parser(__doc__)
    options.add_argument("--ops", nargs="+", choices=SHAPES, default=list(SHAPES), metavar="OP")
    options.add_argument("--shapes", type=int, default=40, help="of each operator")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--trials", type=int, default=48, help="for each shape")
    options.add_argument("--rounds", type=int, default=15, help="of timing for each shape")
    given = options.parse_args()
    found, failed = [], []
    with tempfile.TemporaryDirectory() as folder:
        for op in given.ops:
            for number, params in enumerate(random_shapes(op, given.shapes, given.seed), 1):
                entry = try_shape(op, params, given.trials, given.rounds, Path(folder) / "tune.db")
                if isinstance(entry, Found):
                    found.append(entry)
                    print(f"{op} {number}/{given.shapes}: {entry.ratio}", file=sys.stderr, flush=True)
                else:
                    failed.append(f"{op} {params} failed: {entry}")
                    print(failed[-1], file=sys.stderr, flush=True)
    means = {op: mean_ratio([entry for entry in found if entry.op == op], given.shapes) for op in given.ops}
    print(report(found, means))
    print("\n".join(["", *verdicts(means), *failed]))
    rows = [entry.to_json() for entry in found]
    write_json(given.json, {"trials": given.trials, "means": means, "rows": rows, "failed": failed})
    return 1 if failed else 0


def random_shapes(op: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Shapes whose sizes are spread evenly over orders of magnitude; about half of them are odd."""
    rng = np.random.default_rng(seed)

    def draw(low: int, high: int) -> int:
        """An integer from low to high."""
        return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))

    shapes: list[dict[str, Any]] = []
    while len(shapes) < count:
        params = SHAPES[op](draw)
        if make_task(op, None, 1, params).flops <= MOST_FLOP:
            shapes.append(params)
    return shapes


def mean_ratio(found: list[Found], count: int) -> float:
    """The mean over ``count`` shapes: 1 where the default was the better one, 0 where a shape failed."""
    return sum(min(1.0, entry.ratio.median) for entry in found) / count


def try_shape(op: str, params: dict[str, Any], trials: int, rounds: int, db: Path) -> Found | str:
    """Both speeds of a shape, or why there are none."""
    try:
        kernels = tune_and_build(op, params, trials, db)
    except TilewrightError as error:
        return f"{type(error).__name__}: {error}"
    arrays = make_inputs(kernels["tuned"].inputs)
    runners = {name: kernel_runner(kernel, arrays) for name, kernel in kernels.items()}
    with one_core():
        times = take_rounds(runners, lambda count: count < rounds)
    configs = {name: str(kernel.config) for name, kernel in kernels.items()}
    return Found(op, params, speed_ratio(times["default"], times["tuned"]), configs)


def report(found: list[Found], means: dict[str, float]) -> str:
    """The worst shapes of each operator."""
    cells: list[list[object]] = []
    for op in means:
        worst = sorted((entry for entry in found if entry.op == op), key=lambda entry: entry.ratio.median)
        cells += [
            [op, e.shape, f"{e.ratio}", e.configs["default"], e.configs["tuned"]] for e in worst[:WORST]
        ]
    return table(["worst of", "shape", "default/tuned", "default", "tuned"], cells)


def verdicts(means: dict[str, float]) -> list[str]:
    """Whether the mean of each operator is what is demanded."""
    return [
        f"{'met' if mean >= WANTED else 'not met'}: {op}: default, mean {WANTED} of tuned: {mean:.3f}"
        for op, mean in means.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
