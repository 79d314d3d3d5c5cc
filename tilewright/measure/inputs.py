"""Random inputs from a recipe, the same in every process: a seed and the names, shapes and types."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.te.storage import storage_dtype
from tilewright.measure.buffers import Buffer, Place, allocate
from tilewright.measure.result import MeasureSetupError

if TYPE_CHECKING:
    Array = NDArray[np.generic]

_INTEGER_LIMIT = 8
_BYTES = (np.dtype(np.int8), np.dtype(np.uint8))


class Spec(Protocol):
    """What an input's recipe needs of a tensor."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> str: ...  # noqa: D102
    @property
    def values(self) -> tuple[float, float] | None: ...  # noqa: D102


def make_inputs(specs: Sequence[Spec], seed: int = 0) -> "tuple[Array, ...]":
    """The arrays of the recipe."""
    return tuple(buffer.array for buffer in make_buffers(specs, seed))


def make_buffers(specs: Sequence[Spec], seed: int = 0, place: Place = "start") -> tuple[Buffer, ...]:
    """The arrays of the recipe, each at that place of a buffer between guard pages.

    Floats are uniform in [-1, 1) on a grid too coarse for denormals, which would slow a kernel that is not
    slow. Bytes are of the whole range of their type; other integers are small, so that sums of products fit.
    An input that states its values has such.
    """
    return tuple(_make(spec, np.random.default_rng([seed, i]), place) for i, spec in enumerate(specs))


def numpy_dtype(name: str) -> np.dtype[np.generic]:
    """The NumPy type of a tensor's dtype, `bfloat16` included."""
    try:
        return storage_dtype(name)
    except TypeError as error:
        raise MeasureSetupError(f"dtype {name!r}: NumPy has no such type") from error


def _make(spec: Spec, generator: np.random.Generator, place: Place) -> Buffer:
    dtype = numpy_dtype(spec.dtype)
    buffer = allocate(tuple(spec.shape), dtype, place)
    buffer.array[...] = _draw(generator, tuple(spec.shape), dtype)
    if spec.values is not None:
        _stretch(buffer.array, generator, *spec.values)
    if dtype == np.float16:
        _drop_denormals(buffer.array)
    return buffer


def _drop_denormals(array: "Array") -> None:
    """Make zero of what is smaller than the normal numbers, of which a narrow type has few."""
    array[np.abs(array.astype(np.float32)) < np.finfo(np.float16).smallest_normal] = 0


def _stretch(array: "Array", generator: np.random.Generator, low: float, high: float) -> None:
    """Give floats in [-1, 1) and integers another range."""
    if array.dtype.kind in "iu":
        array[...] = generator.integers(int(low), int(high), array.shape)
    elif array.dtype.kind != "b":  # that of bfloat16 is not the one of floats
        array[...] = (array.astype(np.float64) + 1) / 2 * (high - low) + low


def _draw(generator: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> "Array":
    if dtype.kind == "b":
        return generator.integers(0, 2, shape, dtype=np.uint8).astype(np.bool_)
    if dtype in _BYTES:
        return generator.integers(0, 256, shape, dtype=np.uint8).view(dtype)
    if dtype.kind in "iu":
        low = -_INTEGER_LIMIT if dtype.kind == "i" else 0
        return generator.integers(low, _INTEGER_LIMIT, shape, dtype=np.int8).astype(dtype)
    if dtype == np.float64:
        return generator.random(shape) * 2 - 1
    values = generator.random(shape, dtype=np.float32) * np.float32(2) - np.float32(1)
    # Rounding to a narrow type must not reach 1 either, nor leave its normal numbers.
    return values.astype(dtype) if dtype == np.float32 else (values * np.float32(0.99)).astype(dtype)
