"""Mathematical functions, conditions, casts and integer arithmetic in expressions."""

import math

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import te, tir

n = 128


def run(expression, *inputs):
    """Evaluate an expression of elements of the inputs, with a vectorized loop."""
    tensors = [te.placeholder(x.shape, dtype=x.dtype.name, name="A%d" % i) for i, x in enumerate(inputs)]
    out = te.compute((n,), lambda i: expression(*(t[i] for t in tensors)), name="B")
    s = te.create_schedule(out.op)
    _, inner = s[out].split(out.op.axis[0], factor=16)
    s[out].vectorize(inner)
    f = tvm.build(s, tensors + [out], "llvm", name="elementwise")
    result = tvm.nd.empty((n,), out.dtype, tvm.cpu())
    f(*(tvm.nd.array(x) for x in inputs), result)
    return result.numpy()


x = np.random.uniform(0.1, 2.0, size=n).astype("float32")
for name in ("exp", "log", "sqrt", "tanh", "sin", "cos", "floor", "ceil", "trunc", "abs"):
    tvm.testing.assert_allclose(run(getattr(te, name), x), getattr(np, name)(x), rtol=1e-5, atol=1e-6)
    assert getattr(tir, name) is getattr(te, name)
tvm.testing.assert_allclose(run(te.sigmoid, x), 1 / (1 + np.exp(-x)), rtol=1e-5)
tvm.testing.assert_allclose(run(te.rsqrt, x), 1 / np.sqrt(x), rtol=1e-5)
tvm.testing.assert_allclose(run(te.erf, x), [math.erf(v) for v in x], rtol=1e-5)
tvm.testing.assert_allclose(run(lambda v: te.power(v, 3.0), x), x**3, rtol=1e-5)
tvm.testing.assert_allclose(run(lambda v: te.tan(v * 0.5), x), np.tan(x * 0.5), rtol=1e-5)

# Conditions; a guarded read is not carried out where the condition is false.
y = np.random.uniform(-1, 1, size=n).astype("float32")
relu = np.maximum(y, 0)
tvm.testing.assert_allclose(run(lambda v: tir.max(v, tir.const(0, "float32")), y), relu)
tvm.testing.assert_allclose(run(lambda v: tir.Select(v > 0, v, tir.const(0.0, "float32")), y), relu)
tvm.testing.assert_allclose(run(lambda v: tir.if_then_else(tir.any(v > 0, v > 1), v, 0.0), y), relu)
tvm.testing.assert_allclose(run(lambda v: tir.if_then_else(tir.all(v > 0, v > -1), v, 0.0), y), relu)
tvm.testing.assert_allclose(run(lambda v: -v + te.abs(v), y), -y + np.abs(y), rtol=1e-6)

A = te.placeholder((n,), name="A")
shifted = te.compute((n,), lambda i: tir.if_then_else(i > 0, A[i - 1], tir.const(0, A.dtype)), name="shifted")
out = tvm.nd.empty((n,))
tvm.build(te.create_schedule(shifted.op), [A, shifted], "llvm")(tvm.nd.array(x), out)
tvm.testing.assert_allclose(out.numpy(), np.concatenate([[0], x[:-1]]))

# Casts and integers.
z = np.random.randint(-20, 20, size=n).astype("int32")
tvm.testing.assert_allclose(run(lambda v: v.astype("float32") * 0.5, z), z * 0.5)
tvm.testing.assert_allclose(run(lambda v: te.floordiv(v, 3) * 10 + te.floormod(v, 3), z), z // 3 * 10 + z % 3)
tvm.testing.assert_allclose(run(lambda v: tir.truncdiv(v, 3), z), np.trunc(z / 3).astype("int32"))
assert run(lambda v: v.astype("int8"), z).dtype == np.int8
assert run(lambda v: v.astype("float64") + 1.0, x).dtype == np.float64
tvm.testing.assert_allclose(run(lambda v: tir.Cast("float64", v), x), x.astype("float64"))

# The limits of types.
limits = run(lambda v: tir.Select(v > 0, te.max_value("int32"), te.min_value("int32")), z)
tvm.testing.assert_allclose(limits, np.where(z > 0, 2**31 - 1, -(2**31)))

# A softmax over the last axis, by stages.
rows, columns = 32, 48
A = te.placeholder((rows, columns), name="A")
k = te.reduce_axis((0, columns), "k")
greatest = te.compute((rows,), lambda i: te.max(A[i, k], axis=k), name="greatest")
shifted = te.compute((rows, columns), lambda i, j: te.exp(A[i, j] - greatest[i]), name="shifted")
k2 = te.reduce_axis((0, columns), "k2")
total = te.compute((rows,), lambda i: te.sum(shifted[i, k2], axis=k2), name="total")
softmax = te.compute((rows, columns), lambda i, j: shifted[i, j] / total[i], name="softmax")
s = te.create_schedule(softmax.op)
for stage in (greatest, shifted, total):
    s[stage].compute_at(s[softmax], softmax.op.axis[0])
s[softmax].parallel(softmax.op.axis[0])
f = tvm.build(s, [A, softmax], "llvm")
a = np.random.randn(rows, columns).astype("float32")
out = tvm.nd.empty((rows, columns))
f(tvm.nd.array(a), out)
e = np.exp(a - a.max(axis=1, keepdims=True))
tvm.testing.assert_allclose(out.numpy(), e / e.sum(axis=1, keepdims=True), rtol=1e-5)
