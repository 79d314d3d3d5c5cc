"""Matrix products on one thread: the core's peak, NumPy, Tilewright untuned and tuned, in turns."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from interleave import compare, kernel_runner, operands, parser, table, write_json
from threadpoolctl import threadpool_limits

import tilewright as tw
from tilewright.cli.contest import make_runner
from tilewright.compiler.kernel import Kernel
from tilewright.compiler.peak import reference_loop
from tilewright.measure.slices import Runner
from tilewright.templates.operators import matmul

SIZES = ("512", "1024", "2048", "511x513x517", "1000")
PEERS = ("numpy", "default", "tuned")
OWN_NAME = "my_matmul"


def main() -> None:
    """Tune each size, then time all columns in turns."""
    options = parser(__doc__)
    options.add_argument("--sizes", nargs="+", default=SIZES, metavar="N|MxNxK")
    options.add_argument("--own-size", default="512", help="of the row with the template in a user's file")
    options.add_argument("--trials", type=int, default=64)
    options.add_argument("--seconds", type=float, default=10.0, help="of timing a row")
    options.add_argument("--db", help="by default a temporary one")
    given = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        db = given.db or str(Path(folder) / "tune.db")
        own = f"{write_own_template(Path(folder))}:{OWN_NAME}"
        jobs = [(size, "matmul") for size in given.sizes] + [(given.own_size, own)]
        for size, op in jobs:
            rows.append(measure_row(op, parse_size(size), given.trials, db, given.seconds))
            print(report(rows[-1:]) if len(rows) == 1 else report(rows[-1:]).splitlines()[-1], flush=True)
    write_json(given.json, {"trials": given.trials, "threads": 1, "rows": rows})


def parse_size(text: str) -> tuple[int, int, int]:
    """``512``, or ``511x513x517`` for m, n and k."""
    parts = [int(part) for part in text.split("x")]
    if len(parts) == 1:
        parts *= 3
    m, n, k = parts
    return m, n, k


def write_own_template(folder: Path) -> Path:
    """The operator's source, as a user's file under another name."""
    source = inspect.getsource(matmul).replace('@template("matmul"', f'@template("{OWN_NAME}"')
    file = folder / "own_matmul.py"
    file.write_text(source.replace("\ndef matmul(", f"\ndef {OWN_NAME}("))
    return file


def measure_row(
    op: str, size: tuple[int, int, int], trials: int, db: str, seconds: float
) -> dict[str, object]:
    """The seconds of a call and the share of the peak, of each column."""
    m, n, k = size
    result = tw.tune(op, m=m, n=n, k=k, threads=1, trials=trials, db=db)
    default = tw.build(op, m=m, n=n, k=k, threads=1, config="default")
    with tw.apply_best(db):
        tuned = tw.build(op, m=m, n=n, k=k, threads=1)
    found = time_in_turns(size, {"default": default, "tuned": tuned}, seconds)
    flops = 2 * m * n * k
    peak = reference_loop("compute").work / found.pop("peak")
    return {
        "name": f"{m}x{n}x{k}" + (" (own file)" if op != "matmul" else ""),
        "peak_gflops": peak / 1e9,
        "seconds": found,
        "gflops": {name: flops / s / 1e9 for name, s in found.items()},
        "of_peak": {name: flops / s / peak for name, s in found.items()},
        "config": str(tuned.config),
        "tuning_seconds": result.elapsed_seconds,
    }


def time_in_turns(size: tuple[int, int, int], kernels: dict[str, Kernel], seconds: float) -> dict[str, float]:
    """Peak, NumPy and the kernels."""
    a, b, c = operands(*size)
    peak = reference_loop("compute")
    runners: dict[str, Runner] = {"peak": peak.run, "numpy": make_runner(lambda: np.matmul(a, b, out=c))}
    runners |= {name: kernel_runner(kernel, (a, b)) for name, kernel in kernels.items()}
    with threadpool_limits(1):
        return compare(runners, seconds)


def report(rows: Sequence[dict[str, object]]) -> str:
    """The table."""
    headings = [
        "matmul float32",
        "peak GFLOP/s",
        *(f"{p} GFLOP/s" for p in PEERS),
        *(f"{p}/peak" for p in PEERS),
    ]
    cells = []
    for row in rows:
        gflops, share = row["gflops"], row["of_peak"]
        assert isinstance(gflops, dict)
        assert isinstance(share, dict)
        name = str(row["name"]).ljust(24)
        cells.append([name, row["peak_gflops"], *(gflops[p] for p in PEERS), *(share[p] for p in PEERS)])
    return table(headings, cells)


if __name__ == "__main__":
    main()
