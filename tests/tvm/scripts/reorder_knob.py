"""Loop orders as knobs: all of them, an interval, a list, and interleaved chains."""

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import autotvm, te


def tensors(n):
    A = te.placeholder((n, n), name="A")
    B = te.placeholder((n, n), name="B")
    k = te.reduce_axis((0, n), name="k")
    return A, B, te.compute((n, n), lambda i, j: te.sum(A[i, k] * B[k, j], axis=k), name="C")


@autotvm.template("user/ordered_matmul")
def matmul(n, policy):
    A, B, C = tensors(n)
    s = te.create_schedule(C.op)
    cfg = autotvm.get_config()
    y, x = s[C].op.axis
    (k,) = s[C].op.reduce_axis
    if policy in ("all", "identity"):
        axes = [y, x, k]
        cfg.define_reorder("order", axes, policy=policy)
        cfg["order"].apply(s, C, axes)
        return s, [A, B, C]

    yo, yi = cfg.define_split("tile_y", y, num_outputs=2, policy="candidate", candidate=[[n // 4, 4]])
    xo, xi = cfg.define_split("tile_x", x, num_outputs=2, policy="candidate", candidate=[[n // 8, 8]])
    ko, ki = cfg.define_split("tile_k", k, num_outputs=2, policy="candidate", candidate=[[n // 2, 2]])
    virtual = [yo, xo, ko, yi, ki, xi]
    if policy == "interval_all":
        cfg.define_reorder("order", virtual, policy="interval_all", interval=(2, 5))
    elif policy == "candidate":
        cfg.define_reorder(
            "order", virtual, policy="candidate", candidate=[virtual, [yo, xo, ko, ki, yi, xi]]
        )
    else:
        cfg.define_reorder(
            "order", virtual, policy="interleave", spatial=[[yo, yi], [xo, xi]], reduce=[[ko, ki]]
        )
    yo, yi = cfg["tile_y"].apply(s, C, y)
    xo, xi = cfg["tile_x"].apply(s, C, x)
    ko, ki = cfg["tile_k"].apply(s, C, k)
    cfg["order"].apply(s, C, [yo, xo, ko, yi, ki, xi])
    return s, [A, B, C]


n = 64
measure_option = autotvm.measure_option(autotvm.LocalBuilder(), autotvm.LocalRunner(number=2, repeat=2))
counts = {"identity": 1, "all": 6, "interval_all": 6, "candidate": 2, "interleave": 1}
for policy, count in counts.items():
    task = autotvm.task.create("user/ordered_matmul", args=(n, policy), target="llvm")
    assert len(task.config_space) == count, policy
    print(task.config_space)

    # Each order computes the same.
    a, b = np.random.rand(n, n).astype("float32"), np.random.rand(n, n).astype("float32")
    for i in range(count):
        f = tvm.build(*task.instantiate(task.config_space.get(i)), target="llvm")
        c = tvm.nd.empty((n, n))
        f(tvm.nd.array(a), tvm.nd.array(b), c)
        tvm.testing.assert_allclose(c.numpy(), a @ b, rtol=1e-4)

task = autotvm.task.create("user/ordered_matmul", args=(n, "all"), target="llvm")
assert [tuple(task.config_space.get(i)["order"].perm) for i in range(3)] == [(0, 1, 2), (0, 2, 1), (1, 0, 2)]
nest = str(tvm.lower(*task.instantiate(task.config_space.get(1)), simple_mode=True))
assert nest.index("for i") < nest.rindex("for k") < nest.rindex("for j")

tuner = autotvm.tuner.GridSearchTuner(task)
tuner.tune(n_trial=6, measure_option=measure_option, callbacks=[autotvm.callback.log_to_file("order.log")])
with autotvm.apply_history_best("order.log") as best:
    config = best.query(task.target, task.workload)
    assert config["order"].perm == tuner.best_config["order"].perm
