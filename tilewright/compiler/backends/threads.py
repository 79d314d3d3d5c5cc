"""Parallel loops on Numba's thread pool: a launcher that calls a loop's body by its address.

Numba's ``workqueue`` layer aborts the process when two threads enter it at once, so under that layer a lock
is held around every parallel kernel; tbb and omp need none.
"""

from __future__ import annotations

import ctypes
import importlib
import threading
from typing import Any

from tilewright.compiler.once import once

LAYERS = ("tbbpool", "omppool")
ABI = "void(voidptr, voidptr, int64, int64, voidptr, int64, int64)"


@once
def _compiled() -> Any:
    _preload_tbb()
    import numba
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def call_body(typing_context: Any, body: Any, frame: Any, first: Any, last: Any, scratch: Any) -> Any:
        signature = types.void(types.voidptr, types.voidptr, types.int64, types.int64, types.int64)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointer, word = ir.IntType(8).as_pointer(), ir.IntType(64)
            kind = ir.FunctionType(ir.VoidType(), [pointer, word, word, pointer])
            function = builder.bitcast(args[0], kind.as_pointer())
            memory = builder.inttoptr(args[4], pointer)
            builder.call(function, [args[1], args[2], args[3], memory])
            return context.get_dummy_value()

        return signature, generate

    @intrinsic
    def address_of(typing_context: Any, pointer: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.ptrtoint(args[0], ir.IntType(64))

        return types.int64(types.voidptr), generate

    # Numba supplies the typing context that an intrinsic's first parameter stands for.
    call: Any = call_body
    address: Any = address_of

    @numba.njit(parallel=True, nogil=True)
    def share(body, frame, first, last, scratch, stride, parts):  # type: ignore[no-untyped-def]
        length = last - first
        for part in numba.prange(parts):
            low = first + length * part // parts
            high = first + length * (part + 1) // parts
            if low < high:
                call(body, frame, low, high, scratch + part * stride)

    @numba.cfunc(ABI, nogil=True)
    def launch(body, frame, first, last, scratch, stride, parts):  # type: ignore[no-untyped-def]
        share(body, frame, first, last, address(scratch), stride, parts)

    return launch


LAUNCHING = threading.Lock()


def _preload_tbb() -> None:
    """Make the library of the ``tbb`` package known: the loader does not search a virtual environment."""
    from importlib.metadata import PackageNotFoundError, files

    try:
        found = [file for file in files("tbb") or () if file.name.startswith("libtbb.so")]
    except PackageNotFoundError:
        return
    for file in found:
        try:
            ctypes.CDLL(str(file.locate().resolve()), mode=ctypes.RTLD_GLOBAL)  # type: ignore[attr-defined]
        except OSError:
            continue


@once
def launcher_address() -> int:
    """The address of ``launch(body, frame, first, last, scratch, stride, parts)``; compiled at first use.

    ``body(frame, low, high, scratch)`` is called for ``parts`` pieces of the loop, each with scratch memory
    of its own, however many threads there turn out to be.
    """
    return int(_compiled().address)


@once
def needs_lock() -> bool:
    """Whether launches must take turns (under :data:`LAUNCHING`): Numba has only its ``workqueue`` layer."""
    config: Any = importlib.import_module("numba.core.config")
    return config.THREADING_LAYER == "workqueue" or not any(_has_layer(name) for name in LAYERS)


def pool_layer() -> str:
    """The layer whose pool has started in this process; empty before."""
    try:
        return str(importlib.import_module("numba").threading_layer())
    except ValueError:
        return ""


def _has_layer(name: str) -> bool:
    try:
        importlib.import_module(f"numba.np.ufunc.{name}")
    except ImportError:
        return False
    return True
