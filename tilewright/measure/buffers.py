"""Arrays for kernels under test: written, and between pages without access.

    at the start:   | guard page | data ... data | fence | guard page |
    at the end:     | guard page | fence | data ... data | guard page |

An access that is one element outside ends the process where a guard page is next to the data; a store into
the fence on the other side is seen after the run. Data that fill whole pages have a guard page on both sides.
"""

import ctypes
import math
import mmap
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Side = Literal["start", "end"]

_FENCE_BYTE = 0xA5
_NO_ACCESS = 0
_POISON_BYTE = 0xD5  # neither false nor true, and no small integer
_HUGE_PAGE_BYTES = 4 << 20  # numpy asks for huge pages from this size on


@dataclass(frozen=True, slots=True)
class Buffer:
    """An array and the memory around it.

    Attributes:
        array: C-contiguous; at the start it is aligned to a page, at the end to its elements.
        fence_before: the bytes between the guard page and the array.
        fence_after: the bytes between the array and the guard page.
    """

    array: NDArray[np.generic]
    fence_before: NDArray[np.uint8]
    fence_after: NDArray[np.uint8]

    def protect(self) -> None:
        """Forbid all further stores into the array and its fences: a stray store ends the process."""
        size = self.fence_before.nbytes + self.array.nbytes + self.fence_after.nbytes
        _set_access(self.array.ctypes.data - self.fence_before.nbytes, size, mmap.PROT_READ)

    @property
    def is_enclosed(self) -> bool:
        """Whether guard pages are next to the array on both sides."""
        return self.fence_before.size == self.fence_after.size == 0

    def broken_fence(self) -> str | None:
        """Where something was written outside the array: `before`, `after` or None."""
        if (self.fence_before != _FENCE_BYTE).any():
            return "before"
        return "after" if (self.fence_after != _FENCE_BYTE).any() else None


def allocate(shape: tuple[int, ...], dtype: np.dtype[np.generic], side: Side = "start") -> Buffer:
    """A buffer with its array next to the guard page of one side.

    Its contents are the fence's byte until they are written.
    """
    page = mmap.PAGESIZE
    size = math.prod(shape) * dtype.itemsize
    inner = max(1, -(-size // page)) * page
    # Private: shared memory gets no huge pages.
    memory = mmap.mmap(-1, inner + 2 * page, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if inner >= _HUGE_PAGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(memory, np.uint8)
    data = whole[page : page + inner]
    data[...] = _FENCE_BYTE
    for guard in (whole[:page], whole[page + inner :]):
        _set_access(guard.ctypes.data, guard.nbytes, _NO_ACCESS)
    first = 0 if side == "start" else inner - size
    array = data[first : first + size].view(dtype).reshape(shape)
    return Buffer(array, data[:first], data[first + size :])


def _set_access(address: int, size_bytes: int, access: int) -> None:
    ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size_bytes), access)


def poison(array: NDArray[np.generic]) -> None:
    """Fill an output with what no kernel computes, so that an element that is not written shows."""
    if array.dtype.kind in "iub":
        array.reshape(-1).view(np.uint8)[...] = _POISON_BYTE
    else:
        array[...] = np.nan
