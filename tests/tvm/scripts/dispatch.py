"""Which configuration a template runs with: contexts, inside one another, and look-ups by hand."""

import time

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import autotvm, te
from tilewright.tvm.autotvm.task import DispatchContext, FallbackContext
from tilewright.tvm.autotvm.task.dispatcher import ApplyConfig

used = []


@autotvm.template("user/axpy")
def axpy(n, alpha):
    x = te.placeholder((n,), name="x")
    y = te.placeholder((n,), name="y")
    z = te.compute((n,), lambda i: alpha * x[i] + y[i], name="z")
    s = te.create_schedule(z.op)
    cfg = autotvm.get_config()
    cfg.define_split("tile", s[z].op.axis[0], num_outputs=2)
    cfg.define_knob("vectorize", [False, True])
    used.append((cfg["tile"].size[-1], cfg["vectorize"].val))
    _, xi = cfg["tile"].apply(s, z, s[z].op.axis[0])
    if cfg["vectorize"].val:
        s[z].vectorize(xi)
    return s, [x, y, z]


def check(n):
    with tvm.target.Target("llvm"):
        f = tvm.build(*axpy(n, 2.5))
    x, y = np.random.rand(n).astype("float32"), np.random.rand(n).astype("float32")
    z = tvm.nd.empty((n,))
    f(tvm.nd.array(x), tvm.nd.array(y), z)
    tvm.testing.assert_allclose(z.numpy(), np.float32(2.5) * x + y, rtol=1e-5)
    return used[-1]


def find(task, tile, vectorize):
    for i in range(len(task.config_space)):
        config = task.config_space.get(i)
        if (config["tile"].size[-1], config["vectorize"].val) == (tile, vectorize):
            return config
    raise AssertionError("not in the space")


with tvm.target.Target("llvm"):
    task = autotvm.task.create("user/axpy", args=(128, 2.5), target=None)
    other = autotvm.task.create("user/axpy", args=(64, 2.5), target=tvm.target.Target.current())
assert str(task.target) == str(tvm.target.Target("llvm"))

# One configuration for all that is built inside.
with ApplyConfig(find(task, 16, True)) as context:
    assert check(128) == (16, True)
    found = context.query(task.target, task.workload)
    assert (found["tile"].size, found["vectorize"].val) == ([-1, 16], True)
    assert not found.is_fallback

# Tasks are made into schedules without any context.
s, args = task.instantiate(find(task, 32, False))
assert [t.name for t in args] == ["x", "y", "z"]
assert used[-1] == (32, False)

# Records of one shape; the contexts around answer for the other.
record = (
    autotvm.MeasureInput(task.target, task, find(task, 8, True)),
    autotvm.MeasureResult((1e-5,), 0, 0.1, time.time()),
)
slower = (
    autotvm.MeasureInput(task.target, task, find(task, 4, True)),
    autotvm.MeasureResult((2e-5,), 0, 0.1, time.time()),
)
elsewhere = (
    autotvm.MeasureInput(other.target, other, find(other, 2, False)),
    autotvm.MeasureResult((1e-5,), 0, 0.1, time.time()),
)
with autotvm.apply_history_best([elsewhere]):
    assert check(64) == (2, False)
    with autotvm.apply_history_best([slower, record]):
        assert check(128) == (8, True)
        assert check(64) == (2, False)
        config = DispatchContext.current.query(task.target, task.workload)
        assert config["tile"].size == [-1, 8]

# Nothing is in force: the root of all contexts gives an untuned configuration.
config = DispatchContext.current.query(task.target, task.workload)
assert config.is_fallback
with FallbackContext() as context:
    assert context.query(other.target, other.workload).is_fallback
    untuned = check(128)
print("untuned:", untuned)

# A context may learn while it is in force.
best = autotvm.apply_history_best([record])
best.update(other.target, other.workload, find(other, 4, False))
with best:
    assert check(64) == (4, False)
    assert check(128) == (8, True)

# Records for another processor are not used for this one.
skylake = tvm.target.Target("llvm -mcpu=skylake-avx512")
foreign = autotvm.task.create("user/axpy", args=(128, 2.5), target=skylake)
line = autotvm.MeasureInput(skylake, foreign, find(task, 1, False)), record[1]
with autotvm.apply_history_best([line]):
    assert check(128) == untuned
