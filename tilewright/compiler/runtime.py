"""Native code that every process shares: it repeats kernels and reads the clock; the calibration loops."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from tilewright.compiler.backends.llvm_jit import Loaded, emit_object
from tilewright.compiler.once import once
from tilewright.compiler.target import Target

ACCUMULATORS = 24

# CLOCK stands for the number of CLOCK_MONOTONIC.
REPEAT = """
declare i32 @clock_gettime(i32, ptr)
define i64 @now() {
entry:
  %t = alloca [2 x i64], align 16
  %r = call i32 @clock_gettime(i32 CLOCK, ptr %t)
  %s = load i64, ptr %t, align 8
  %p = getelementptr inbounds i64, ptr %t, i64 1
  %n = load i64, ptr %p, align 8
  %m = mul i64 %s, 1000000000
  %sum = add i64 %m, %n
  ret i64 %sum
}
define i64 @repeat(ptr %kernel, ptr %args, ptr %scratch, ptr %launch, i64 %times) {
entry:
  %start = call i64 @now()
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %n, %loop ]
  call void %kernel(ptr %args, ptr %scratch, ptr %launch)
  %n = add nuw nsw i64 %i, 1
  %c = icmp slt i64 %n, %times
  br i1 %c, label %loop, label %done
done:
  %stop = call i64 @now()
  %d = sub i64 %stop, %start
  ret i64 %d
}
"""


@once
def runtime() -> Loaded:
    """The shared functions, loaded once."""
    import sys

    clock = "6" if sys.platform == "darwin" else "1"
    text = REPEAT.replace("i32 CLOCK", f"i32 {clock}")
    target = Target.host()
    return Loaded(
        emit_object(
            text + LAUNCH_SERIALLY + _compute_loop(target) + _bandwidth_loop(target), target, full=False
        ),
        SYMBOLS,
    )


# What `launch` of backends/threads.py does, without threads.
LAUNCH_SERIALLY = """
define void @launch_serially(
    ptr %body, ptr %frame, i64 %first, i64 %last, ptr %scratch, i64 %stride, i64 %parts) {
entry:
  %length = sub i64 %last, %first
  br label %loop
loop:
  %part = phi i64 [ 0, %entry ], [ %next, %more ]
  %is.left = icmp slt i64 %part, %parts
  br i1 %is.left, label %share, label %done
share:
  %next = add nuw nsw i64 %part, 1
  %low.whole = mul i64 %length, %part
  %low.offset = sdiv i64 %low.whole, %parts
  %low = add i64 %first, %low.offset
  %high.whole = mul i64 %length, %next
  %high.offset = sdiv i64 %high.whole, %parts
  %high = add i64 %first, %high.offset
  %is.empty = icmp sge i64 %low, %high
  br i1 %is.empty, label %more, label %run
run:
  %offset = mul i64 %part, %stride
  %memory = getelementptr i8, ptr %scratch, i64 %offset
  call void %body(ptr %frame, i64 %low, i64 %high, ptr %memory)
  br label %more
more:
  br label %loop
done:
  ret void
}
"""

SYMBOLS = ("repeat", "launch_serially", "compute_loop", "bandwidth_loop")


@once
def repeat_function() -> Callable[..., int]:
    """``repeat(kernel, args, scratch, launch, times) -> nanoseconds``; releases the GIL."""
    prototype = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 4, ctypes.c_int64)
    return prototype(runtime().addresses["repeat"])


def _compute_loop(target: Target) -> str:
    """A kernel of multiply-adds on registers alone: the core's peak."""
    lanes = target.lanes(4)
    kind = f"<{lanes} x float>"
    count = ACCUMULATORS if target.vector_registers == 32 else 12
    lines = [
        "define void @compute_loop(ptr %args, ptr %scratch, ptr %launch) #0 {",
        "entry:",
        "  %xp = load ptr, ptr %args, align 8",
        f"  %x = load {kind}, ptr %xp, align 4",
        f"  %yp = getelementptr i8, ptr %xp, i64 {lanes * 4}",
        f"  %y = load {kind}, ptr %yp, align 4",
        "  br label %loop",
        "loop:",
        "  %i = phi i64 [ 0, %entry ], [ %n, %loop ]",
    ]
    lines += [f"  %a{j} = phi {kind} [ %x, %entry ], [ %b{j}, %loop ]" for j in range(count)]
    lines += [
        f"  %b{j} = call {kind} @llvm.fma.v{lanes}f32({kind} %a{j}, {kind} %x, {kind} %y)"
        for j in range(count)
    ]
    lines += ["  %n = add nuw nsw i64 %i, 1", f"  %c = icmp slt i64 %n, {COMPUTE_TRIPS}"]
    lines += ["  br i1 %c, label %loop, label %done", "done:"]
    total = "%b0"
    for j in range(1, count):
        lines.append(f"  %s{j} = fadd {kind} {total}, %b{j}")
        total = f"%s{j}"
    lines += [f"  store {kind} {total}, ptr %xp, align 4", "  ret void", "}"]
    width = f'"prefer-vector-width"="{target.vector_bits}" "min-legal-vector-width"="{target.vector_bits}"'
    lines += [f"declare {kind} @llvm.fma.v{lanes}f32({kind}, {kind}, {kind})"]
    return "\n".join([*lines, f"attributes #0 = {{ nounwind {width} }}", ""])


COMPUTE_TRIPS = 4096
BANDWIDTH_BYTES = 8 << 20  # larger than the second cache of most cores
READERS = 4  # vectors that the bandwidth loop reads in one step


def _bandwidth_loop(target: Target) -> str:
    """A kernel that reads a block of memory: the second argument is the number of its elements."""
    lanes = target.lanes(4)
    kind = f"<{lanes} x float>"
    lines = [
        "define void @bandwidth_loop(ptr %args, ptr %scratch, ptr %launch) #0 {",
        "entry:",
        "  %p = load ptr, ptr %args, align 8",
        "  %where = getelementptr i8, ptr %args, i64 8",
        "  %count = load i64, ptr %where, align 8",
        "  br label %loop",
        "loop:",
        "  %i = phi i64 [ 0, %entry ], [ %n, %loop ]",
    ]
    lines += [f"  %a{j} = phi {kind} [ zeroinitializer, %entry ], [ %b{j}, %loop ]" for j in range(READERS)]
    for j in range(READERS):
        lines += [
            f"  %o{j} = add nuw nsw i64 %i, {j * lanes}",
            f"  %q{j} = getelementptr inbounds float, ptr %p, i64 %o{j}",
            f"  %l{j} = load {kind}, ptr %q{j}, align 4",
            f"  %b{j} = fadd {kind} %a{j}, %l{j}",
        ]
    lines += [f"  %n = add nuw nsw i64 %i, {READERS * lanes}", "  %c = icmp slt i64 %n, %count"]
    lines += ["  br i1 %c, label %loop, label %done", "done:"]
    lines += [
        f"  %s1 = fadd {kind} %b0, %b1",
        f"  %s2 = fadd {kind} %b2, %b3",
        f"  %s = fadd {kind} %s1, %s2",
    ]
    return "\n".join([*lines, f"  store {kind} %s, ptr %p, align 4", "  ret void", "}", ""])


def bandwidth_step() -> int:
    """The bytes that the bandwidth loop reads in one step; it reads whole steps."""
    return READERS * Target.host().lanes(4) * 4


def compute_flops() -> int:
    """Floating-point operations of one pass of the compute loop."""
    target = Target.host()
    count = ACCUMULATORS if target.vector_registers == 32 else 12
    return 2 * count * target.lanes(4) * COMPUTE_TRIPS
