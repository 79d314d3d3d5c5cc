"""Calibration kernels: what the core can do at most, timed like any kernel."""

from __future__ import annotations

import ctypes

import numpy as np

from tilewright.compiler import runtime
from tilewright.compiler.amx import multiplies_tiles
from tilewright.compiler.dot_instructions import multiplies_words
from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.kernel import empty_aligned
from tilewright.compiler.target import Target

# The operands of the loops over words, by kind.
WORDS = {"int8": ("uint8", "int8"), "bfloat16": ("bfloat16", "bfloat16")}
KINDS = ("compute", "bandwidth", *WORDS)


class ReferenceLoop:
    """A kernel of known work: ``compute`` multiplies and adds in registers, ``bandwidth`` reads memory.

    ``int8`` and ``bfloat16`` multiply such numbers in registers, tiles or words of them, where the processor
    has an instruction for that; elsewhere they are ``compute``.

    Attributes:
        kind: ``compute``, ``bandwidth``, ``int8`` or ``bfloat16``.
        work: operations (multiplications and additions) or bytes (bandwidth) of one pass.
    """

    def __init__(self, kind: str, size_bytes: int | None = None) -> None:
        if kind not in KINDS:
            raise TilewrightError(f"unknown reference loop {kind!r}: choose {', '.join(KINDS)}")
        self.kind = kind
        size = 256  # floats: a tile is loaded from all of them
        if kind == "bandwidth":
            step = runtime.bandwidth_step()
            size = max(1, round((size_bytes or runtime.BANDWIDTH_BYTES) / step)) * step // 4
        self._memory = empty_aligned((size,), np.dtype(np.float32))
        self._memory[:] = 1e-3
        self._arguments = (ctypes.c_void_p * 2)(self._memory.ctypes.data, size)
        self._address, operations = _find_loop(kind)
        self.work = operations or 4 * size
        self._repeat = runtime.repeat_function()

    def run(self, repeats: int) -> int:
        """Run the loop; nanoseconds."""
        self._memory[:64] = 1e-3
        return int(self._repeat(self._address, ctypes.addressof(self._arguments), None, None, repeats))


def _find_loop(kind: str) -> tuple[int, int]:
    """The address of a kind's code, and its operations; 0 for that which reads memory."""
    target = Target.host()
    if kind in WORDS and multiplies_tiles(target, WORDS[kind]):
        from tilewright.compiler.tile_peak import tile_loop, tile_operations

        return tile_loop(target, WORDS[kind]).addresses["tile_loop"], tile_operations(WORDS[kind])
    if kind in WORDS and multiplies_words(target, WORDS[kind]):
        from tilewright.compiler.word_peak import word_loop, word_operations

        return word_loop(target, WORDS[kind]).addresses["word_loop"], word_operations(target, WORDS[kind])
    if kind == "bandwidth":
        return runtime.runtime().addresses["bandwidth_loop"], 0
    return runtime.runtime().addresses["compute_loop"], runtime.compute_flops()


def reference_loop(kind: str, size_bytes: int | None = None) -> ReferenceLoop:
    """The calibration kernel of that kind; a ``bandwidth`` loop reads about ``size_bytes``, over and over."""
    return ReferenceLoop(kind, size_bytes)
