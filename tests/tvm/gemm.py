"""The matmul that AutoTVM's own tests use: two splits, and what measures it without a machine."""

import time
from typing import Any

import numpy as np

from tilewright.tvm import autotvm, te


@autotvm.template("testing/matmul")
def matmul(n: Any, length: Any, m: Any, dtype: Any) -> Any:
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


def sample_task(n: int = 128) -> Any:
    return autotvm.task.create("testing/matmul", args=(n, n, n, "float32"), target="llvm")


def product(config: Any) -> int:
    return int(config["tile_x"].size[-1] * config["tile_y"].size[-1])


class DummyRunner(autotvm.measure.Runner):
    """A time that follows from the configuration alone: a bowl around 16 x 32."""

    def run(self, measure_inputs: Any, build_results: Any) -> Any:
        return [autotvm.MeasureResult((bowl(each.config),), 0, 0.2, time.time()) for each in measure_inputs]


class DummyBuilder(autotvm.measure.Builder):
    def build(self, measure_inputs: Any) -> Any:
        return [None] * len(measure_inputs)


def bowl(config: Any) -> float:
    y, x = np.log2(config["tile_y"].size[-1]), np.log2(config["tile_x"].size[-1])
    return float(1e-6 * (1 + (y - 4) ** 2 + (x - 5) ** 2))


def dummy_option() -> Any:
    return autotvm.measure_option(builder=DummyBuilder(), runner=DummyRunner())


def sample_records(n: int) -> list[Any]:
    """Trials of the first configurations; the one in the middle is the fastest."""
    task = sample_task()
    pairs = []
    for i in range(n):
        inp = autotvm.MeasureInput(task.target, task, task.config_space.get(i))
        costs = (0.5,) if i == n // 2 else (float(i + 1),)
        pairs.append((inp, autotvm.MeasureResult(costs, 0, 0.1 * i, 1_600_000_000.0 + i)))
    return pairs
