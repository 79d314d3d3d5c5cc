"""Intrinsics in LLVM IR, and computations to replace by them, for the tests of ``tensorize``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.te import IterVar, Tensor, TensorIntrin

M, N, K = 6, 24, 20
Scheduled = tuple[Schedule, list[Tensor]]
Element = Callable[[Any, Any], Any]

LANES, DEPTH = 8, 4

# Lanes over the output; any strides, so memory is gathered.
GEMV_IR = """
declare <8 x float> @llvm.fma.v8f32(<8 x float>, <8 x float>, <8 x float>)
declare <8 x float> @llvm.masked.gather.v8f32.v8p0(<8 x ptr>, i32, <8 x i1>, <8 x float>)
declare void @llvm.masked.scatter.v8f32.v8p0(<8 x float>, <8 x ptr>, i32, <8 x i1>)

define internal <8 x ptr> @body(ptr %base, i64 %stride) {
  %one = insertelement <8 x i64> poison, i64 %stride, i64 0
  %all = shufflevector <8 x i64> %one, <8 x i64> poison, <8 x i32> zeroinitializer
  %far = mul <8 x i64> %all, <i64 0, i64 1, i64 2, i64 3, i64 4, i64 5, i64 6, i64 7>
  %at = getelementptr float, ptr %base, <8 x i64> %far
  ret <8 x ptr> %at
}

define void @gemv(ptr %a, i64 %ak, ptr %b, i64 %bi, i64 %bk, ptr %c, i64 %ci) {
entry:
  %cs = call <8 x ptr> @body(ptr %c, i64 %ci)
  %c0 = call <8 x float> @llvm.masked.gather.v8f32.v8p0(<8 x ptr> %cs, i32 4, <8 x i1> splat (i1 true), <8 x float> poison)
  br label %loop
loop:
  %k = phi i64 [ 0, %entry ], [ %next, %loop ]
  %sum = phi <8 x float> [ %c0, %entry ], [ %more, %loop ]
  %ka = mul i64 %k, %ak
  %pa = getelementptr float, ptr %a, i64 %ka
  %x = load float, ptr %pa, align 4
  %x1 = insertelement <8 x float> poison, float %x, i64 0
  %xs = shufflevector <8 x float> %x1, <8 x float> poison, <8 x i32> zeroinitializer
  %kb = mul i64 %k, %bk
  %pb = getelementptr float, ptr %b, i64 %kb
  %bs = call <8 x ptr> @body(ptr %pb, i64 %bi)
  %y = call <8 x float> @llvm.masked.gather.v8f32.v8p0(<8 x ptr> %bs, i32 4, <8 x i1> splat (i1 true), <8 x float> poison)
  %more = call <8 x float> @llvm.fma.v8f32(<8 x float> %xs, <8 x float> %y, <8 x float> %sum)
  %next = add i64 %k, 1
  %again = icmp slt i64 %next, 4
  br i1 %again, label %loop, label %done
done:
  call void @llvm.masked.scatter.v8f32.v8p0(<8 x float> %more, <8 x ptr> %cs, i32 4, <8 x i1> splat (i1 true))
  ret void
}
"""  # noqa: E501

SCALE_IR = """
define void @scale(ptr %x, i64 %xi, ptr %y, i64 %yi) {
  %v = load <8 x float>, ptr %x, align 4
  %w = fmul <8 x float> %v, splat (float 2.0)
  store <8 x float> %w, ptr %y, align 4
  ret void
}
"""

PAIR_IR = """
define void @pair(ptr %x, i64 %xi, ptr %y, i64 %yi) {
  %v = load <8 x float>, ptr %x, align 4
  %p = getelementptr float, ptr %x, i64 1
  %w = load <8 x float>, ptr %p, align 4
  %s = fadd <8 x float> %v, %w
  store <8 x float> %s, ptr %y, align 4
  ret void
}
"""

# A quadruple of bytes for all lanes, one for each lane, lanes and bytes side by side.
DOT_IR = """
declare <16 x i32> @llvm.x86.avx512.vpdpbusd.512(<16 x i32>, <16 x i32>, <16 x i32>)

define void @dot(ptr %a, i64 %ak, ptr %b, i64 %bi, i64 %bk, ptr %c, i64 %ci) {
  %sum = load <16 x i32>, ptr %c, align 4
  %four = load i32, ptr %a, align 1
  %one = insertelement <16 x i32> poison, i32 %four, i64 0
  %all = shufflevector <16 x i32> %one, <16 x i32> poison, <16 x i32> zeroinitializer
  %each = load <16 x i32>, ptr %b, align 1
  %more = call <16 x i32> @llvm.x86.avx512.vpdpbusd.512(<16 x i32> %sum, <16 x i32> %all, <16 x i32> %each)
  store <16 x i32> %more, ptr %c, align 4
  ret void
}
"""


def gemv(
    llvm_ir: str = GEMV_IR, lanes: int = LANES, depth: int = DEPTH, dtype: str = "float32"
) -> TensorIntrin:
    """``c[i] += sum(a[k] * b[i, k])``."""
    a, b = te.placeholder((depth,), dtype, name="a"), te.placeholder((lanes, depth), dtype, name="b")
    k = te.reduce_axis((0, depth), "k")
    c = te.compute((lanes,), lambda i: te.sum(a[k] * b[i, k], axis=k), name="c")
    return te.decl_tensor_intrin(c.op, llvm_ir, name="gemv")


def scale() -> TensorIntrin:
    """``y[i] = x[i] * 2``."""
    x = te.placeholder((8,), name="x")
    return te.decl_tensor_intrin(te.compute((8,), lambda i: x[i] * 2.0, name="y"), SCALE_IR, name="scale")


def dot(llvm_ir: str = DOT_IR) -> TensorIntrin:
    """``c[i] += sum(a[k] * b[i, k])`` of four unsigned and signed bytes."""
    a, b = te.placeholder((4,), "uint8", name="a"), te.placeholder((16, 4), "int8", name="b")
    k = te.reduce_axis((0, 4), "k")
    c = te.compute((16,), lambda i: te.sum(a[k].astype("int32") * b[i, k].astype("int32"), axis=k), name="c")
    return te.decl_tensor_intrin(c.op, llvm_ir, name="dot")


def dense(m: int = M, n: int = N, k: int = K, dtype: str = "float32") -> list[Tensor]:
    """``C = A @ B.T``."""
    a, b = te.placeholder((m, k), dtype, name="A"), te.placeholder((n, k), dtype, name="B")
    r = te.reduce_axis((0, k), "k")
    c = te.compute((m, n), lambda i, j: te.sum(a[i, r] * b[j, r], axis=r), name="C")
    return [a, b, c]


def tiled(s: Schedule, c: Tensor, lanes: int = 8, depth: int = 4) -> tuple[IterVar, ...]:
    """The loops of a tile of the intrinsic's size, innermost."""
    i, j = c.op.axis
    jo, ji = s[c].split(j, factor=lanes)
    ko, ki = s[c].split(c.op.reduce_axis[0], factor=depth)
    s[c].reorder(i, jo, ko, ji, ki)
    return i, jo, ko, ji, ki


def over_a_row(pattern: Element, size: tuple[int, ...], mine: Element) -> Scheduled:
    """``Y[i, j] = mine(X, ...)``, tensorized at j with ``y[i] = pattern(x, i)``."""
    x = te.placeholder(size, name="x")
    y = te.compute((8,), lambda i: pattern(x, i), name="y")
    source = te.placeholder((4, 32), name="X")
    out = te.compute((4, 8), lambda i, j: mine(lambda k: source[i, k], j), name="Y")
    s = create_schedule(out)
    s[out].tensorize(out.op.axis[1], te.decl_tensor_intrin(y, PAIR_IR, name="pair"))
    return s, [source, out]
