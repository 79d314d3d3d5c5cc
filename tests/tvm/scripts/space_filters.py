"""Filters of one knob and of several together."""

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import autotvm, te


@autotvm.template("user/filtered_matmul")
def matmul(n, dtype):
    A = te.placeholder((n, n), name="A", dtype=dtype)
    B = te.placeholder((n, n), name="B", dtype=dtype)
    k = te.reduce_axis((0, n), name="k")
    C = te.compute((n, n), lambda i, j: te.sum(A[i, k] * B[k, j], axis=[k]), name="C")
    s = te.create_schedule(C.op)
    y, x = s[C].op.axis
    k = s[C].op.reduce_axis[0]

    cfg = autotvm.get_config()
    cfg.define_split("tile_y", y, num_outputs=2, filter=lambda e: e.size[-1] <= 16)
    cfg.define_split("tile_x", x, num_outputs=3, policy="power2", max_factor=32)
    cfg.define_split("tile_k", k, num_outputs=2, policy="candidate", candidate=[[n // 4, 4], [n // 8, 8]])
    # A tile has to hold between 32 and 256 elements.
    cfg.multi_filter(
        filter=lambda entity: 32 <= entity["tile_y"].size[-1] * np.prod(entity["tile_x"].size[1:]) <= 256
    )

    yo, yi = cfg["tile_y"].apply(s, C, y)
    xo, xm, xi = cfg["tile_x"].apply(s, C, x)
    ko, ki = cfg["tile_k"].apply(s, C, k)
    s[C].reorder(yo, xo, ko, xm, ki, yi, xi)
    return s, [A, B, C]


n = 64
task = autotvm.task.create("user/filtered_matmul", args=(n, "float64"), target="llvm")
space = task.config_space
print(space)


def tile(config):
    return config["tile_y"].size[-1] * config["tile_x"].size[1] * config["tile_x"].size[2]


expected = [
    (y, xm, xi, k)
    for k in (4, 8)
    for xm in (1, 2, 4, 8, 16, 32)
    for xi in (1, 2, 4, 8, 16, 32)
    for y in (1, 2, 4, 8, 16)
    if xm * xi <= n and 32 <= y * xm * xi <= 256
]
assert len(space) == len(expected) < space.range_length
assert len(space.space_map["tile_y"]) == 5
assert not space.is_index_valid(0)
for index in space.sample_ints(20):
    assert space.is_index_valid(index)
    assert 32 <= tile(space.get(index)) <= 256
try:
    space.get(0)
except IndexError as error:
    print("as expected:", error)
else:
    raise AssertionError("an index that the filter refuses has no configuration")

# Another filter from outside, as a user's tuning script adds one.
space.multi_filter(filter=lambda entity: entity["tile_k"].size[-1] == 8)
assert len(space) == sum(k == 8 for *_, k in expected)

for tuner_class in (autotvm.tuner.RandomTuner, autotvm.tuner.GATuner, autotvm.tuner.XGBTuner):
    tuner = tuner_class(task)
    seen = []
    tuner.tune(
        n_trial=3,
        measure_option=autotvm.measure_option("local", "local"),
        callbacks=[lambda tuner, inputs, results: seen.extend(inp.config for inp in inputs)],
    )
    assert len(seen) == 3
    assert all(32 <= tile(config) <= 256 and config["tile_k"].size == [8, 8] for config in seen)

f = tvm.build(*task.instantiate(tuner.best_config), target="llvm")
a, b = np.random.rand(n, n), np.random.rand(n, n)
c = tvm.nd.empty((n, n), "float64")
f(tvm.nd.array(a), tvm.nd.array(b), c)
tvm.testing.assert_allclose(c.numpy(), a @ b, rtol=1e-9)
