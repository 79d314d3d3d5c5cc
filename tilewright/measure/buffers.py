"""Arrays for kernels under test: aligned, written, and fenced so that stores outside them are found.

    | guard page | fence | data ... data | fence | guard page |

A store a few elements outside changes a fence; one further outside touches a page without access.
"""

import ctypes
import math
import mmap
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALIGNMENT_BYTES = 64
_FENCE_BYTE = 0xA5
_POISON_BYTE = 0xD5  # neither false nor true, and no small integer
_HUGE_PAGE_BYTES = 4 << 20  # numpy asks for huge pages from this size on


@dataclass(frozen=True, slots=True)
class Buffer:
    """An array and the memory around it.

    Attributes:
        array: C-contiguous, 64-byte aligned.
        fence_before: the bytes between the guard page and the array.
        fence_after: the bytes between the array and the guard page.
    """

    array: NDArray[np.generic]
    fence_before: NDArray[np.uint8]
    fence_after: NDArray[np.uint8]

    def broken_fence(self) -> str | None:
        """Where something was written outside the array: `before`, `after` or None."""
        if (self.fence_before != _FENCE_BYTE).any():
            return "before"
        return "after" if (self.fence_after != _FENCE_BYTE).any() else None


def allocate(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Buffer:
    """A buffer whose contents are the fence's byte until they are written."""
    page = mmap.PAGESIZE
    size = math.prod(shape) * dtype.itemsize
    tail = -size % ALIGNMENT_BYTES
    inner = -(-(size + tail + ALIGNMENT_BYTES) // page) * page
    memory = mmap.mmap(-1, inner + 2 * page)
    if inner >= _HUGE_PAGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(memory, np.uint8)
    start = page + inner - tail - size
    data = whole[page : page + inner]
    data[...] = _FENCE_BYTE
    _forbid(whole[:page])
    _forbid(whole[page + inner :])
    array = whole[start : start + size].view(dtype).reshape(shape)
    return Buffer(array, whole[page:start], whole[start + size : page + inner])


def _forbid(page: NDArray[np.uint8]) -> None:
    if not sys.platform.startswith("linux"):
        return
    no_access = 0
    ctypes.CDLL(None).mprotect(ctypes.c_void_p(page.ctypes.data), ctypes.c_size_t(page.nbytes), no_access)


def poison(array: NDArray[np.generic]) -> None:
    """Fill an output with what no kernel computes, so that an element that is not written shows."""
    if array.dtype.kind in "iub":
        array.reshape(-1).view(np.uint8)[...] = _POISON_BYTE
    else:
        array[...] = np.nan
