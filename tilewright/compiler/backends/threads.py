"""Parallel loops on Numba's thread pool: a launcher that calls a loop's body by its address.

Numba's ``workqueue`` layer aborts the process when two threads enter it at once, so under that layer a lock
is held around every parallel kernel; tbb and omp need none.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import Any

LAYERS = "tbb omp workqueue"
ABI = "void(voidptr, voidptr, int64, int64, voidptr, int64, int64)"


@cache
def _compiled() -> Any:
    import numba
    from llvmlite import ir
    from numba import types
    from numba.core import config
    from numba.extending import intrinsic

    if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
        config.THREADING_LAYER_PRIORITY = LAYERS.split()

    @intrinsic  # type: ignore[untyped-decorator]
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

    @intrinsic  # type: ignore[untyped-decorator]
    def address_of(typing_context: Any, pointer: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.ptrtoint(args[0], ir.IntType(64))

        return types.int64(types.voidptr), generate

    @numba.njit(parallel=True, nogil=True)  # type: ignore[untyped-decorator]
    def share(body, frame, first, last, scratch, stride, parts):  # type: ignore[no-untyped-def]
        length = last - first
        for part in numba.prange(parts):
            low = first + length * part // parts
            high = first + length * (part + 1) // parts
            if low < high:
                call_body(body, frame, low, high, scratch + part * stride)

    @numba.cfunc(ABI, nogil=True)  # type: ignore[untyped-decorator]
    def launch(body, frame, first, last, scratch, stride, parts):  # type: ignore[no-untyped-def]
        share(body, frame, first, last, address_of(scratch), stride, parts)

    return launch


_LOCK = threading.Lock()


@cache
def launcher_address() -> int:
    """The address of ``launch(body, frame, first, last, scratch, stride, parts)``; compiled at first use.

    ``body(frame, low, high, scratch)`` is called for ``parts`` pieces of the loop, each with scratch memory of
    its own, however many threads there turn out to be.
    """
    with _LOCK:
        return int(_compiled().address)


@cache
def needs_lock() -> bool:
    """Whether only one thread at a time may launch."""
    import numba

    launcher_address()
    try:
        return bool(numba.threading_layer() == "workqueue")
    except ValueError:
        # Not launched yet: the layer is known only after the first launch.
        return not any(_has_layer(name) for name in ("tbbpool", "omppool"))


def _has_layer(name: str) -> bool:
    import importlib

    try:
        importlib.import_module(f"numba.np.ufunc.{name}")
    except ImportError:
        return False
    return True
