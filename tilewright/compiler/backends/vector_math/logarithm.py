"""The natural logarithm."""

from __future__ import annotations

from tilewright.compiler.backends.vector_math.exponential import LN2_HIGH, LN2_LOW
from tilewright.compiler.backends.vector_math.lane_code import LaneCode, LaneValue
from tilewright.compiler.backends.vector_math.scaling import CURRENT_ROUNDING, EXPONENT_SHIFT, ZMM

# (log(1 + f) - f) / f**2 on [-1/4, 1/2]; the error is 2**-27 of the logarithm.
COEFFICIENTS = (
    -0.5, 0.3333345, -0.25000104, 0.1999082, -0.16646999,
    0.14478321, -0.13163874, 0.104688786, -0.045112055,
)  # fmt: skip
THREE_QUARTERS_BITS = 0x3F400000
LEAST_NORMAL = 2.0**-126
# Of the instruction that takes mantissas: from [0.75, 1.5), and NaN for negative numbers.
MANTISSA_MODE = ("i32", "11")


def logarithm(code: LaneCode, x: LaneValue) -> LaneValue:
    """Log of x: error below 2 ULP.

    ``x = 2**k (1 + f)`` with f in [-1/4, 1/2), so that no sum cancels: near 1, k is 0.
    """
    k, mantissa = split(code, x)
    if code.target.has_avx512 and x.lanes:
        return _from_parts(code, k, mantissa)
    special = code.choose(x.equals(0.0), float("-inf"), code.choose(x < 0.0, float("nan"), x))
    ordinary = (x > 0.0) & (x < float("inf"))
    return code.choose(ordinary, _from_parts(code, k, mantissa), special)


def _from_parts(code: LaneCode, k: LaneValue, mantissa: LaneValue) -> LaneValue:
    f = mantissa - 1.0
    rest = f * f * code.polynomial(f, COEFFICIENTS)
    return code.multiply_add(k, LN2_HIGH, f + code.multiply_add(k, LN2_LOW, rest))


def split(code: LaneCode, x: LaneValue) -> tuple[LaneValue, LaneValue]:
    """The exponent and the mantissa in [0.75, 1.5) of a positive number."""
    if code.target.has_avx512 and x.lanes:
        k, mantissa = code.in_groups(ZMM, [x], _split_instruction)
        return k, mantissa
    is_denormal = x < LEAST_NORMAL
    bits = code.choose(is_denormal, x * 2.0**EXPONENT_SHIFT, x).bits()
    exponent = (bits - THREE_QUARTERS_BITS) >> EXPONENT_SHIFT
    mantissa = (bits - (exponent << EXPONENT_SHIFT)).as_float()
    k = exponent.convert("sitofp", "float")
    return code.choose(is_denormal, k - EXPONENT_SHIFT, k), mantissa


def _split_instruction(x: LaneValue) -> list[LaneValue]:
    """The same by AVX-512, where 0, infinities and NaN have exponents that lead to the right result."""

    def exponent(y: LaneValue) -> LaneValue:
        arguments = [(y.type, y.text), (y.type, y.text), ("i16", "-1"), CURRENT_ROUNDING]
        return y.code.call("llvm.x86.avx512.mask.getexp.ps.512", arguments, "float", ZMM)

    arguments = [(x.type, x.text), MANTISSA_MODE, (x.type, x.text), ("i16", "-1"), CURRENT_ROUNDING]
    mantissa = x.code.call("llvm.x86.avx512.mask.getmant.ps.512", arguments, "float", ZMM)
    return [exponent(x) - exponent(mantissa), mantissa]
