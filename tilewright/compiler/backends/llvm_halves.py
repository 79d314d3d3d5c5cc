"""Conversions between float32 and 16 bits where the processor has none, and LLVM would call a library.

They work on the bits, as in F. Giesen's "Float->half variants" and "half->float variants" (public domain,
2012).
"""

from __future__ import annotations

import re
from functools import cache

from tilewright.compiler.backends.llvm_function import FunctionText, Operand, constant
from tilewright.compiler.backends.llvm_jit import emit_assembly
from tilewright.compiler.backends.llvm_types import MEMORY, vector
from tilewright.compiler.target import Target
from tilewright.compiler.te.storage import SHORT_FLOATS

_PROBE = """
define <4 x {kind}> @narrow(<4 x float> %x) {{
  %y = fptrunc <4 x float> %x to <4 x {kind}>
  ret <4 x {kind}> %y
}}
define <4 x float> @widen(<4 x {kind}> %x) {{
  %y = fpext <4 x {kind}> %x to <4 x float>
  ret <4 x float> %y
}}
"""
_LIBRARY = re.compile(r"__(trunc|extend|gnu_)\w*")
# Exponents of float32, in place, and what separates the two formats of 16 bits from it.
_INFINITY = 255 << 23
_HALF_OVERFLOW = (127 + 16) << 23
_HALF_NORMAL = (127 - 14) << 23
_HALF_MAGIC = (127 - 15 + 23 - 10 + 1) << 23


@cache
def narrow_without_instruction(target: Target) -> frozenset[str]:
    """The 16-bit types that LLVM converts by calls of a library."""
    kinds = {dtype: _PROBE.format(kind=MEMORY[dtype]) for dtype in SHORT_FLOATS}
    found = {
        dtype for dtype, text in kinds.items() if _LIBRARY.search(emit_assembly(text, target, full=False))
    }
    return frozenset(found)


class _Bits:
    """Integer operations on vectors of 32-bit patterns."""

    def __init__(self, text: FunctionText, lanes: int) -> None:
        self.text = text
        self.lanes = lanes

    def number(self, value: int) -> Operand:
        """A literal in every lane."""
        return constant(value - (1 << 32) if value >= 1 << 31 else value, "int32", self.lanes)

    def apply(self, operation: str, a: Operand, b: Operand | int) -> Operand:
        """An operation on two patterns."""
        other = self.number(b) if isinstance(b, int) else b
        dtype = "bool" if operation.startswith("icmp") else "int32"
        return self.text.pure(f"{operation} {a.typed}, {other.text}", dtype, self.lanes, a, other)

    def choose(self, condition: Operand, then: Operand, otherwise: Operand) -> Operand:
        """One pattern or the other."""
        line = f"select {condition.typed}, {then.typed}, {otherwise.typed}"
        return self.text.pure(line, "int32", self.lanes, condition, then, otherwise)

    def add_floats(self, operation: str, a: Operand, b: int) -> Operand:
        """A sum or difference of the float32 numbers that patterns stand for."""
        x, y = self.cast(a, "float32"), self.cast(self.number(b), "float32")
        result = self.text.pure(f"{operation} {x.typed}, {y.text}", "float32", self.lanes, x, y)
        return self.cast(result, "int32")

    def cast(self, value: Operand, dtype: str) -> Operand:
        """The same bits as a float32 or as an integer."""
        kind = vector("float" if dtype == "float32" else "i32", self.lanes)
        return self.text.pure(f"bitcast {value.typed} to {kind}", dtype, self.lanes, value)


def narrow_bits(text: FunctionText, value: Operand, dtype: str) -> Operand:
    """A float32 as the number of 16 bits next to it, halves to even; to be used by its text alone."""
    bits = _Bits(text, value.lanes)
    pattern = bits.cast(value, "int32")
    short = _to_bfloat16(bits, pattern) if dtype == "bfloat16" else _to_float16(bits, pattern)
    half, kind = vector("i16", value.lanes), vector(MEMORY[dtype], value.lanes)
    cut = text.pure(f"trunc {short.typed} to {half}", "int32", value.lanes, short)
    return text.pure(f"bitcast {half} {cut.text} to {kind}", dtype, value.lanes, cut)


def _to_bfloat16(bits: _Bits, pattern: Operand) -> Operand:
    odd = bits.apply("and", bits.apply("lshr", pattern, 16), 1)
    rounded = bits.apply("lshr", bits.apply("add", bits.apply("add", pattern, 0x7FFF), odd), 16)
    # The highest bit of the fraction, so that a NaN does not become infinity.
    quiet = bits.apply("or", bits.apply("lshr", pattern, 16), 0x40)
    is_nan = bits.apply("icmp ugt", bits.apply("and", pattern, 0x7FFFFFFF), _INFINITY)
    return bits.choose(is_nan, quiet, rounded)


def _to_float16(bits: _Bits, pattern: Operand) -> Operand:
    sign = bits.apply("lshr", bits.apply("and", pattern, 1 << 31), 16)
    size = bits.apply("and", pattern, 0x7FFFFFFF)
    odd = bits.apply("and", bits.apply("lshr", size, 13), 1)
    shifted = bits.apply("add", bits.apply("sub", size, (127 - 15) << 23), 0xFFF)
    normal = bits.apply("lshr", bits.apply("add", shifted, odd), 13)
    # The processor's own addition rounds what becomes denormal.
    denormal = bits.apply("sub", bits.add_floats("fadd", size, _HALF_MAGIC), _HALF_MAGIC)
    is_nan = bits.apply("icmp ugt", size, _INFINITY)
    special = bits.choose(is_nan, bits.number(0x7E00), bits.number(0x7C00))
    is_small = bits.apply("icmp ult", size, _HALF_NORMAL)
    is_large = bits.apply("icmp uge", size, _HALF_OVERFLOW)
    finite = bits.choose(is_small, denormal, normal)
    return bits.apply("or", bits.choose(is_large, special, finite), sign)


def widen_bfloat16(text: FunctionText, raw: Operand) -> Operand:
    """The float32 that a bfloat16, as memory holds it, is: its higher half."""
    bits = _Bits(text, raw.lanes)
    return bits.cast(bits.apply("shl", _pattern(text, raw, "bfloat"), 16), "float32")


def _pattern(text: FunctionText, raw: Operand, kind: str) -> Operand:
    """The 16 bits of a number, as memory holds it, below zeros."""
    half, wide, stored = (vector(name, raw.lanes) for name in ("i16", "i32", kind))
    short = text.pure(f"bitcast {stored} {raw.text} to {half}", "int32", raw.lanes, raw)
    return text.pure(f"zext {half} {short.text} to {wide}", "int32", raw.lanes, short)


def widen_float16(text: FunctionText, raw: Operand) -> Operand:
    """The float32 that a float16, as memory holds it, is."""
    bits, pattern = _Bits(text, raw.lanes), _pattern(text, raw, "half")
    sign = bits.apply("shl", bits.apply("and", pattern, 0x8000), 16)
    size = bits.apply("shl", bits.apply("and", pattern, 0x7FFF), 13)
    exponent = bits.apply("and", size, 0x7C00 << 13)
    normal = bits.apply("add", size, (127 - 15) << 23)
    special = bits.apply("add", normal, (128 - 16) << 23)
    denormal = bits.add_floats("fsub", bits.apply("add", normal, 1 << 23), _HALF_NORMAL)
    is_special = bits.apply("icmp eq", exponent, 0x7C00 << 13)
    is_denormal = bits.apply("icmp eq", exponent, 0)
    found = bits.choose(is_special, special, bits.choose(is_denormal, denormal, normal))
    return bits.cast(bits.apply("or", found, sign), "float32")
