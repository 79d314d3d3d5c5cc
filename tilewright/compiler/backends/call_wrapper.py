"""The native side of calling a kernel from Python: checks arrays, releases the GIL, runs the kernel.

One function serves all kernels; a descriptor in memory says what a kernel expects. It reads the fields of
NumPy's array objects directly, at offsets that are verified before first use.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from tilewright.compiler.backends.llvm_jit import Loaded, emit_object
from tilewright.compiler.once import once
from tilewright.compiler.target import Target

OK, NOT_FAST, BUSY, OVERLAP = 0, 1, 2, 3
ALIGNED = 0x100
CONTIGUOUS_ALIGNED = 0x101
WRITEABLE = 0x400
MOST_ARGUMENTS = 64
HEADER = object.__basicsize__
DATA, RANK, DIMS, STRIDES, DESCR, FLAGS = (HEADER + n for n in (0, 8, 16, 24, 40, 48))


class ArgumentRecord(ctypes.Structure):
    """What one argument must be."""

    _fields_ = (
        ("descr", ctypes.c_void_p),
        ("dims", ctypes.c_void_p),
        ("rank", ctypes.c_int64),
        ("flags", ctypes.c_int64),
        ("bytes", ctypes.c_int64),
        ("strides", ctypes.c_void_p),  # of a view; null where the flags say that it is contiguous
    )


class CallRecord(ctypes.Structure):
    """What the wrapper needs to know of a kernel; ``scratch`` is null while a call uses it."""

    _fields_ = (
        ("kernel", ctypes.c_void_p),
        ("launch", ctypes.c_void_p),
        ("scratch", ctypes.c_void_p),
        ("array_type", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("inputs", ctypes.c_int64),
        ("arguments", ctypes.c_void_p),
    )


# Blocks of @call: count, then per argument type, rank, flags, descr and extents, then overlap, then the run.
WRAPPER = """
declare ptr @PyLong_AsVoidPtr(ptr)
declare ptr @PyLong_FromLong(i64)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
define ptr @call(ptr %self, ptr %args, i64 %given) {
entry:
  %slots = alloca [MOST x ptr], align 16
  %record = call ptr @PyLong_AsVoidPtr(ptr %self)
  %kernel = load ptr, ptr %record
  %launch.p = getelementptr i8, ptr %record, i64 8
  %launch = load ptr, ptr %launch.p
  %scratch.p = getelementptr i8, ptr %record, i64 16
  %type.p = getelementptr i8, ptr %record, i64 24
  %type = load ptr, ptr %type.p
  %count.p = getelementptr i8, ptr %record, i64 32
  %count = load i64, ptr %count.p
  %inputs.p = getelementptr i8, ptr %record, i64 40
  %inputs = load i64, ptr %inputs.p
  %wanted.p = getelementptr i8, ptr %record, i64 48
  %wanted = load ptr, ptr %wanted.p
  %count.ok = icmp eq i64 %given, %count
  br i1 %count.ok, label %next, label %slow
next:
  %i = phi i64 [ 0, %entry ], [ %i.next, %accept ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %check, label %outputs
check:
  %array.p = getelementptr ptr, ptr %args, i64 %i
  %array = load ptr, ptr %array.p
  %want = getelementptr [6 x i64], ptr %wanted, i64 %i
  %array.type.p = getelementptr i8, ptr %array, i64 TYPE
  %array.type = load ptr, ptr %array.type.p
  %type.ok = icmp eq ptr %array.type, %type
  br i1 %type.ok, label %fields, label %slow
fields:
  %descr.p = getelementptr i8, ptr %array, i64 DESCR
  %descr = load ptr, ptr %descr.p
  %want.descr = load ptr, ptr %want
  %descr.ok = icmp eq ptr %descr, %want.descr
  %rank.p = getelementptr i8, ptr %array, i64 RANK
  %rank32 = load i32, ptr %rank.p
  %rank = sext i32 %rank32 to i64
  %want.rank.p = getelementptr i8, ptr %want, i64 16
  %want.rank = load i64, ptr %want.rank.p
  %rank.ok = icmp eq i64 %rank, %want.rank
  %flags.p = getelementptr i8, ptr %array, i64 FLAGS
  %flags32 = load i32, ptr %flags.p
  %flags = zext i32 %flags32 to i64
  %want.flags.p = getelementptr i8, ptr %want, i64 24
  %want.flags = load i64, ptr %want.flags.p
  %flags.set = and i64 %flags, %want.flags
  %flags.ok = icmp eq i64 %flags.set, %want.flags
  %ok1 = and i1 %descr.ok, %rank.ok
  %ok2 = and i1 %ok1, %flags.ok
  br i1 %ok2, label %extents, label %slow
extents:
  %dims.p = getelementptr i8, ptr %array, i64 DIMS
  %dims = load ptr, ptr %dims.p
  %want.dims.p = getelementptr i8, ptr %want, i64 8
  %want.dims = load ptr, ptr %want.dims.p
  %steps.p = getelementptr i8, ptr %array, i64 STRIDES
  %steps = load ptr, ptr %steps.p
  %want.steps.p = getelementptr i8, ptr %want, i64 40
  %want.steps = load ptr, ptr %want.steps.p
  %is.whole = icmp eq ptr %want.steps, null
  br label %extent
extent:
  %d = phi i64 [ 0, %extents ], [ %d.next, %same ]
  %d.more = icmp slt i64 %d, %rank
  br i1 %d.more, label %compare, label %accept
compare:
  %dim.p = getelementptr i64, ptr %dims, i64 %d
  %dim = load i64, ptr %dim.p
  %want.dim.p = getelementptr i64, ptr %want.dims, i64 %d
  %want.dim = load i64, ptr %want.dim.p
  %dim.ok = icmp eq i64 %dim, %want.dim
  br i1 %dim.ok, label %spaced, label %slow
spaced:
  %is.single = icmp eq i64 %dim, 1
  %is.free = or i1 %is.whole, %is.single
  br i1 %is.free, label %same, label %step
step:
  %step.p = getelementptr i64, ptr %steps, i64 %d
  %step.bytes = load i64, ptr %step.p
  %want.step.p = getelementptr i64, ptr %want.steps, i64 %d
  %want.step = load i64, ptr %want.step.p
  %step.ok = icmp eq i64 %step.bytes, %want.step
  br i1 %step.ok, label %same, label %slow
same:
  %d.next = add i64 %d, 1
  br label %extent
accept:
  %data.p = getelementptr i8, ptr %array, i64 DATA
  %data = load ptr, ptr %data.p
  %slot = getelementptr ptr, ptr %slots, i64 %i
  store ptr %data, ptr %slot
  %i.next = add i64 %i, 1
  br label %next
outputs:
  %o = phi i64 [ %inputs, %next ], [ %o.next, %others.done ]
  %o.more = icmp slt i64 %o, %count
  br i1 %o.more, label %others, label %take
others:
  %out.slot = getelementptr ptr, ptr %slots, i64 %o
  %out.ptr = load i64, ptr %out.slot
  %out.want = getelementptr [6 x i64], ptr %wanted, i64 %o
  %out.bytes.p = getelementptr i8, ptr %out.want, i64 32
  %out.bytes = load i64, ptr %out.bytes.p
  %out.end = add i64 %out.ptr, %out.bytes
  br label %other
other:
  %j = phi i64 [ 0, %others ], [ %j.next, %apart ]
  %j.more = icmp slt i64 %j, %o
  br i1 %j.more, label %overlap, label %others.done
overlap:
  %in.slot = getelementptr ptr, ptr %slots, i64 %j
  %in.ptr = load i64, ptr %in.slot
  %in.want = getelementptr [6 x i64], ptr %wanted, i64 %j
  %in.bytes.p = getelementptr i8, ptr %in.want, i64 32
  %in.bytes = load i64, ptr %in.bytes.p
  %in.end = add i64 %in.ptr, %in.bytes
  %before = icmp ule i64 %in.end, %out.ptr
  %after = icmp uge i64 %in.ptr, %out.end
  %free = or i1 %before, %after
  br i1 %free, label %apart, label %overlaps
apart:
  %j.next = add i64 %j, 1
  br label %other
others.done:
  %o.next = add i64 %o, 1
  br label %outputs
take:
  %scratch = atomicrmw xchg ptr %scratch.p, ptr null acq_rel
  %idle = icmp ne ptr %scratch, null
  br i1 %idle, label %run, label %busy
run:
  %state = call ptr @PyEval_SaveThread()
  call void %kernel(ptr %slots, ptr %scratch, ptr %launch)
  call void @PyEval_RestoreThread(ptr %state)
  store atomic ptr %scratch, ptr %scratch.p release, align 8
  br label %finish
slow:
  br label %finish
busy:
  br label %finish
overlaps:
  br label %finish
finish:
  %code = phi i64 [ 0, %run ], [ 1, %slow ], [ 2, %busy ], [ 3, %overlaps ]
  %result = call ptr @PyLong_FromLong(i64 %code)
  ret ptr %result
}
"""

API = ("PyLong_AsVoidPtr", "PyLong_FromLong", "PyEval_SaveThread", "PyEval_RestoreThread")


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


FASTCALL = 0x80


@once
def _method() -> tuple[_MethodDef, Loaded] | None:
    """The wrapper as a Python method definition; None where NumPy's objects are laid out otherwise."""
    if not _layout_is_known():
        return None
    text = WRAPPER.replace("[MOST x", f"[{MOST_ARGUMENTS} x")
    for name, offset in (
        ("TYPE", 8),
        ("DESCR", DESCR),
        ("RANK", RANK),
        ("FLAGS", FLAGS),
        ("DIMS", DIMS),
        ("STRIDES", STRIDES),
        ("DATA", DATA),
    ):
        text = text.replace(f"i64 {name}\n", f"i64 {offset}\n")
    imports = {name: ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0 for name in API}
    loaded = Loaded(emit_object(text, Target.host(), full=False), ("call",), imports)
    return _MethodDef(b"call", loaded.addresses["call"], FASTCALL, None), loaded


def _layout_is_known() -> bool:
    """Whether array objects have their fields where the wrapper reads them."""
    if HEADER != 16:
        return False
    array = np.zeros((3, 5), np.float32)
    address = id(array)
    read = ctypes.c_int64.from_address
    dims, steps = read(address + DIMS).value, read(address + STRIDES).value
    return (
        read(address + 8).value == id(np.ndarray)
        and read(address + DATA).value == array.ctypes.data
        and ctypes.c_int32.from_address(address + RANK).value == 2
        and (read(dims).value, read(dims + 8).value) == (3, 5)
        and (read(steps).value, read(steps + 8).value) == array.strides
        and read(address + DESCR).value == id(array.dtype)
        and ctypes.c_int32.from_address(address + FLAGS).value & 0x501 == 0x501
    )


def make_invoker(record: CallRecord) -> Any:
    """A Python callable that runs the kernel of a record; it returns one of the codes above."""
    made = _method()
    if made is None or record.count > MOST_ARGUMENTS:
        return lambda *arrays: NOT_FAST
    create = ctypes.pythonapi.PyCFunction_NewEx
    create.restype = ctypes.py_object
    create.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return create(ctypes.addressof(made[0]), ctypes.addressof(record), None)
