"""How good the untuned default is: default against tuned on random shapes, one thread."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from interleave import compare, kernel_runner, operands, parser, table, write_json

import tilewright as tw

KINDS = ("odd", "tall", "wide", "skinny", "deep", "tiny")


def main() -> None:
    """Tune every shape, then time its default and its best in turns."""
    options = parser(__doc__)
    options.add_argument("--shapes", type=int, default=30)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--trials", type=int, default=64, help="for each shape")
    options.add_argument("--seconds", type=float, default=1.0, help="of timing for each shape")
    given = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, shape in random_shapes(given.shapes, given.seed):
            rows.append(measure(kind, shape, given.trials, str(Path(folder) / "tune.db"), given.seconds))
            print(f"{rows[-1]['shape']}: {rows[-1]['tuned_over_default']:.3f}", flush=True)
    shares = [row["tuned_seconds"] / row["default_seconds"] for row in rows]
    cells = [
        [r["kind"], r["shape"], r["default_seconds"], r["tuned_seconds"], r["tuned_over_default"]]
        for r in rows
    ]
    print(table(["kind", "m x n x k", "default s", "tuned s", "tuned/default"], cells))
    mean, least = float(np.exp(np.mean(np.log(shares)))), min(shares)
    print(f"time of the tuned kernel over the default's: geometric mean {mean:.3f}, least {least:.3f}")
    write_json(given.json, {"trials": given.trials, "rows": rows, "geometric_mean": mean, "least": least})


def random_shapes(count: int, seed: int) -> list[tuple[str, tuple[int, int, int]]]:
    """Shapes of all kinds in turns."""
    rng = np.random.default_rng(seed)

    def draw(low: int, high: int) -> int:
        return int(np.exp(rng.uniform(np.log(low), np.log(high))))

    shapes = []
    for i in range(count):
        kind = KINDS[i % len(KINDS)]
        large, middle, small = draw(500, 3000), draw(50, 700), draw(1, 24)
        odd = (draw(50, 700) | 1, middle | 1, draw(50, 700) | 1)
        tiny = (small, draw(1, 24), draw(1, 24))
        shape = {
            "odd": odd,
            "tall": (large, draw(16, 96), middle),
            "wide": (draw(16, 96), large, middle),
            "skinny": (small, large, middle),
            "deep": (draw(16, 96), draw(16, 96), large),
            "tiny": tiny,
        }[kind]
        shapes.append((kind, shape))
    return shapes


def measure(kind: str, shape: tuple[int, int, int], trials: int, db: str, seconds: float) -> dict[str, Any]:
    """Both speeds of one shape."""
    m, n, k = shape
    result = tw.tune("matmul", m=m, n=n, k=k, threads=1, trials=trials, db=db)
    default = tw.build("matmul", m=m, n=n, k=k, threads=1, config="default")
    with tw.apply_best(db):
        tuned = tw.build("matmul", m=m, n=n, k=k, threads=1)
    a, b, _ = operands(m, n, k)
    runners = {"default": kernel_runner(default, (a, b)), "tuned": kernel_runner(tuned, (a, b))}
    found = compare(runners, seconds)
    return {
        "kind": kind,
        "shape": f"{m}x{n}x{k}",
        "default_seconds": found["default"],
        "tuned_seconds": found["tuned"],
        "tuned_over_default": found["tuned"] / found["default"],
        "default_config": str(default.config),
        "tuned_config": str(tuned.config),
        "trials": result.trials,
        "failed": result.failed,
    }


if __name__ == "__main__":
    main()
