"""The sine and the cosine."""

from __future__ import annotations

from tilewright.compiler.backends.llvm_types import vector
from tilewright.compiler.backends.vector_math.lane_code import SIGN_BIT, LaneCode, LaneValue

TWO_OVER_PI = 0.6366197723675814
# The high part of pi / 2 has 33 bits: its products with whole numbers of up to 20 bits are exact.
HALF_PI_HIGH = float.fromhex("0x1.921fb5444p+0")
HALF_PI_LOW = float.fromhex("0x1.68c234c4c6629p-39")
DOUBLE_ROUNDER = 1.5 * 2.0**52
# sin(r) / r, and cos(r), by r**2 on [-pi/4, pi/4]; the relative errors are 2**-28 and 2**-33.
SINE = (1.0, -0.1666665460951979, 0.008332160757975653, -0.00019515282477444224)
COSINE = (1.0, -0.4999999969447606, 0.04166662035700658, -0.0013886681641215898, 2.4383566488602375e-05)
# Beyond this the multiple of pi / 2 has more than 20 bits.
FAR = 2.0**20


def sine(code: LaneCode, x: LaneValue) -> LaneValue:
    """Sine of x: error below 2.5 ULP; see :func:`_wave`."""
    return _wave(code, x, 0, "sinf")


def cosine(code: LaneCode, x: LaneValue) -> LaneValue:
    """Cosine of x: error below 2.5 ULP; see :func:`_wave`."""
    return _wave(code, x, 1, "cosf")


def _wave(code: LaneCode, x: LaneValue, quarters: int, library: str) -> LaneValue:
    """The sine of x and so many quarters of a period.

    Cody and Waite's reduction ``x = n pi/2 + r``, of float64, then a polynomial that the parity of n chooses.
    Lanes that are too far from 0 for it are left to the C library.
    """
    wide = x.convert("fpext", "double")
    rounded = code.multiply_add(wide, TWO_OVER_PI, DOUBLE_ROUNDER)
    n = rounded - DOUBLE_ROUNDER
    rest = code.multiply_add(n, -HALF_PI_LOW, code.multiply_add(n, -HALF_PI_HIGH, wide))
    r = rest.convert("fptrunc", "float")
    square = r * r
    quarter = rounded.bits().convert("trunc", "i32") + quarters
    is_odd = (quarter << 31) < 0
    result = code.choose(is_odd, code.polynomial(square, COSINE), r * code.polynomial(square, SINE))
    result = (result.bits() ^ ((quarter << 30) & SIGN_BIT)).as_float()
    return _with_far_lanes(code, x, result, library)


def _with_far_lanes(code: LaneCode, x: LaneValue, near: LaneValue, library: str) -> LaneValue:
    """The result, with a branch for vectors in which a lane is far from 0."""
    is_far = (x.magnitude() > FAR).settled()
    some = is_far
    if x.lanes:
        some = code.call(f"llvm.vector.reduce.or.v{x.lanes}i1", [(is_far.type, is_far.text)], "i1")
    code.lines += [f"  br i1 {some.text}, label %far, label %done", "far:"]
    mixed = code.choose(is_far, _by_library(code, x, library), near)
    code.lines += ["  br label %done", "done:"]
    return code.emit(f"phi {x.type} [ {near.text}, %entry ], [ {mixed.text}, %far ]", "float", x.lanes)


def _by_library(code: LaneCode, x: LaneValue, library: str) -> LaneValue:
    """A function of the C library, lane by lane, by a function that is not put in place of its call."""
    if not x.lanes:
        return code.call(library, [(x.type, x.text)], "float")
    kind = vector("float", x.lanes)
    lines = [f"define internal {kind} @{library}_lanes{x.lanes}({kind} %x) #2 {{"]
    result = "poison"
    for lane in range(x.lanes):
        lines += [
            f"  %x{lane} = extractelement {kind} %x, i64 {lane}",
            f"  %y{lane} = call float @{library}(float %x{lane})",
            f"  %r{lane} = insertelement {kind} {result}, float %y{lane}, i64 {lane}",
        ]
        result = f"%r{lane}"
    code.globals |= {"\n".join([*lines, f"  ret {kind} {result}", "}"]), f"declare float @{library}(float)"}
    return code.emit(f"call {kind} @{library}_lanes{x.lanes}({x.typed})", "float", x.lanes)
