"""Search with a cost model on all threads, with the options that scripts give it, and use the log."""

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import autotvm, te
from tilewright.tvm.autotvm.tuner import XGBTuner


@autotvm.template("user/parallel_matmul")
def matmul(N, L, M, dtype="float32"):
    A = te.placeholder((N, L), name="A", dtype=dtype)
    B = te.placeholder((L, M), name="B", dtype=dtype)
    k = te.reduce_axis((0, L), name="k")
    C = te.compute((N, M), lambda y, x: te.sum(A[y, k] * B[k, x], axis=k), name="C")
    s = te.create_schedule(C.op)

    cfg = autotvm.get_config()
    y, x = C.op.axis
    (k,) = C.op.reduce_axis
    cfg.define_split("tile_y", y, num_outputs=2)
    cfg.define_split("tile_x", x, num_outputs=2)
    cfg.define_split("tile_k", k, num_outputs=2)
    cfg.define_knob("parallel", [False, True])

    yo, yi = cfg["tile_y"].apply(s, C, y)
    xo, xi = cfg["tile_x"].apply(s, C, x)
    ko, ki = cfg["tile_k"].apply(s, C, k)
    s[C].reorder(yo, xo, ko, ki, yi, xi)
    s[C].vectorize(xi)
    if cfg["parallel"].val:
        s[C].parallel(yo)
    return s, [A, B, C]


N = 128
task = autotvm.task.create("user/parallel_matmul", args=(N, N, N), target="llvm -mcpu=native")
log_file = "parallel_matmul.log"

tuner = XGBTuner(task, plan_size=8, loss_type="rank", feature_type="knob")
tuner.tune(
    n_trial=16,
    early_stopping=100,
    measure_option=autotvm.measure_option(
        builder=autotvm.LocalBuilder(),
        runner=autotvm.LocalRunner(number=10, repeat=1, min_repeat_ms=10, enable_cpu_cache_flush=True),
    ),
    callbacks=[
        autotvm.callback.progress_bar(16, prefix="[parallel]", si_prefix="M"),
        autotvm.callback.log_to_file(log_file),
    ],
)

measured = list(autotvm.record.load_from_file(log_file))
assert len(measured) == 16
assert len({inp.config.index for inp, _ in measured}) == 16

dispatch_context = autotvm.apply_history_best(log_file)
best_config = dispatch_context.query(task.target, task.workload)
print("Best config:", best_config)
assert best_config.index == tuner.best_config.index

with dispatch_context:
    with tvm.target.Target("llvm -mcpu=native"):
        s, arg_bufs = matmul(N, N, N)
        func = tvm.build(s, arg_bufs)

a_np = np.random.uniform(size=(N, N)).astype("float32")
b_np = np.random.uniform(size=(N, N)).astype("float32")
c = tvm.nd.array(np.zeros((N, N), "float32"))
func(tvm.nd.array(a_np), tvm.nd.array(b_np), c)
tvm.testing.assert_allclose(c.numpy(), a_np @ b_np, rtol=1e-4)
