"""`tvm.nd`: arrays that are NumPy's, and devices, of which there is one."""

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from tilewright.compiler.errors import ArgumentError, TilewrightError
from tilewright.compiler.kernel import empty_aligned


@dataclass(frozen=True)
class Device:
    """A CPU."""

    device_type: str = "cpu"
    device_id: int = 0
    exist: bool = True

    def sync(self) -> None:
        """Return at once: a call of a kernel has ended when it returns."""


class NDArray(np.ndarray[Any, Any]):
    """A NumPy array with TVM's methods."""

    def numpy(self) -> np.ndarray[Any, Any]:
        """A copy as a plain NumPy array."""
        return np.array(self, subok=False)

    asnumpy = numpy

    def copyfrom(self, source: Any) -> "NDArray":
        """Take over the contents of an array."""
        np.copyto(self, source)
        return self

    def copyto(self, target: Any) -> "NDArray":
        """Copy into an array, or to a device, which is a copy."""
        if isinstance(target, Device):
            return array(self, target)
        if not isinstance(target, NDArray):
            raise ArgumentError(f"copyto takes an array of tvm.nd or a device, not a {type(target).__name__}")
        np.copyto(target, self)
        return target


def empty(shape: Any, dtype: str = "float32", device: Device | None = None) -> NDArray:
    """An array of undefined contents, aligned for vectors."""
    extents = (shape,) if isinstance(shape, int) else tuple(shape)
    return empty_aligned(extents, np.dtype(dtype)).view(NDArray)


def array(arr: Any, device: Device | None = None) -> NDArray:
    """A copy of an array or of nested lists; lists become float32, as in TVM."""
    source = np.asarray(arr) if hasattr(arr, "dtype") else np.asarray(arr, dtype="float32")
    copy = empty(source.shape, source.dtype.name)
    np.copyto(copy, source)
    return copy


def cpu(dev_id: int = 0) -> Device:
    """The CPU."""
    return Device("cpu", dev_id)


def device(dev_type: str, dev_id: int = 0) -> Device:
    """The device of a name or of a target's kind; CPUs only."""
    if dev_type.split(" ")[0] not in ("cpu", "llvm"):
        raise TilewrightError(f"device({dev_type!r}): Tilewright runs on CPUs; use tvm.cpu()")
    return Device("cpu", dev_id)


def cuda(dev_id: int = 0) -> NoReturn:
    """Refuse a GPU."""
    raise TilewrightError("tvm.cuda(): Tilewright runs on CPUs and has no GPU; use tvm.cpu()")


gpu = cuda
__all__ = ["Device", "NDArray", "array", "cpu", "cuda", "device", "empty", "gpu"]
