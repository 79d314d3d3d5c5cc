"""Tunes a matrix product and prints its speed before, after, and NumPy's, all on one thread."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from interleave import compare, kernel_runner, operands, parser, table, write_json
from threadpoolctl import threadpool_limits

import tilewright as tw
from tilewright.cli.contest import make_runner
from tilewright.logs.record import Record
from tilewright.measure.slices import Runner


def main() -> None:
    """Tune, then time all three in turns."""
    options = parser(__doc__)
    options.add_argument("--size", type=int, default=512)
    options.add_argument("--trials", type=int, default=24)
    options.add_argument("--seconds", type=float, default=3.0, help="of timing at the end")
    options.add_argument("--db", default="demo.db")
    given = options.parse_args()
    size = given.size
    print(
        f"tuning matmul {size} x {size} x {size}, float32, one thread: {given.trials} trials into {given.db}"
    )
    result = tw.tune(
        "matmul", m=size, n=size, k=size, threads=1, trials=given.trials, db=given.db, on_trial=show_trial
    )
    print(
        f"\n{result.trials} trials in {result.elapsed_seconds:.1f} s, {sum(result.failed.values())} failed;"
        f" {result.reused} were in the database"
    )
    seconds = measure(size, given.db, given.seconds)
    print(f"\n{report(seconds, size)}\n")
    if result.best and result.default and result.best.seconds >= result.default.seconds:
        print("Nothing beat the untuned default for certain, so it is what ships.")
    print(f"The records are in {Path(given.db).resolve()}; run again to reuse them.")
    write_json(given.json, {"size": size, "seconds": seconds, "tune": result.to_json()})


def show_trial(record: Record) -> None:
    """A dot a trial, a letter for one that failed."""
    sys.stdout.write("." if record.state in ("ok", "slow") else record.state[0])
    sys.stdout.flush()


def measure(size: int, db: str, seconds: float) -> dict[str, float]:
    """The seconds of a call before tuning, after, and of NumPy."""
    a, b, c = operands(size, size, size)
    before = tw.build("matmul", m=size, n=size, k=size, threads=1, config="default")
    with tw.apply_best(db):
        after = tw.build("matmul", m=size, n=size, k=size, threads=1)
    np.testing.assert_allclose(after(a, b), a @ b, rtol=1e-3, atol=1e-2)
    runners: dict[str, Runner] = {
        "before (untuned default)": kernel_runner(before, (a, b)),
        "after (tuned)": kernel_runner(after, (a, b)),
        "NumPy": make_runner(lambda: np.matmul(a, b, out=c)),
    }
    with threadpool_limits(1):
        return compare(runners, seconds)


def report(seconds: dict[str, float], size: int) -> str:
    """The table."""
    baseline = seconds["NumPy"]
    rows = [[n, s * 1e3, 2 * size**3 / s / 1e9, baseline / s] for n, s in seconds.items()]
    return table(["", "ms", "GFLOP/s", "speed over NumPy"], rows)


if __name__ == "__main__":
    main()
