"""Calibration kernels: what the core can do at most, timed like any kernel."""

from __future__ import annotations

import ctypes

import numpy as np

from tilewright.compiler import runtime
from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.kernel import empty_aligned


class ReferenceLoop:
    """A kernel of known work: ``compute`` multiplies and adds in registers, ``bandwidth`` reads memory.

    Attributes:
        kind: ``compute`` or ``bandwidth``.
        work: floating-point operations (compute) or bytes (bandwidth) of one pass.
    """

    def __init__(self, kind: str, size_bytes: int | None = None) -> None:
        if kind not in ("compute", "bandwidth"):
            raise TilewrightError(f"unknown reference loop {kind!r}: choose compute or bandwidth")
        self.kind = kind
        size = 64
        if kind == "bandwidth":
            step = runtime.bandwidth_step()
            size = max(1, round((size_bytes or runtime.BANDWIDTH_BYTES) / step)) * step // 4
        self.work = runtime.compute_flops() if kind == "compute" else 4 * size
        self._memory = empty_aligned((size,), np.dtype(np.float32))
        self._memory[:] = 1e-3
        self._arguments = (ctypes.c_void_p * 2)(self._memory.ctypes.data, size)
        self._address = runtime.runtime().addresses[f"{kind}_loop"]
        self._repeat = runtime.repeat_function()

    def run(self, repeats: int) -> int:
        """Run the loop; nanoseconds."""
        self._memory[:64] = 1e-3
        return int(self._repeat(self._address, ctypes.addressof(self._arguments), None, None, repeats))


def reference_loop(kind: str, size_bytes: int | None = None) -> ReferenceLoop:
    """The calibration kernel of that kind; a ``bandwidth`` loop reads about ``size_bytes``, over and over."""
    return ReferenceLoop(kind, size_bytes)
