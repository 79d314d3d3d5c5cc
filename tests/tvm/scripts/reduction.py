"""Reductions: their axes, sums by parts (rfactor), and reducers of one's own."""

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import te

n, m = 64, 96
A = te.placeholder((n, m), name="A")
k = te.reduce_axis((0, m), "k")
a = np.random.uniform(0.5, 1.5, size=(n, m)).astype("float32")


def check(s, args, inputs, expected, rtol=1e-4):
    f = tvm.build(s, args, "llvm")
    out = tvm.nd.array(np.zeros(expected.shape, dtype=expected.dtype), tvm.cpu())
    f(*(tvm.nd.array(x, tvm.cpu()) for x in inputs), out)
    tvm.testing.assert_allclose(out.numpy(), expected, rtol=rtol)


# Rows are summed; the reduction's loop can be split like any other.
B = te.compute((n,), lambda i: te.sum(A[i, k], axis=k), name="B")
s = te.create_schedule(B.op)
print(tvm.lower(s, [A, B], simple_mode=True))
ko, ki = s[B].split(B.op.reduce_axis[0], factor=16)
xo, xi = s[B].split(B.op.axis[0], factor=32)
s[B].reorder(xo, ko, xi, ki)
print(tvm.lower(s, [A, B], simple_mode=True))
check(s, [A, B], [a], a.sum(axis=1))

# Other operations, and several axes at once.
for reduce, numpy_reduce in ((te.max, np.max), (te.min, np.min), (te.sum, np.sum)):
    k = te.reduce_axis((0, m), "k")
    T = te.compute((n,), lambda i: reduce(A[i, k], axis=k), name="T")
    check(te.create_schedule(T.op), [A, T], [a], numpy_reduce(a, axis=1))

r, c = te.reduce_axis((0, n), "r"), te.reduce_axis((0, m), "c")
total = te.compute((1,), lambda i: te.sum(A[r, c], axis=[r, c]), name="total")
check(te.create_schedule(total.op), [A, total], [a], a.sum(dtype="float64").reshape(1).astype("float32"))

# A sum by parts: 16 partial sums for each row, which are then added.
k = te.reduce_axis((0, m), "k")
B = te.compute((n,), lambda i: te.sum(A[i, k], axis=k), name="B")
s = te.create_schedule(B.op)
ko, ki = s[B].split(B.op.reduce_axis[0], factor=16)
BF = s.rfactor(B, ki)
nest = str(tvm.lower(s, [A, B], simple_mode=True))
print(nest)
assert "B.rf" in nest
print(s[B].op.body)
assert BF.shape == (16, n)
check(s, [A, B], [a], a.sum(axis=1))

# The same with the partial sums inside the loop over rows, and vectors of them.
s = te.create_schedule(B.op)
ko, ki = s[B].split(B.op.reduce_axis[0], factor=16)
BF = s.rfactor(B, ki)
xo, xi = s[B].split(s[B].op.axis[0], factor=32)
s[B].parallel(xo)
s[BF].compute_at(s[B], xi)
s[BF].vectorize(s[BF].op.axis[0])
print(tvm.lower(s, [A, B], simple_mode=True))
check(s, [A, B], [a], a.sum(axis=1))

# Computed where the remaining reduction is.
s = te.create_schedule(B.op)
ko, ki = s[B].split(B.op.reduce_axis[0], factor=16)
BF = s.rfactor(B, ki)
s[BF].compute_at(s[B], s[B].op.reduce_axis[0])
check(s, [A, B], [a], a.sum(axis=1))

# Reducers of one's own.
product = te.comm_reducer(lambda x, y: x * y, lambda t: tvm.tir.const(1, dtype=t), name="product")
k = te.reduce_axis((0, m), "k")
P = te.compute((n,), lambda i: product(A[i, k], axis=k), name="P")
check(te.create_schedule(P.op), [A, P], [a], a.prod(axis=1), rtol=1e-3)

widest = te.comm_reducer(
    lambda x, y: tvm.tir.Select(x > y, x, y), lambda t: tvm.te.min_value(t), name="widest"
)
k = te.reduce_axis((0, m), "k")
W = te.compute((n,), lambda i: widest(A[i, k], axis=k), name="W")
check(te.create_schedule(W.op), [A, W], [a], a.max(axis=1))

# A convolution is a reduction over two axes.
image = te.placeholder((34, 34), name="image")
filt = te.placeholder((3, 3), name="filter")
di, dj = te.reduce_axis((0, 3), name="di"), te.reduce_axis((0, 3), name="dj")
out = te.compute(
    (32, 32), lambda i, j: te.sum(image[i + di, j + dj] * filt[di, dj], axis=[di, dj]), name="out"
)
s = te.create_schedule(out.op)
x, w = np.random.rand(34, 34).astype("float32"), np.random.rand(3, 3).astype("float32")
expected = sum(x[i : i + 32, j : j + 32] * w[i, j] for i in range(3) for j in range(3))
check(s, [image, filt, out], [x, w], expected)
