"""Keep the best line of each workload of several logs, and build from the file that results."""

import io
import subprocess
import sys

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import autotvm, te
from tilewright.tvm.autotvm.record import load_from_file, pick_best


@autotvm.template("user/scale")
def scale(n, dtype):
    a = te.placeholder((n,), name="a", dtype=dtype)
    b = te.compute((n,), lambda i: a[i] * te.const(3, dtype) if dtype == "int32" else a[i] * 3.0, name="b")
    s = te.create_schedule(b.op)
    cfg = autotvm.get_config()
    cfg.define_knob("factor", [4, 8, 16, 32])
    o, i = s[b].split(b.op.axis[0], factor=cfg["factor"].val)
    s[b].vectorize(i)
    return s, [a, b]


def tune(n, dtype, log):
    task = autotvm.task.create("user/scale", args=(n, dtype), target="llvm")
    tuner = autotvm.tuner.GridSearchTuner(task)
    option = autotvm.measure_option(builder="local", runner="local")
    tuner.tune(n_trial=4, measure_option=option, callbacks=[autotvm.callback.log_to_file(log)])


tune(128, "float32", "all.log")
tune(256, "float32", "all.log")
with open("all.log") as f:
    assert len(f.read().splitlines()) == 8

pick_best("all.log", "best.log")
best = list(load_from_file("best.log"))
assert [inp.task.args for inp, _ in best] == [(128, "float32"), (256, "float32")]
for inp, res in best:
    same = [r for i, r in load_from_file("all.log") if i.task.args == inp.task.args]
    assert np.mean(res.costs) == min(np.mean(r.costs) for r in same)

# A second log joins the same file.
tune(64, "int32", "more.log")
pick_best("more.log", "best.log")
assert len(list(load_from_file("best.log"))) == 3

# The module is a program as well; and an open file will do in place of a path.
command = [sys.executable, "-m", "tilewright.tvm.autotvm.record", "--mode", "pick", "--i", "all.log"]
subprocess.run(command, check=True)
assert len(list(load_from_file("all.log.best.log"))) == 2
with open("all.log") as f:
    text = io.StringIO()
    pick_best(f, text)
assert len(text.getvalue().splitlines()) == 2

for n, dtype in [(128, "float32"), (256, "float32"), (64, "int32")]:
    with autotvm.apply_history_best(["best.log"]), tvm.target.Target("llvm"):
        f = tvm.build(*scale(n, dtype))
    a = tvm.nd.array(np.arange(n).astype(dtype))
    b = tvm.nd.array(np.zeros(n, dtype=dtype))
    f(a, b)
    tvm.testing.assert_allclose(b.numpy(), 3 * np.arange(n))
