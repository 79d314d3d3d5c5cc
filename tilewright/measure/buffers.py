"""Arrays for kernels under test: aligned, written, and fenced so that stores outside them are found.

    | guard page | fence | data ... data | fence | guard page |

A store a few elements outside changes a fence; one further outside touches a page without access.
"""

import ctypes
import math
import mmap
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALIGNMENT_BYTES = 64
_FENCE_BYTE = 0xA5
_NO_ACCESS = 0
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

    def protect(self) -> None:
        """Forbid all further stores into the array and its fences: a stray store ends the process."""
        inner = (self.fence_before, self.array, self.fence_after)
        _set_access(self.fence_before.ctypes.data, sum(part.nbytes for part in inner), mmap.PROT_READ)

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
    # Private: shared memory gets no huge pages.
    memory = mmap.mmap(-1, inner + 2 * page, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if inner >= _HUGE_PAGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(memory, np.uint8)
    start = page + inner - tail - size
    data = whole[page : page + inner]
    data[...] = _FENCE_BYTE
    for guard in (whole[:page], whole[page + inner :]):
        _set_access(guard.ctypes.data, guard.nbytes, _NO_ACCESS)
    array = whole[start : start + size].view(dtype).reshape(shape)
    return Buffer(array, whole[page:start], whole[start + size : page + inner])


def _set_access(address: int, size_bytes: int, access: int) -> None:
    ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size_bytes), access)


def poison(array: NDArray[np.generic]) -> None:
    """Fill an output with what no kernel computes, so that an element that is not written shows."""
    if array.dtype.kind in "iub":
        array.reshape(-1).view(np.uint8)[...] = _POISON_BYTE
    else:
        array[...] = np.nan
