"""Arrays for kernels under test: written, and between pages without access.

    at the start:   | guard page | data ... data | fence | guard page |
    at the end:     | guard page | fence | data ... data | guard page |
    further inside: | guard page | fence | data ... data | fence | guard page |

An access that is one element outside ends the process where a guard page is next to the data; a store into
the fence on the other side is seen after the run. Data that fill whole pages have a guard page on both sides.
Kernels are timed with arrays at the start of pages, and where users have them: NumPy's large ones behind the
header of malloc, which shifts them against cache lines, and results in the middle of a page.
"""

import ctypes
import math
import mmap
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.kernel import PAGE

Place = Literal["start", "end", "malloc", "result"]

_FENCE_BYTE = 0xA5
_NO_ACCESS = 0
_POISON_BYTES = (0xD5, 0x3A)  # neither false nor true, and no small integers
_POISON_FLOATS = (float("nan"), 3e4)
# Behind the header of a large piece of memory from the C library, and where kernels put large results.
_INSIDE = {"malloc": 16, "result": PAGE // 2}
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

    def mend(self) -> None:
        """Make the fences whole, for another kernel."""
        self.fence_before[...] = self.fence_after[...] = _FENCE_BYTE

    @property
    def is_enclosed(self) -> bool:
        """Whether guard pages are next to the array on both sides."""
        return self.fence_before.size == self.fence_after.size == 0

    def broken_fence(self) -> str | None:
        """Where something was written outside the array: `before`, `after` or None."""
        if (self.fence_before != _FENCE_BYTE).any():
            return "before"
        return "after" if (self.fence_after != _FENCE_BYTE).any() else None


def allocate(shape: tuple[int, ...], dtype: np.dtype[np.generic], place: Place = "start") -> Buffer:
    """A buffer with its array next to the guard page of one side, or where users have it.

    Its contents are the fence's byte until they are written.
    """
    page = mmap.PAGESIZE
    size = math.prod(shape) * dtype.itemsize
    inside = _INSIDE.get(place, 0)
    inner = max(1, -(-(inside + size) // page)) * page
    # Private: shared memory gets no huge pages.
    memory = mmap.mmap(-1, inner + 2 * page, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if inner >= _HUGE_PAGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(memory, np.uint8)
    data = whole[page : page + inner]
    data[...] = _FENCE_BYTE
    for guard in (whole[:page], whole[page + inner :]):
        _set_access(guard.ctypes.data, guard.nbytes, _NO_ACCESS)
    first = inner - size if place == "end" else inside
    array = data[first : first + size].view(dtype).reshape(shape)
    return Buffer(array, data[:first], data[first + size :])


def _set_access(address: int, size_bytes: int, access: int) -> None:
    ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size_bytes), access)


def poison(array: NDArray[np.generic], number: int = 0) -> None:
    """Fill an output with what no kernel computes, so that an element that is not written shows.

    Runs of other numbers find other values, so that one which is read shows as well.
    """
    turn = number % len(_POISON_BYTES)
    if array.dtype.kind in "iub":
        array.reshape(-1).view(np.uint8)[...] = _POISON_BYTES[turn]
    else:
        array[...] = _POISON_FLOATS[turn]
