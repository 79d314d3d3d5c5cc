"""Powers of floats by floats."""

from __future__ import annotations

from tilewright.compiler.backends.vector_math.exponential import COEFFICIENTS
from tilewright.compiler.backends.vector_math.lane_code import SIGN_BIT, LaneCode, LaneValue
from tilewright.compiler.backends.vector_math.logarithm import split
from tilewright.compiler.backends.vector_math.scaling import ROUNDER, scaled

INFINITY = float("inf")
LN2 = 0.6931471805599453
# log2((1 + s) / (1 - s)) / s by s**2, on [-1/5, 1/5]; the relative error is 2**-35.
LOG2_COEFFICIENTS = (2.8853900818354576, 0.9617966221147436, 0.5770923001802651, 0.41120809898422567,
                     0.3483705164723364)  # fmt: skip
# Beyond these powers of two, results are infinite or 0.
MOST, LEAST = 129.0, -151.0
DOUBLE_ROUNDER = 1.5 * 2.0**52
WHOLE, EVEN = 2.0**23, 2.0**24


def power(code: LaneCode, x: LaneValue, y: LaneValue) -> LaneValue:
    """X to the power of y, special values as in C99: error below 1.5 ULP.

    ``2**(y log2|x|)``, where the logarithm and the product are of float64: the error of the exponent is
    multiplied by as much as 2**7.
    """
    magnitude = x.magnitude()
    result = _power_of_two(code, y.convert("fpext", "double") * _log2(code, magnitude))
    is_one = y.equals(0.0) | x.equals(1.0) | (magnitude.equals(1.0) & y.magnitude().equals(INFINITY))
    result = code.choose(is_one, 1.0, result)
    is_whole, sign = _parity(code, y)
    result = (result.bits() | code.choose(is_whole, sign & x.bits(), 0)).as_float()
    has_root = is_whole | (x < 0.0).negated() | x.equals(-INFINITY)
    return code.choose(has_root, result, float("nan"))


def _log2(code: LaneCode, x: LaneValue) -> LaneValue:
    """log2 of a number that is not negative, as a float64; the quotient s makes an odd series of it."""
    k, mantissa = (part.convert("fpext", "double") for part in split(code, x))
    s = (mantissa - 1.0) / (mantissa + 1.0)
    result = code.multiply_add(s, code.polynomial(s * s, LOG2_COEFFICIENTS), k)
    special = code.choose(x.equals(0.0), -INFINITY, x).convert("fpext", "double")
    return code.choose((x > 0.0) & (x < INFINITY), result, special)


def _power_of_two(code: LaneCode, exponent: LaneValue) -> LaneValue:
    """Two to the power of a float64, as a float32."""
    exponent = code.at_least(code.at_most(exponent, MOST), LEAST)
    n = exponent + DOUBLE_ROUNDER - DOUBLE_ROUNDER
    r = ((exponent - n) * LN2).convert("fptrunc", "float")
    return scaled(code.polynomial(r, COEFFICIENTS), n.convert("fptrunc", "float") + ROUNDER)


def _parity(code: LaneCode, y: LaneValue) -> tuple[LaneValue, LaneValue]:
    """Whether y is a whole number; and then, the sign bit where it is odd.

    The lowest bit of a float from 2**23 to 2**24 is the parity, and adding 2**23 leads there.
    """
    magnitude = y.magnitude()
    moved = code.choose(magnitude < WHOLE, magnitude + WHOLE, magnitude)
    is_whole = (moved - WHOLE).equals(magnitude) | (magnitude > WHOLE) | magnitude.equals(WHOLE)
    lowest = code.choose(magnitude < EVEN, moved.bits() << 31, 0)
    return is_whole, lowest & SIGN_BIT
