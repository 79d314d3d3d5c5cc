"""Running the parts of parallel loops one by one, to see whether they depend on each other.

A race shows only now and then when threads run; here it shows always. No part may write what another has
written, and the last part comes first, so that one which needs what another makes goes without it.
"""

import ctypes
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.once import once

_LAUNCH = ctypes.CFUNCTYPE(
    None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2, ctypes.c_void_p, *[ctypes.c_int64] * 2
)
_BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
_WATCHED_BYTES = 128 << 20  # compared in one run at most: a tenth of a second
_STACK_BYTES = 64 << 10  # above the launch, where small arrays of the kernel lie
_LONGEST_STACK_BYTES = 64 << 20
_ALIGNMENT = 64

Integers = NDArray[np.integer[Any]]


class SeparateParts:
    """A launcher of parallel loops, to be given to one run of a kernel.

    Attributes:
        conflict: what two parts wrote both, in one line; None as long as there is no such thing.
    """

    def __init__(self, watched: Sequence[tuple[str, NDArray[np.generic]]], parts: int, poison: int) -> None:
        """Prepare a run.

        Args:
            watched: the memory that parts share, with a name for people.
            parts: into which each loop is divided.
            poison: a byte that the scratch memory of each part is full of.
        """
        self.conflict: str | None = None
        self._watched = [(name, _as_integers(array)) for name, array in watched]
        self._parts = parts
        self._poison = poison
        self._left = _WATCHED_BYTES
        self._error: BaseException | None = None
        self._launch = _LAUNCH(self._guarded)

    @property
    def address(self) -> int:
        """Of the launcher; valid as long as this object."""
        return int(ctypes.cast(self._launch, ctypes.c_void_p).value or 0)

    def raise_error(self) -> None:
        """Raise what went wrong while the parts ran: native code cannot."""
        if self._error is not None:
            raise self._error

    def _guarded(self, *arguments: Any) -> None:
        try:
            self._run(*arguments)
        except BaseException as error:
            self._error = error

    def _run(
        self, body: int, frame: int, first: int, last: int, scratch: int, stride: int, parts: int
    ) -> None:
        call, own = _BODY(body), np.empty(stride + _ALIGNMENT, np.uint8)
        memory = own.ctypes.data + -own.ctypes.data % _ALIGNMENT
        is_watching = self.conflict is None and self._left > 0
        watched = [*self._watched, *_stack_above(frame)] if is_watching else []
        written = [np.zeros(array.shape, np.bool_) for _, array in watched]
        for low, high in reversed(_divide(first, last, self._parts)):
            own[...] = self._poison
            before = [array.copy() for _, array in watched]
            call(frame, low, high, memory)
            for (name, array), old, known in zip(watched, before, written, strict=True):
                self._compare(name, array != old, known)
                self._left -= array.nbytes

    def _compare(self, name: str, changed: NDArray[np.bool_], known: NDArray[np.bool_]) -> None:
        """Take note of what a part has changed; what another had changed before is a conflict."""
        both = changed & known
        known |= changed
        if self.conflict is None and both.any():
            index = tuple(int(i) for i in np.unravel_index(int(np.argmax(both)), both.shape))
            where = f" at {index}" if len(index) else ""
            self.conflict = f"parts of a parallel loop write the same element of {name}{where}: a race"


def _divide(first: int, last: int, parts: int) -> list[tuple[int, int]]:
    bounds = [first + (last - first) * part // parts for part in range(parts + 1)]
    return [(low, high) for low, high in pairwise(bounds) if low < high]


def _as_integers(array: NDArray[np.generic]) -> Integers:
    """The elements as integers of their size: a NaN equals itself so."""
    integers: Integers = array.reshape(-1).view(f"u{array.itemsize}").reshape(array.shape)
    return integers


def _stack_above(frame: int) -> list[tuple[str, Integers]]:
    """The stack from an address on, up to its end."""
    left = _stack_end() - frame
    if not 0 < left < _LONGEST_STACK_BYTES:
        return []  # another thread's
    memory = (ctypes.c_uint8 * min(_STACK_BYTES, left)).from_address(frame)
    return [("a temporary array", np.ctypeslib.as_array(memory))]


@once
def _stack_end() -> int:
    """Where the stack of the main thread ends; 0 where the system does not say."""
    if sys.platform == "linux":
        for line in Path("/proc/self/maps").read_text().splitlines():
            if line.endswith("[stack]"):
                return int(line.split()[0].partition("-")[2], 16)
    return 0
