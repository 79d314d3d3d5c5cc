"""How Tilewright's types and literals are written in LLVM IR."""

from __future__ import annotations

import struct

from tilewright.compiler.te.expr import FLOATS, Scalar
from tilewright.compiler.te.storage import BITS

# Half-precision values are held as float; only memory holds them in 16 bits.
VALUE = {
    "bool": "i1",
    "int8": "i8",
    "uint8": "i8",
    "int32": "i32",
    "int64": "i64",
    "float16": "float",
    "bfloat16": "float",
    "float32": "float",
    "float64": "double",
    BITS: "i16",
}
MEMORY = {**VALUE, "bool": "i8", "float16": "half", "bfloat16": "bfloat"}
# What masked accesses move: where there are none, LLVM would convert each element of a 16-bit vector.
MOVED = {**MEMORY, "float16": "i16", "bfloat16": "i16"}
SUFFIX = {
    "i1": "i1",
    "i8": "i8",
    "i16": "i16",
    "i32": "i32",
    "i64": "i64",
    "half": "f16",
    "bfloat": "bf16",
    "float": "f32",
    "double": "f64",
}


def vector(element: str, lanes: int) -> str:
    """The type of ``lanes`` elements; 0 lanes is the element itself."""
    return f"<{lanes} x {element}>" if lanes else element


def suffix(element: str, lanes: int) -> str:
    """How an intrinsic's name spells a type, such as ``v16f32``."""
    return f"v{lanes}{SUFFIX[element]}" if lanes else SUFFIX[element]


def is_float(dtype: str) -> bool:
    """Whether values of the type are floating point."""
    return dtype in FLOATS


def is_signed(dtype: str) -> bool:
    """Whether an integer type has a sign."""
    return dtype in ("int8", "int32", "int64")


def literal(value: Scalar, dtype: str) -> str:
    """A scalar literal; floats as the bits of a double, which LLVM reads exactly."""
    if dtype == "bool":
        return "true" if value else "false"
    if not is_float(dtype):
        return str(int(value))
    number = float(value)
    if dtype != "float64":
        number = _round_to_single(number)
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"


def _round_to_single(number: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
