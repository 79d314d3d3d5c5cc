"""The exponential functions, and the logistic function, which is made of one."""

from __future__ import annotations

import math

from tilewright.compiler.backends.vector_math.lane_code import LaneCode, LaneValue
from tilewright.compiler.backends.vector_math.piecewise import look_up
from tilewright.compiler.backends.vector_math.reciprocal import reciprocal_estimate
from tilewright.compiler.backends.vector_math.scaling import (
    ROUNDER,
    above_floor,
    scaled,
    scaled_by_floor,
)

LOG2_E = 1.4426950408889634
# The high part of ln 2 has 15 bits: products with whole numbers of up to 9 bits are exact.
LN2_HIGH = float.fromhex("0x1.62e4p-1")
LN2_LOW = float.fromhex("0x1.7f7d1cf79abcap-20")
# The minimax polynomial of exp(r) on [-ln(2)/2, ln(2)/2]; the relative error is 2**-28.
COEFFICIENTS = (1.0, 1.0, 0.49999994, 0.16666521, 0.041668258, 0.0083686681, 0.0013821302)
# Powers of two between 1 and 2, and (exp(r) - 1) / r on [-ln(2)/32, ln(2)/32]: the error is 2**-29 of exp(r).
ROOTS = 16
NEAR_ZERO = (1.0, 0.50001616, 0.16666719)
# The first polynomial for powers of two.
BINARY_COEFFICIENTS = tuple(c * math.log(2) ** n for n, c in enumerate(COEFFICIENTS))
# The minimax polynomial of 2**r on [0, 1) that is 1 at 0; the relative error is 2**-28.9.
ABOVE_FLOOR = (
    1.0, 0.6931470632553101, 0.2402293086051941, 0.055485282093286514, 0.009675451554358006,
    0.0012467845808714628, 0.00021612914861179888,
)  # fmt: skip
# Beyond these, results are infinite or 0.
MOST, LEAST = 89.0, -104.0
BINARY_MOST, BINARY_LEAST = 129.0, -151.0
# Above this the logistic function is 1.
LOGISTIC_MOST = 60.0


def exponential(code: LaneCode, x: LaneValue) -> LaneValue:
    """Exp of x: error below 1.5 ULP, denormal results included."""
    if code.target.has_avx512:
        return _by_sixteenths(code, code.at_least(code.at_most(x, MOST), LEAST))
    return _by_halves(code, x, MOST)


def _by_halves(code: LaneCode, x: LaneValue, most: float) -> LaneValue:
    """Exp of x, no greater than that of ``most``.

    Cody and Waite's reduction ``x = n ln 2 + r``, the minimax polynomial of exp(r), and a scaling by 2**n.
    """
    x = code.at_least(code.at_most(x, most), LEAST)
    rounded = code.multiply_add(x, LOG2_E, ROUNDER)
    n = rounded - ROUNDER
    r = code.multiply_add(n, -LN2_LOW, code.multiply_add(n, -LN2_HIGH, x))
    return scaled(code.polynomial(r, COEFFICIENTS), rounded)


def _by_sixteenths(code: LaneCode, x: LaneValue) -> LaneValue:
    """The same with ``2**(1/16)`` in place of 2: its powers are looked up in a register (Tang, 1989)."""
    rounded = code.multiply_add(x, LOG2_E, ROUNDER / ROOTS)
    n = rounded - ROUNDER / ROOTS
    r = code.multiply_add(n, -LN2_LOW, code.multiply_add(n, -LN2_HIGH, x))
    # n are sixteenths, counted in the last bits of the sum.
    root = look_up(code, rounded.bits(), "exp_roots", [2 ** (place / ROOTS) for place in range(ROOTS)])
    return scaled_by_floor(code.multiply_add(root * r, code.polynomial(r, NEAR_ZERO), root), n)


def power_of_two(code: LaneCode, x: LaneValue) -> LaneValue:
    """2 to the power of x: error below 1.5 ULP, denormal results included.

    What is left of x besides whole numbers is exact: there is no reduction as for exp.
    """
    if code.target.has_avx512:  # infinities come through both instructions
        return scaled_by_floor(code.polynomial(above_floor(x), ABOVE_FLOOR), x)
    x = code.at_least(code.at_most(x, BINARY_MOST), BINARY_LEAST)
    rounded = x + ROUNDER
    r = x - (rounded - ROUNDER)
    return scaled(code.polynomial(r, BINARY_COEFFICIENTS), rounded)


def logistic(code: LaneCode, x: LaneValue) -> LaneValue:
    """``e / (1 + e)`` with e = exp(x), which is accurate on both sides of 0.

    The quotient is corrected by its remainder, ``(e - q) - q e``, which is free of the rounding of 1 + e:
    error below 2 ULP. Without fused multiply-adds there is no exact remainder: error below 2.5 ULP.
    """
    e = _by_halves(code, x, LOGISTIC_MOST)  # the more accurate way
    if not code.target.has_fma:
        return e / (e + 1.0)
    inverse = reciprocal_estimate(code, e + 1.0)
    quotient = e * inverse
    remainder = code.multiply_add(-quotient, e, e - quotient)
    return code.multiply_add(remainder, inverse, quotient)
