"""A log that knows one shape, and what other shapes are built with."""

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import autotvm, te
from tilewright.tvm.autotvm.task.space import SplitEntity

seen = []


def matmul_tensors(n, l, m):
    A = te.placeholder((n, l), name="A")
    B = te.placeholder((l, m), name="B")
    k = te.reduce_axis((0, l), name="k")
    return A, B, te.compute((n, m), lambda i, j: te.sum(A[i, k] * B[k, j], axis=k), name="C")


def schedule(cfg, s, C):
    yo, yi = cfg["tile_y"].apply(s, C, C.op.axis[0])
    xo, xi = cfg["tile_x"].apply(s, C, C.op.axis[1])
    s[C].reorder(yo, xo, C.op.reduce_axis[0], yi, xi)
    seen.append((cfg.is_fallback, cfg["tile_y"].size, cfg["tile_x"].size))


@autotvm.template("user/fallback_values")
def with_values(n, l, m):
    A, B, C = matmul_tensors(n, l, m)
    s = te.create_schedule(C.op)
    cfg = autotvm.get_config()
    cfg.define_split("tile_y", C.op.axis[0], num_outputs=2)
    cfg.define_split("tile_x", C.op.axis[1], num_outputs=2)
    if cfg.is_fallback:
        cfg["tile_y"] = SplitEntity([-1, 4])
        cfg["tile_x"] = SplitEntity([-1, 8])
    schedule(cfg, s, C)
    return s, [A, B, C]


@autotvm.template("user/fallback_limits")
def with_limits(n, l, m):
    A, B, C = matmul_tensors(n, l, m)
    s = te.create_schedule(C.op)
    cfg = autotvm.get_config()
    cfg.define_split("tile_y", C.op.axis[0], num_outputs=2)
    cfg.define_split("tile_x", C.op.axis[1], num_outputs=2)
    if cfg.is_fallback:
        cfg.fallback_split("tile_y", [-1, 8])
        cfg.fallback_split("tile_x", [-1, 16])
    schedule(cfg, s, C)
    return s, [A, B, C]


@autotvm.template("user/fallback_none")
def without(n, l, m):
    A, B, C = matmul_tensors(n, l, m)
    s = te.create_schedule(C.op)
    cfg = autotvm.get_config()
    cfg.define_split("tile_y", C.op.axis[0], num_outputs=2)
    cfg.define_split("tile_x", C.op.axis[1], num_outputs=2)
    schedule(cfg, s, C)
    return s, [A, B, C]


def check(template, n, l, m):
    """Build, run and compare; return what the template saw while it was built."""
    seen.clear()
    with tvm.target.Target("llvm"):
        s, args = template(n, l, m)
        f = tvm.build(s, args)
    a, b = np.random.rand(n, l).astype("float32"), np.random.rand(l, m).astype("float32")
    c = tvm.nd.empty((n, m))
    f(tvm.nd.array(a), tvm.nd.array(b), c)
    tvm.testing.assert_allclose(c.numpy(), a @ b, rtol=1e-4)
    return seen[-1]


task = autotvm.task.create("user/fallback_values", args=(64, 32, 64), target="llvm")
tuner = autotvm.tuner.GridSearchTuner(task, range_idx=(20, 22))
tuner.tune(
    3,
    autotvm.measure_option(autotvm.LocalBuilder(), autotvm.LocalRunner()),
    callbacks=[autotvm.callback.log_to_file("one_shape.log")],
)
best = tuner.best_config

with autotvm.apply_history_best("one_shape.log"):
    is_fallback, y, x = check(with_values, 64, 32, 64)
    assert not is_fallback
    assert (y, x) == (best["tile_y"].size, best["tile_x"].size)

    # Another shape has no record: the template's own values hold.
    assert check(with_values, 64, 32, 128) == (True, [-1, 4], [-1, 8])

# Without any log, the same.
assert check(with_values, 64, 32, 64) == (True, [-1, 4], [-1, 8])

# The largest factors within the limits; the outermost is computed by fallback_split.
is_fallback, y, x = check(with_limits, 60, 32, 56)
assert is_fallback
assert (y[-1], x[-1]) == (6, 14)

# A template that says nothing has untuned choices all the same.
is_fallback, y, x = check(without, 64, 32, 48)
assert is_fallback
print("chosen without a record:", y, x)
