"""Walk through the whole space of a matrix product, and through a range of its indices."""

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import autotvm, te
from tilewright.tvm.autotvm.tuner import GridSearchTuner


@autotvm.template("user/matmul_candidates")
def matmul(N, L, M, dtype):
    A = te.placeholder((N, L), name="A", dtype=dtype)
    B = te.placeholder((L, M), name="B", dtype=dtype)
    k = te.reduce_axis((0, L), name="k")
    C = te.compute((N, M), lambda i, j: te.sum(A[i, k] * B[k, j], axis=k), name="C")
    s = te.create_schedule(C.op)
    y, x = s[C].op.axis
    (k,) = s[C].op.reduce_axis

    # Knobs of plain values, as the first version of everybody's template has them.
    cfg = autotvm.get_config()
    cfg.define_knob("tile_y", [1, 4, 16])
    cfg.define_knob("tile_x", [8, 16, 32, 64])

    yo, yi = s[C].split(y, cfg["tile_y"].val)
    xo, xi = s[C].split(x, cfg["tile_x"].val)
    s[C].reorder(yo, xo, k, yi, xi)
    return s, [A, B, C]


N, L, M = 64, 96, 128
task = autotvm.task.create("user/matmul_candidates", args=(N, L, M, "float32"), target="llvm")
assert len(task.config_space) == 12
assert task.flop == 2 * N * L * M

measure_option = autotvm.measure_option(
    builder=autotvm.LocalBuilder(timeout=20, n_parallel=2),
    runner=autotvm.LocalRunner(number=3, repeat=2, timeout=20, min_repeat_ms=5),
)

# More trials than there are configurations: the walk ends by itself.
monitor = autotvm.tuner.callback.Monitor()
tuner = GridSearchTuner(task)
tuner.tune(
    n_trial=100,
    measure_option=measure_option,
    callbacks=[autotvm.callback.log_to_file("grid.log"), monitor],
)
assert not tuner.has_next()
assert len(monitor.trial_scores()) == 12
assert (np.diff(monitor.trial_timestamps()) >= 0).all()
assert max(monitor.trial_scores()) == tuner.best_flops > 0

records = list(autotvm.record.load_from_file("grid.log"))
assert [inp.config.index for inp, _ in records] == list(range(12))
assert all(res.error_no == autotvm.measure.MeasureErrorNo.NO_ERROR for _, res in records)

best_inp, best_res = tuner.best_measure_pair
assert best_inp.config.index == tuner.best_config.index
assert np.mean(best_res.costs) == min(np.mean(res.costs) for _, res in records)

# A range of indices, both ends included.
part = GridSearchTuner(task, range_idx=(3, 6))
seen = []
part.tune(
    n_trial=10,
    measure_option=measure_option,
    callbacks=[lambda tuner, inputs, results: seen.extend(i.config.index for i in inputs)],
)
assert seen == [3, 4, 5, 6]

# The configuration that the tuner holds as best can be built without any log.
with tvm.target.Target("llvm"):
    s, arg_bufs = task.instantiate(tuner.best_config)
    func = tvm.build(s, arg_bufs, name="mmult")

dev = tvm.cpu(0)
a = tvm.nd.array(np.random.rand(N, L).astype("float32"), dev)
b = tvm.nd.array(np.random.rand(L, M).astype("float32"), dev)
c = tvm.nd.array(np.zeros((N, M), dtype="float32"), dev)
func(a, b, c)
tvm.testing.assert_allclose(c.numpy(), np.dot(a.numpy(), b.numpy()), rtol=1e-4)

evaluator = func.time_evaluator(func.entry_name, dev, number=10, repeat=3)
timing = evaluator(a, b, c)
print("mean %.3f us" % (timing.mean * 1e6))
assert len(timing.results) == 3 and timing.mean > 0
