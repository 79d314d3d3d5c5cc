"""Tune in two runs: the second learns from the log of the first and appends to it."""

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import autotvm, te


@autotvm.template("user/outer_product")
def outer_product(n, m):
    a = te.placeholder((n,), name="a")
    b = te.placeholder((m,), name="b")
    c = te.compute((n, m), lambda i, j: a[i] * b[j] + 1.0, name="c")
    s = te.create_schedule(c.op)
    cfg = autotvm.get_config()
    i, j = s[c].op.axis
    cfg.define_split("i", i, num_outputs=2)
    cfg.define_split("j", j, num_outputs=3)
    io, ii = cfg["i"].apply(s, c, i)
    jo, jm, ji = cfg["j"].apply(s, c, j)
    s[c].reorder(io, jo, ii, jm, ji)
    return s, [a, b, c]


LOG = "outer.log"
measure_option = autotvm.measure_option(
    builder=autotvm.LocalBuilder(), runner=autotvm.LocalRunner(number=4, repeat=1)
)


def indices(shape=(64, 96)):
    pairs = autotvm.record.load_from_file(LOG)
    return [inp.config.index for inp, _ in pairs if inp.task.args == shape]


def tune(tuner_class, n_trial, resume, shape=(64, 96), **options):
    task = autotvm.task.create("user/outer_product", args=shape, target="llvm")
    tuner = tuner_class(task, **options)
    if resume:
        tuner.load_history(autotvm.record.load_from_file(LOG))
    tuner.tune(n_trial, measure_option, callbacks=[autotvm.callback.log_to_file(LOG)])
    return tuner


tune(autotvm.tuner.RandomTuner, 6, resume=False)
first = indices()
assert len(first) == 6

tune(autotvm.tuner.XGBTuner, 8, resume=True)
second = indices()
assert second[:6] == first, "the log is appended to"
assert len(second) == 14

# What was measured before is not measured again.
assert len(set(second)) == 14

# Another shape in the same log: whatever was learned of the first, all of its space is open.
tune(autotvm.tuner.GridSearchTuner, 4, resume=True, shape=(64, 48))
assert indices((64, 48)) == [0, 1, 2, 3]

tune(autotvm.tuner.GATuner, 4, resume=True, pop_size=10)
assert len(indices()) == 18

with autotvm.apply_history_best(LOG):
    with tvm.target.Target("llvm"):
        f = tvm.build(*outer_product(64, 96))
a, b = np.random.rand(64).astype("float32"), np.random.rand(96).astype("float32")
c = tvm.nd.empty((64, 96))
f(tvm.nd.array(a), tvm.nd.array(b), c)
tvm.testing.assert_allclose(c.numpy(), np.outer(a, b) + 1, rtol=1e-5)
