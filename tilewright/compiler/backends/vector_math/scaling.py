"""Powers of two: taken out of floats, and put into them."""

from __future__ import annotations

from tilewright.compiler.backends.vector_math.lane_code import LaneValue

# Adding this rounds a float to a whole number, which then lies in the low bits.
ROUNDER = 1.5 * 2.0**23
ROUNDER_BITS = 0x4B400000
ONE_BITS = 0x3F800000
EXPONENT_SHIFT = 23
ZMM = 16
CURRENT_ROUNDING = ("i32", "4")


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
    """``p * 2**floor(n)`` by AVX-512's instruction; rounded once."""
    code = p.code
    if p.lanes:
        return code.in_groups(ZMM, [p, n], lambda *x: [_scale_instruction(*x)])[0]
    # A scalar is the first lane of a vector.
    wide = [
        code.emit(f"insertelement <{ZMM} x float> poison, {x.typed}, i64 0", "float", ZMM) for x in (p, n)
    ]
    return code.emit(f"extractelement {_scale_instruction(*wide).typed}, i64 0", "float", 0)


def _scale_instruction(p: LaneValue, n: LaneValue) -> LaneValue:
    arguments = [(p.type, p.text), (n.type, n.text), (p.type, p.text), ("i16", "-1"), CURRENT_ROUNDING]
    return p.code.call("llvm.x86.avx512.mask.scalef.ps.512", arguments, "float", ZMM)
