"""Powers of two: taken out of floats, and put into them."""

from __future__ import annotations

from collections.abc import Callable

from tilewright.compiler.backends.vector_math.lane_code import LaneValue

# Adding this rounds a float to a whole number, which then lies in the low bits.
ROUNDER = 1.5 * 2.0**23
ROUNDER_BITS = 0x4B400000
ONE_BITS = 0x3F800000
EXPONENT_SHIFT = 23
ZMM = 16
CURRENT_ROUNDING = ("i32", "4")
# How that instruction rounds what it takes away: to whole numbers, towards the lesser one, in silence.
DOWN = 0b1001


def scaled(p: LaneValue, rounded: LaneValue) -> LaneValue:
    """``p * 2**n`` for ``p`` near 1 and the sum of n and ``ROUNDER``, -252 < n < 254; rounded once."""
    code = p.code
    if code.target.has_avx512 and p.lanes:
        return scaled_by_floor(p, rounded - ROUNDER)
    n = rounded.bits() - ROUNDER_BITS
    half = n >> 1
    # 2**n may not be a normal number where the result is one: the first product is exact.
    for part in (half, n - half):
        p = p * ((part << EXPONENT_SHIFT) + ONE_BITS).as_float()
    return p


def scaled_by_floor(p: LaneValue, n: LaneValue) -> LaneValue:
    """``p * 2**floor(n)`` by AVX-512's instruction, for any n; rounded once."""
    return _by_zmm(_scale_instruction, p, n)


def above_floor(x: LaneValue) -> LaneValue:
    """``x - floor(x)`` by AVX-512's instruction; 0 of what is infinite."""
    return _by_zmm(_reduce_instruction, x)


def _by_zmm(write: Callable[..., LaneValue], *values: LaneValue) -> LaneValue:
    """What an instruction on whole registers makes of vectors of any width, or of scalars."""
    code = values[0].code
    if values[0].lanes:
        return code.in_groups(ZMM, values, lambda *x: [write(*x)])[0]
    # A scalar is the first lane of a vector.
    wide = [
        code.emit(f"insertelement <{ZMM} x float> poison, {x.typed}, i64 0", "float", ZMM) for x in values
    ]
    return code.emit(f"extractelement {write(*wide).typed}, i64 0", "float", 0)


def _scale_instruction(p: LaneValue, n: LaneValue) -> LaneValue:
    arguments = [(p.type, p.text), (n.type, n.text), (p.type, p.text), ("i16", "-1"), CURRENT_ROUNDING]
    return p.code.call("llvm.x86.avx512.mask.scalef.ps.512", arguments, "float", ZMM)


def _reduce_instruction(x: LaneValue) -> LaneValue:
    arguments = [(x.type, x.text), ("i32", f"{DOWN}"), (x.type, x.text), ("i16", "-1"), CURRENT_ROUNDING]
    return x.code.call("llvm.x86.avx512.mask.reduce.ps.512", arguments, "float", ZMM)
