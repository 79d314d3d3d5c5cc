"""Calibration kernels: what the core can do at most, timed like any kernel."""

from __future__ import annotations

import ctypes

import numpy as np

from tilewright.compiler import runtime
from tilewright.compiler.errors import TilewrightError


class ReferenceLoop:
    """A kernel of known work: ``compute`` multiplies and adds in registers, ``bandwidth`` reads memory."""

    def __init__(self, kind: str) -> None:
        if kind not in ("compute", "bandwidth"):
            raise TilewrightError(f"unknown reference loop {kind!r}: choose compute or bandwidth")
        self.kind = kind
        size = runtime.BANDWIDTH_BYTES // 4 if kind == "bandwidth" else 64
        self._memory = np.zeros(size, np.float32)
        self._memory[:] = 1e-3
        self._arguments = (ctypes.c_void_p * 1)(self._memory.ctypes.data)
        self._address = runtime.runtime().addresses[f"{kind}_loop"]
        self._repeat = runtime.repeat_function()

    @property
    def work(self) -> int:
        """Floating-point operations (compute) or bytes (bandwidth) of one pass."""
        return runtime.compute_flops() if self.kind == "compute" else runtime.BANDWIDTH_BYTES

    def run(self, repeats: int) -> int:
        """Run the loop; nanoseconds."""
        self._memory[:64] = 1e-3
        return int(self._repeat(self._address, ctypes.addressof(self._arguments), None, None, repeats))


def reference_loop(kind: str) -> ReferenceLoop:
    """The calibration kernel of that kind."""
    return ReferenceLoop(kind)
