"""A template whose operations cannot be counted states them itself."""

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import autotvm, te


@autotvm.template("user/transpose")
def transpose(n, m):
    A = te.placeholder((n, m), name="A")
    B = te.compute((m, n), lambda i, j: A[j, i], name="B")
    s = te.create_schedule(B.op)
    cfg = autotvm.get_config()
    y, x = s[B].op.axis
    cfg.define_split("tile_y", y, num_outputs=2)
    cfg.define_split("tile_x", x, num_outputs=2)
    yo, yi = cfg["tile_y"].apply(s, B, y)
    xo, xi = cfg["tile_x"].apply(s, B, x)
    s[B].reorder(yo, xo, yi, xi)
    # There is no arithmetic here; what is compared is elements moved.
    cfg.add_flop(n * m)
    return s, [A, B]


@autotvm.template("user/copy")
def copy(n):
    A = te.placeholder((n,), name="A")
    B = te.compute((n,), lambda i: A[i], name="B")
    s = te.create_schedule(B.op)
    autotvm.get_config().define_knob("unused", [0, 1])
    return s, [A, B]


N, M = 96, 64
task = autotvm.task.create("user/transpose", args=(N, M), target="llvm")
assert task.flop == N * M

monitor = autotvm.tuner.callback.Monitor()
pairs = []
tuner = autotvm.tuner.RandomTuner(task)
tuner.tune(
    n_trial=6,
    measure_option=autotvm.measure_option(autotvm.LocalBuilder(), autotvm.LocalRunner(number=4)),
    callbacks=[monitor, lambda tuner, inputs, results: pairs.extend(zip(inputs, results))],
)
for score, (inp, res) in zip(monitor.trial_scores(), pairs):
    tvm.testing.assert_allclose(score, N * M / np.mean(res.costs), rtol=1e-6)
assert tuner.best_flops == max(monitor.trial_scores())

# Without a statement there is nothing to compare speeds by.
try:
    autotvm.task.create("user/copy", args=(64,), target="llvm").flop
except RuntimeError as error:
    assert "add_flop" in str(error)
else:
    raise AssertionError("a copy has no operations")

f = tvm.build(*task.instantiate(tuner.best_config), target="llvm")
a = np.random.rand(N, M).astype("float32")
b = tvm.nd.empty((M, N))
f(tvm.nd.array(a), b)
tvm.testing.assert_allclose(b.numpy(), a.T)
