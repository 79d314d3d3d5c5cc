"""A search and a way to measure of one's own, in the places of AutoTVM's."""

import time

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import autotvm, te
from tilewright.tvm.autotvm.measure import MeasureErrorNo, MeasureInput, MeasureResult, Runner
from tilewright.tvm.autotvm.tuner import Tuner


@autotvm.template("user/own_matmul")
def matmul(n):
    A = te.placeholder((n, n), name="A")
    B = te.placeholder((n, n), name="B")
    k = te.reduce_axis((0, n), name="k")
    C = te.compute((n, n), lambda i, j: te.sum(A[i, k] * B[k, j], axis=k), name="C")
    s = te.create_schedule(C.op)
    cfg = autotvm.get_config()
    y, x = s[C].op.axis
    cfg.define_split("tile_y", y, num_outputs=2)
    cfg.define_split("tile_x", x, num_outputs=2)
    if cfg["tile_x"].size[-1] == 1:
        cfg.raise_error("one column at a time is too slow to try")
    yo, yi = cfg["tile_y"].apply(s, C, y)
    xo, xi = cfg["tile_x"].apply(s, C, x)
    s[C].reorder(yo, xo, s[C].op.reduce_axis[0], yi, xi)
    return s, [A, B, C]


class HillClimber(Tuner):
    """Goes to a random neighbour of the best configuration until nothing is left."""

    def __init__(self, task):
        super(HillClimber, self).__init__(task)
        self.tried = set()
        self.best = None

    def next_batch(self, batch_size):
        space = self.task.config_space
        batch = []
        while len(batch) < batch_size and self.has_next():
            index = space.get_rand_index(to_exclude=self.tried)
            if self.best is not None:
                near = space.random_walk(self.best[0])
                index = near if near not in self.tried else index
            self.tried.add(index)
            batch.append(space.get(index))
        return batch

    def update(self, inputs, results):
        for inp, res in zip(inputs, results):
            assert isinstance(inp, MeasureInput) and isinstance(res, MeasureResult)
            cost = np.mean(res.costs) if res.error_no == 0 else float("inf")
            if self.best is None or cost < self.best[1]:
                self.best = inp.config.index, cost

    def has_next(self):
        return len(self.tried) < len(self.task.config_space)

    def load_history(self, data_set):
        self.tried.update(inp.config.index for inp, _ in data_set)


class TimingRunner(Runner):
    """Times with time_evaluator in this process and checks the result itself."""

    def __init__(self, number):
        super(TimingRunner, self).__init__(timeout=10, n_parallel=1)
        self.number = number
        self.expected = None

    def set_task(self, task):
        self.task = task
        n = task.args[0]
        self.inputs = [np.random.rand(n, n).astype("float32") for _ in range(2)]
        self.expected = self.inputs[0] @ self.inputs[1]

    def run(self, measure_inputs, build_results):
        results = []
        for inp, built in zip(measure_inputs, build_results):
            tic = time.time()
            if isinstance(built, MeasureResult):
                results.append(built)
                continue
            assert inp.task is self.task
            func = tvm.runtime.load_module(built.filename)
            dev = tvm.device(str(inp.target), 0)
            shape, dtype = built.arg_info[-1]
            args = [tvm.nd.array(x, dev) for x in self.inputs] + [tvm.nd.empty(shape, dtype, dev)]
            costs = func.time_evaluator(func.entry_name, dev, number=self.number, repeat=3)(*args).results
            error_no = MeasureErrorNo.NO_ERROR
            if not np.allclose(args[-1].numpy(), self.expected, rtol=1e-3):
                error_no = MeasureErrorNo.WRONG_ANSWER
            results.append(MeasureResult(costs, error_no, time.time() - tic + built.time_cost, time.time()))
        return results


n = 64
task = autotvm.task.create("user/own_matmul", args=(n,), target="llvm")
tuner = HillClimber(task)
option = autotvm.measure_option(builder=autotvm.LocalBuilder(), runner=TimingRunner(number=2))
tuner.tune(n_trial=49, measure_option=option, callbacks=[autotvm.callback.log_to_file("own.log")])
assert not tuner.has_next()

records = list(autotvm.record.load_from_file("own.log"))
assert len(records) == 49
failed = [inp for inp, res in records if res.error_no == MeasureErrorNo.INSTANTIATION_ERROR]
assert len(failed) == 7 and all(inp.config["tile_x"].size[-1] == 1 for inp in failed)
good = [(inp, res) for inp, res in records if res.error_no == 0]
assert len(good) == 42 and all(len(res.costs) == 3 for _, res in good)
best = min(good, key=lambda pair: np.mean(pair[1].costs))
assert tuner.best_config.index == best[0].config.index

# One's own search with the runner that comes along, resumed: all was tried.
again = HillClimber(task)
again.load_history(autotvm.record.load_from_file("own.log"))
assert not again.has_next()
again = HillClimber(task)
again.tune(n_trial=3, measure_option=autotvm.measure_option("local", "local"))
assert len(again.tried) == 3

with autotvm.apply_history_best("own.log"):
    with tvm.target.Target("llvm"):
        f = tvm.build(*matmul(n))
a, b = np.random.rand(n, n).astype("float32"), np.random.rand(n, n).astype("float32")
c = tvm.nd.empty((n, n))
f(tvm.nd.array(a), tvm.nd.array(b), c)
tvm.testing.assert_allclose(c.numpy(), a @ b, rtol=1e-4)
