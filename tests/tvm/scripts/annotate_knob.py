"""Let the search decide which inner loops are unrolled and which one is vectorized."""

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import autotvm, te


@autotvm.template("user/annotated_matmul")
def matmul(N, L, M):
    A = te.placeholder((N, L), name="A")
    B = te.placeholder((L, M), name="B")
    k = te.reduce_axis((0, L), name="k")
    C = te.compute((N, M), lambda i, j: te.sum(A[i, k] * B[k, j], axis=k), name="C")
    s = te.create_schedule(C.op)

    cfg = autotvm.get_config()
    y, x = cfg.axis(s[C].op.axis[0]), cfg.axis(s[C].op.axis[1])
    k = cfg.reduce_axis(s[C].op.reduce_axis[0])
    yo, yi = cfg.define_split("tile_y", y, num_outputs=2)
    xo, xi = cfg.define_split("tile_x", x, num_outputs=2)
    cfg.define_annotate("ann_tile", [yi, xi], policy="try_unroll_vec")
    cfg.define_annotate("ann_reduce", [k], policy="try_unroll")

    y, x = s[C].op.axis
    (k,) = s[C].op.reduce_axis
    yo, yi = cfg["tile_y"].apply(s, C, y)
    xo, xi = cfg["tile_x"].apply(s, C, x)
    s[C].reorder(yo, xo, k, yi, xi)
    cfg["ann_reduce"].apply(s, C, [k], axis_lens=[L], max_unroll=8, cfg=cfg)
    cfg["ann_tile"].apply(
        s,
        C,
        [yi, xi],
        axis_lens=[cfg["tile_y"].size[-1], cfg["tile_x"].size[-1]],
        max_unroll=16,
        vec_size=[4, 8, 16, 32],
        cfg=cfg,
    )
    return s, [A, B, C]


N, L, M = 64, 32, 64
task = autotvm.task.create("user/annotated_matmul", args=(N, L, M), target="llvm")
space = task.config_space
assert len(space) == 7 * 7 * 8 * 2
assert len(space.space_map["ann_tile"]) == 8


def index_of(y, x, ann, reduce):
    for i in range(len(space)):
        c = space.get(i)
        sizes = c["tile_y"].size[-1], c["tile_x"].size[-1]
        if sizes == (y, x) and c["ann_tile"].anns == ann and c["ann_reduce"].anns == reduce:
            return i
    raise AssertionError("not in the space")


# The nest shows what was asked for.
good = index_of(4, 16, ("unroll", "vec"), ("none",))
nest = str(tvm.lower(*task.instantiate(space.get(good)), simple_mode=True))
print(nest)
assert "unroll" in nest and "vector" in nest

# What breaks a limit is a failed trial with its reason, and the search goes on.
bad = index_of(4, 2, ("unroll", "vec"), ("none",))
long = index_of(4, 16, ("none", "none"), ("unroll",))


class Chosen(autotvm.tuner.Tuner):
    def __init__(self, task, indices):
        super(Chosen, self).__init__(task)
        self.left = list(indices)

    def has_next(self):
        return len(self.left) > 0

    def next_batch(self, batch_size):
        batch, self.left = self.left[:batch_size], self.left[batch_size:]
        return [self.task.config_space.get(i) for i in batch]

    def update(self, inputs, results):
        pass


results = {}
Chosen(task, [good, bad, long]).tune(
    n_trial=3,
    measure_option=autotvm.measure_option(autotvm.LocalBuilder(), autotvm.LocalRunner(repeat=2)),
    callbacks=[
        autotvm.callback.log_to_file("annotate.log"),
        lambda tuner, inp, res: results.update(zip([i.config.index for i in inp], res)),
    ],
)
assert results[good].error_no == 0
for index in (bad, long):
    assert results[index].error_no == autotvm.MeasureErrorNo.INSTANTIATION_ERROR
    assert isinstance(results[index].costs[0], Exception)
    print(results[index].costs[0])

tuner = autotvm.tuner.RandomTuner(task)
tuner.tune(
    n_trial=12,
    measure_option=autotvm.measure_option("local", autotvm.LocalRunner(number=4)),
    callbacks=[autotvm.callback.log_to_file("annotate.log")],
)
with autotvm.apply_history_best("annotate.log"):
    with tvm.target.Target("llvm"):
        f = tvm.build(*matmul(N, L, M))
a, b = np.random.rand(N, L).astype("float32"), np.random.rand(L, M).astype("float32")
c = tvm.nd.empty((N, M))
f(tvm.nd.array(a), tvm.nd.array(b), c)
tvm.testing.assert_allclose(c.numpy(), a @ b, rtol=1e-4)
