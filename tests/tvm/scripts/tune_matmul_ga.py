"""A genetic search over a matrix product with three splits, and a loop of several tasks."""

import os

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import autotvm, te
from tilewright.tvm.autotvm.tuner import GATuner


@autotvm.template("user/matmul_three_splits")
def matmul(N, L, M, dtype):
    A = te.placeholder((N, L), name="A", dtype=dtype)
    B = te.placeholder((L, M), name="B", dtype=dtype)
    k = te.reduce_axis((0, L), name="k")
    C = te.compute((N, M), lambda i, j: te.sum(A[i, k] * B[k, j], axis=k), name="C")
    s = te.create_schedule([C.op])
    y, x = s[C].op.axis
    (k,) = s[C].op.reduce_axis

    cfg = autotvm.get_config()
    cfg.define_split("tile_y", cfg.axis(y), num_outputs=2)
    cfg.define_split("tile_x", cfg.axis(x), num_outputs=3)
    cfg.define_split("tile_k", cfg.reduce_axis(k), num_outputs=2)

    yo, yi = cfg["tile_y"].apply(s, C, y)
    xo, xm, xi = cfg["tile_x"].apply(s, C, x)
    ko, ki = cfg["tile_k"].apply(s, C, k)
    s[C].reorder(yo, xo, ko, yi, xm, ki, xi)
    if cfg["tile_x"].size[-1] in (4, 8, 16, 32):
        s[C].vectorize(xi)
    return s, [A, B, C]


def tune_tasks(tasks, measure_option, n_trial, log_filename):
    tmp_log_file = log_filename + ".tmp"
    if os.path.exists(tmp_log_file):
        os.remove(tmp_log_file)
    for i, tsk in enumerate(reversed(tasks)):
        prefix = "[Task %2d/%2d] " % (i + 1, len(tasks))
        tuner_obj = GATuner(tsk, pop_size=8)
        tsk_trial = min(n_trial, len(tsk.config_space))
        tuner_obj.tune(
            n_trial=tsk_trial,
            early_stopping=50,
            measure_option=measure_option,
            callbacks=[
                autotvm.callback.progress_bar(tsk_trial, prefix=prefix),
                autotvm.callback.log_to_file(tmp_log_file),
            ],
        )
        assert tuner_obj.best_config is not None
        assert tuner_obj.best_flops > 0
    autotvm.record.pick_best(tmp_log_file, log_filename)
    os.remove(tmp_log_file)


target = tvm.target.Target("llvm")
shapes = [(64, 64, 64), (64, 32, 128)]
tasks = [
    autotvm.task.create("user/matmul_three_splits", args=shape + ("float32",), target=target)
    for shape in shapes
]
measure_option = autotvm.measure_option(
    builder=autotvm.LocalBuilder(),
    runner=autotvm.LocalRunner(number=2, repeat=2, min_repeat_ms=0),
)
tune_tasks(tasks, measure_option, 12, "matmuls.log")

with open("matmuls.log") as f:
    assert len(f.readlines()) == len(tasks)

with autotvm.apply_history_best("matmuls.log"):
    for n, l, m in shapes:
        with target:
            s, args = matmul(n, l, m, "float32")
            func = tvm.build(s, args, target)
        a = np.random.rand(n, l).astype("float32")
        b = np.random.rand(l, m).astype("float32")
        c = tvm.nd.empty((n, m), "float32", tvm.cpu())
        func(tvm.nd.array(a), tvm.nd.array(b), c)
        tvm.testing.assert_allclose(c.asnumpy(), a @ b, rtol=1e-4)
