"""Setting what the processor makes of denormal numbers, in this thread."""

import contextlib
import ctypes
import platform
from collections.abc import Iterator

import pytest

from tilewright.compiler.backends.llvm_jit import Loaded, emit_object
from tilewright.compiler.target import Target

IS_X86 = platform.machine() in ("x86_64", "AMD64")
# Results that are flushed, and operands.
FLUSHING = 0x8040

CODE = """
declare void @llvm.x86.sse.ldmxcsr(ptr)
declare void @llvm.x86.sse.stmxcsr(ptr)
define i32 @change(i32 %on, i32 %off) {
entry:
  %p = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %p)
  %old = load volatile i32, ptr %p
  %kept = and i32 %old, %off
  %new = or i32 %kept, %on
  store volatile i32 %new, ptr %p
  call void @llvm.x86.sse.ldmxcsr(ptr %p)
  ret i32 %old
}
"""
needs_x86 = pytest.mark.skipif(not IS_X86, reason="this is the other architecture")


@contextlib.contextmanager
def flushed() -> Iterator[None]:
    """Denormal numbers are zero inside."""
    loaded = Loaded(emit_object(CODE, Target.host(), full=False), ("change",))
    change = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)(loaded.addresses["change"])
    old = change(FLUSHING, 0xFFFFFFFF)
    try:
        yield
    finally:
        change(old, 0)
