"""Records as text and as objects: encode, decode, load, keys, and a log that was edited by hand."""

import json
import os
import time

import tilewright.tvm as tvm
from tilewright.tvm import autotvm, te
from tilewright.tvm.autotvm import MeasureInput, MeasureResult
from tilewright.tvm.autotvm.record import decode, encode, load_from_file, measure_str_key


@autotvm.template("user/vector_sum")
def vector_sum(n, dtype):
    a = te.placeholder((n,), dtype=dtype, name="a")
    b = te.placeholder((n,), dtype=dtype, name="b")
    c = te.compute((n,), lambda i: a[i] + b[i], name="c")
    s = te.create_schedule(c.op)
    cfg = autotvm.get_config()
    (x,) = s[c].op.axis
    cfg.define_split("tile", x, num_outputs=2)
    cfg.define_reorder("order", [x], policy="all")
    cfg.define_annotate("ann", [x], policy="try_unroll")
    cfg.define_knob("other", [1, 2])
    xo, xi = cfg["tile"].apply(s, c, x)
    return s, [a, b, c]


task = autotvm.task.create("user/vector_sum", args=(128, "float32"), target=tvm.target.Target("llvm"))
inp = MeasureInput(task.target, task, task.config_space.get(5))
res = MeasureResult(costs=(0.001, 0.002), error_no=0, all_cost=0.5, timestamp=time.time())

row = encode(inp, res)
fields = json.loads(row)
assert set(fields) == {"input", "config", "result", "version", "tvm_version"}
assert fields["input"][1:] == ["user/vector_sum", [128, "float32"], {}]
assert fields["config"]["index"] == 5
assert [kind for _, kind, _ in fields["config"]["entity"]] == ["sp", "re", "an", "ot"]
assert fields["result"][:2] == [[0.001, 0.002], 0]

inp_again, res_again = decode(row)
assert measure_str_key(inp_again) == measure_str_key(inp)
assert measure_str_key(inp, include_config=False) in measure_str_key(inp)
assert res_again.costs == res.costs
assert res_again.timestamp == res.timestamp
assert inp_again.config["tile"].size == inp.config["tile"].size
assert inp_again.task.workload == task.workload == ("user/vector_sum", 128, "float32")
assert str(inp_again.target) == str(task.target)

other = MeasureInput(task.target, task, task.config_space.get(6))
assert measure_str_key(other) != measure_str_key(inp)
assert measure_str_key(other, False) == measure_str_key(inp, False)

# A log by hand: comments, a blank line, a failure, a line that is cut off.
failure = MeasureResult(
    (RuntimeError("out of luck"),), autotvm.MeasureErrorNo.RUNTIME_DEVICE, 0.1, time.time()
)
with open("hand.log", "w") as f:
    f.write("# what I tuned on Friday\n\n")
    f.write(row + "\n")
    f.write(encode(other, failure) + "\n")
    f.write(encode(other, res)[:60] + "\n")
loaded = list(load_from_file("hand.log"))
assert [(i.config.index, r.error_no) for i, r in loaded] == [(5, 0), (6, 4)]
assert loaded[1][1].costs == (1e9,)

# The callback takes an open file as well.
with open("callback.log", "a") as f:
    log = autotvm.callback.log_to_file(f)
    log(None, [inp, other], [res, failure])
assert os.path.getsize("callback.log") > 0
assert len(list(load_from_file("callback.log"))) == 2

# The best of objects, of a file, and of both.
for records in ([(inp, res)], "hand.log", ["hand.log", "callback.log"], load_from_file("hand.log")):
    context = autotvm.task.ApplyHistoryBest(records)
    assert context.query(task.target, task.workload).index == 5
