"""First steps: an element-wise sum, its schedule, its speed, its code; then the primitives one by one."""

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import te

tgt = tvm.target.Target(target="llvm", host="llvm")
dev = tvm.device(tgt.kind.name, 0)

n = 200
A = te.placeholder((n,), name="A")
B = te.placeholder((n,), name="B")
C = te.compute(A.shape, lambda i: A[i] + B[i], name="C")
print(type(C))

s = te.create_schedule(C.op)
fadd = tvm.build(s, [A, B, C], tgt, name="myadd")
a = tvm.nd.array(np.random.uniform(size=n).astype(A.dtype), dev)
b = tvm.nd.array(np.random.uniform(size=n).astype(B.dtype), dev)
c = tvm.nd.array(np.zeros(n, dtype=C.dtype), dev)
fadd(a, b, c)
tvm.testing.assert_allclose(c.numpy(), a.numpy() + b.numpy())


def evaluate_addition(func, target, optimization, log):
    dev = tvm.device(target.kind.name, 0)
    c = tvm.nd.array(np.zeros(n, dtype=C.dtype), dev)
    evaluator = func.time_evaluator(func.entry_name, dev, number=10)
    mean_time = evaluator(a, b, c).mean
    print("%s: %f" % (optimization, mean_time))
    log.append((optimization, mean_time))


log = []
evaluate_addition(fadd, tgt, "naive", log=log)
s[C].parallel(C.op.axis[0])
print(tvm.lower(s, [A, B, C], simple_mode=True))
fadd_parallel = tvm.build(s, [A, B, C], tgt, name="myadd_parallel")
fadd_parallel(a, b, c)
tvm.testing.assert_allclose(c.numpy(), a.numpy() + b.numpy())
evaluate_addition(fadd_parallel, tgt, "parallel", log=log)

s = te.create_schedule(C.op)
factor = 16
outer, inner = s[C].split(C.op.axis[0], factor=factor)
s[C].parallel(outer)
s[C].vectorize(inner)
fadd_vector = tvm.build(s, [A, B, C], tgt, name="myadd_parallel")
evaluate_addition(fadd_vector, tgt, "vector", log=log)
fadd_vector(a, b, c)
tvm.testing.assert_allclose(c.numpy(), a.numpy() + b.numpy())
assert [name for name, _ in log] == ["naive", "parallel", "vector"]
assert "define" in fadd_vector.get_source()
assert len(fadd_vector.get_source("asm")) > 0


def run(s, args, *inputs):
    outputs = [tvm.nd.empty(t.shape, t.dtype) for t in args[len(inputs) :]]
    tvm.build(s, args, target=tgt)(*(tvm.nd.array(x) for x in inputs), *outputs)
    return [out.numpy() for out in outputs]


# split by factor and by number of parts, tile, fuse, reorder
m = 96
x = np.random.rand(m, n).astype("float32")
for schedule in ("factor", "nparts", "tile", "fuse", "reorder"):
    A = te.placeholder((m, n), name="A")
    B = te.compute((m, n), lambda i, j: A[i, j] * 2 + 1, name="B")
    s = te.create_schedule(B.op)
    i, j = B.op.axis
    if schedule == "factor":
        s[B].split(i, factor=32)
    elif schedule == "nparts":
        s[B].split(i, nparts=32)
    else:
        xo, yo, xi, yi = s[B].tile(i, j, x_factor=10, y_factor=5)
        if schedule == "fuse":
            fused = s[B].fuse(xi, yi)
            s[B].unroll(fused)
        elif schedule == "reorder":
            s[B].reorder(xi, yo, xo, yi)
    print(tvm.lower(s, [A, B], simple_mode=True))
    tvm.testing.assert_allclose(run(s, [A, B], x)[0], 2 * x + 1, rtol=1e-6)

# compute_at, compute_inline, compute_root: one program in four ways
x = np.random.rand(n).astype("float32")
A = te.placeholder((n,), name="A")
B = te.compute((n,), lambda i: A[i] + 1, name="B")
C = te.compute((n,), lambda i: B[i] * 2, name="C")
nests = []
for where in ("root", "at", "inline", "at, then root"):
    s = te.create_schedule(C.op)
    if where.startswith("at"):
        s[B].compute_at(s[C], C.op.axis[0])
    if where.endswith("root"):
        s[B].compute_root()
    if where == "inline":
        s[B].compute_inline()
    nests.append(str(tvm.lower(s, [A, C], simple_mode=True)))
    tvm.testing.assert_allclose(run(s, [A, C], x)[0], (x + 1) * 2, rtol=1e-6)
assert nests[0] == nests[3]
assert nests[0].count("for ") == 2
assert nests[2].count("for ") == 1

# several outputs, each of which is returned
A = te.placeholder((m, n), name="A")
B = te.placeholder((m, n), name="B")
total = te.compute((m, n), lambda *i: A(*i) + B(*i), name="total")
scaled = te.compute((m, n), lambda *i: total(*i) * B(*i), name="scaled")
s = te.create_schedule([total.op, scaled.op])
x, y = np.random.rand(m, n).astype("float32"), np.random.rand(m, n).astype("float32")
first, second = run(s, [A, B, total, scaled], x, y)
tvm.testing.assert_allclose(first, x + y, rtol=1e-6)
tvm.testing.assert_allclose(second, (x + y) * y, rtol=1e-6)
