"""AutoTVM's tutorial template, 512 cubed on one thread: seconds a trial, and the best of all 100."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
from interleave import compare, kernel_runner, operands, parser, table, write_json

from tilewright import tvm
from tilewright.compiler.peak import reference_loop
from tilewright.tvm import autotvm, te


@autotvm.template("tutorial/matmul")
def matmul(n: Any, length: Any, m: Any, dtype: Any) -> Any:
    """Two splits and an order; nothing is annotated."""
    a = te.placeholder((n, length), name="A", dtype=dtype)
    b = te.placeholder((length, m), name="B", dtype=dtype)
    k = te.reduce_axis((0, length), name="k")
    c = te.compute((n, m), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C")
    s = te.create_schedule(c.op)
    y, x = s[c].op.axis
    (k,) = s[c].op.reduce_axis
    cfg = autotvm.get_config()
    cfg.define_split("tile_y", y, num_outputs=2)
    cfg.define_split("tile_x", x, num_outputs=2)
    yo, yi = cfg["tile_y"].apply(s, c, y)
    xo, xi = cfg["tile_x"].apply(s, c, x)
    s[c].reorder(yo, xo, k, yi, xi)
    return s, [a, b, c]


def main() -> None:
    """Tune, then time the best beside the core's peak."""
    options = parser(__doc__)
    options.add_argument("--size", type=int, default=512)
    options.add_argument("--trials", type=int, default=100)
    options.add_argument("--seconds", type=float, default=5.0, help="of timing the best")
    given = options.parse_args()
    os.environ["TVM_NUM_THREADS"] = "1"
    n = given.size
    task = autotvm.task.create("tutorial/matmul", args=(n, n, n, "float32"), target="llvm")
    tuner = autotvm.tuner.XGBTuner(task)
    monitor = autotvm.callback.Monitor()
    option = autotvm.measure_option(builder="local", runner="local")
    start = time.perf_counter()
    tuner.tune(given.trials, option, callbacks=[monitor])
    elapsed = time.perf_counter() - start
    trials = len(monitor.trial_scores())
    speeds = time_best(task, tuner.best_config, given.seconds)
    figures = {
        "trials": trials,
        "failed": sum(score == 0 for score in monitor.trial_scores()),
        "seconds a trial": elapsed / trials,
        "best while tuning, GFLOP/s": tuner.best_flops / 1e9,
        "best timed again, GFLOP/s": speeds["best"],
        "peak beside it, GFLOP/s": speeds["peak"],
    }
    print(f"best: {tuner.best_config}")
    print(table(["tutorial matmul", str(n)], [[name, value] for name, value in figures.items()]))
    write_json(given.json, {"size": n, "best": str(tuner.best_config), **figures})


def time_best(task: Any, config: Any, seconds: float) -> dict[str, float]:
    """GFLOP/s of a configuration and of the register-only loop, timed in turns."""
    schedule, args = task.instantiate(config)
    kernel = tvm.build(schedule, args, target="llvm").kernel
    n = task.args[0]
    loop = reference_loop("compute")
    a, b, c = operands(n, n, n)
    times = compare({"best": kernel_runner(kernel, (a, b)), "peak": loop.run}, seconds)
    np.testing.assert_allclose(kernel(a, b, out=c), a @ b, rtol=1e-3, atol=1e-3)
    return {"best": task.flop / times["best"] / 1e9, "peak": loop.work / times["peak"] / 1e9}


if __name__ == "__main__":
    main()
