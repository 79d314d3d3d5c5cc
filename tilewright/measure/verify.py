"""Comparing a kernel's outputs with the reference; the reference as data that travels to workers."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from tilewright.measure.buffers import Buffer
from tilewright.measure.inputs import numpy_dtype

Array = NDArray[np.generic]

TOLERANCES = {"float64": 1e-12, "float32": 1e-5, "float16": 2e-3, "bfloat16": 1.6e-2}
_DEFAULT_TOLERANCE = 1e-5
UNSTABLE = (
    "unstable result: the kernel gave other bits for the same inputs; it reads what nobody wrote, or its"
    " threads race"
)
# Twice what storing a result in a narrow type changes it by, where its sums are of a wider one.
ROUNDING = {"float16": 2.0**-10, "bfloat16": 2.0**-7}


class ArrayHeader(msgspec.Struct, frozen=True):
    """How one array lies in the bytes of a reference."""

    dtype: str
    shape: tuple[int, ...]
    offset: int


class ReferenceHeader(msgspec.Struct, frozen=True):
    """The table of contents of a reference."""

    arrays: tuple[ArrayHeader, ...]
    reduction_length: int
    sum_dtype: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceData:
    """What the outputs have to be.

    Attributes:
        outputs: in the order of the program's outputs; floats as float64.
        reduction_length: the terms of the longest sum behind an element; errors grow with its root.
        sum_dtype: the type of those sums; empty where it is that of the output.
    """

    outputs: tuple[Array, ...]
    reduction_length: int = 1
    sum_dtype: str = ""

    def to_bytes(self) -> bytes:
        """Encode as a header and the arrays' memory."""
        headers, offset = [], 0
        contiguous = [np.ascontiguousarray(array) for array in self.outputs]
        for array, shaped in zip(contiguous, self.outputs, strict=True):
            headers.append(ArrayHeader(array.dtype.name, shaped.shape, offset))
            offset += array.nbytes
        header = msgspec.msgpack.encode(
            ReferenceHeader(tuple(headers), self.reduction_length, self.sum_dtype)
        )
        return b"".join((len(header).to_bytes(8, "little"), header, *(a.tobytes() for a in contiguous)))

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> "ReferenceData":
        """Decode; the arrays are read-only views of `data`."""
        view = memoryview(data)
        length = int.from_bytes(view[:8], "little")
        header = msgspec.msgpack.decode(view[8 : 8 + length], type=ReferenceHeader)
        start = 8 + length
        arrays = tuple(_view(view[start + entry.offset :], entry) for entry in header.arrays)
        return cls(arrays, header.reduction_length, header.sum_dtype)


def describe_mismatch(
    name: str, found: Array, expected: Array, reduction_length: int = 1, sum_dtype: str = ""
) -> str | None:
    """What is wrong with the output `name`, in one line, or None.

    Floats may differ by `tolerance * sqrt(reduction_length) * max|expected|`, where the tolerance is that of
    the type of the sums, and by what rounding them to the output's type changes; the rest must be equal, and
    a NaN or an infinity must be exactly where the reference has it.
    """
    if found.shape != expected.shape:
        return f"output {name!r} has shape {found.shape}, the reference {expected.shape}"
    if found.dtype.kind in "iub":
        return _describe_difference(name, found, expected)
    if _is_close(found, expected, reduction_length, sum_dtype):
        return None
    values, wanted = found.astype(np.float64), expected.astype(np.float64)
    regular = np.isfinite(wanted)
    same = np.where(regular, np.isfinite(values), _equal_irregular(values, wanted))
    if not same.all():
        return _describe_first(name, ~same, values, wanted)
    with np.errstate(invalid="ignore"):  # infinity minus infinity, masked here
        error = np.abs(np.where(regular, values - wanted, 0.0))
    limit = _limit(found, np.where(regular, wanted, 0.0), reduction_length, sum_dtype)
    largest = float(np.max(error, initial=0.0))
    if largest <= limit:
        return None
    index = _index(int(np.argmax(error)), error.shape)
    wrong = int(np.count_nonzero(error > limit))
    return (
        f"output {name!r} differs from the reference in {wrong} of {error.size} elements: largest error"
        f" {largest:.3g} at {index}, allowed {limit:.3g} ({values[index]:.7g}, expected {wanted[index]:.7g})"
    )


def verify_outputs(
    names: Sequence[str], outputs: Sequence[Buffer], inputs: Sequence[Buffer], reference: ReferenceData
) -> str | None:
    """What is wrong after a run, in one line: a store outside a buffer or a wrong value; or None."""
    message = describe_stray_store(names, outputs, inputs)
    if message is not None:
        return message
    for name, buffer, expected in zip(names, outputs, reference.outputs, strict=True):
        about = (reference.reduction_length, reference.sum_dtype)
        message = describe_mismatch(name, buffer.array, expected, *about)
        if message is not None:
            return message
    return None


def describe_stray_store(
    names: Sequence[str], outputs: Sequence[Buffer], inputs: Sequence[Buffer]
) -> str | None:
    """The buffer next to which a run has written, in one line, or None."""
    for kind, buffers in (("output", outputs), ("input", inputs)):
        for position, buffer in enumerate(buffers):
            side = buffer.broken_fence()
            if side is not None:
                label = repr(names[position]) if kind == "output" else f"number {position}"
                return f"the kernel wrote out of bounds, {side} {kind} {label}"
    return None


def digest_outputs(outputs: Sequence[Buffer]) -> int:
    """A number that tells outputs of other bits apart."""
    digest = 0
    for buffer in outputs:
        digest = zlib.crc32(buffer.array.reshape(-1).view(np.uint8).data, digest)
    return digest


def _is_close(found: Array, expected: Array, reduction_length: int, sum_dtype: str) -> bool:
    """The usual case in few passes; false when a NaN or an infinity is about."""
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.asarray(np.subtract(found, expected, dtype=np.float64))
        np.abs(error, out=error)
        largest = float(np.max(error, initial=0.0))
    return math.isfinite(largest) and largest <= _limit(found, expected, reduction_length, sum_dtype)


def _limit(found: Array, expected: Array, reduction_length: int, sum_dtype: str) -> float:
    scale = max(abs(float(np.max(expected, initial=0.0))), abs(float(np.min(expected, initial=0.0))))
    own = found.dtype.name
    tolerance, rounding = TOLERANCES.get(own, _DEFAULT_TOLERANCE), 0.0
    if sum_dtype in TOLERANCES and own in ROUNDING and own != sum_dtype:
        tolerance, rounding = TOLERANCES[sum_dtype], ROUNDING[own]
    return (tolerance * math.sqrt(max(1, reduction_length)) + rounding) * scale


def _view(data: memoryview, entry: ArrayHeader) -> Array:
    dtype = numpy_dtype(entry.dtype)
    return np.frombuffer(data, dtype, math.prod(entry.shape)).reshape(entry.shape)


def _equal_irregular(values: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (np.isnan(values) & np.isnan(wanted)) | (values == wanted)
    return same


def _describe_difference(name: str, found: Array, expected: Array) -> str | None:
    # A poisoned bool is neither 0 nor 1: compare the bytes.
    values = found.view(np.uint8) if found.dtype.kind == "b" else found
    wrong = values != expected.astype(values.dtype)
    return _describe_first(name, wrong, values, expected) if wrong.any() else None


def _describe_first(name: str, wrong: NDArray[np.bool_], found: Array, expected: Array) -> str:
    """Where integers differ most, or the first element that should be a number and is none, or is one."""
    with np.errstate(all="ignore"):
        error = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    largest = np.where(wrong & ~np.isfinite(error), np.inf, np.where(wrong, error, -1.0))
    index = _index(int(np.argmax(largest)), wrong.shape)
    count = int(np.count_nonzero(wrong))
    return (
        f"output {name!r} differs from the reference in {count} of {wrong.size} elements: largest error"
        f" {error[index]:.7g} at {index} ({found[index]}, expected {expected[index]})"
    )


def _index(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(position) for position in np.unravel_index(flat, shape))
