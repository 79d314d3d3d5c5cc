"""One over the square root."""

from __future__ import annotations

from tilewright.compiler.backends.vector_math.lane_code import LaneCode, LaneValue
from tilewright.compiler.backends.vector_math.scaling import ZMM


def reciprocal_root(code: LaneCode, x: LaneValue) -> LaneValue:
    """``1 / sqrt(x)``: error below 1.5 ULP, and below 1 where AVX-512 gives a first approximation."""
    if code.target.has_avx512 and x.lanes:
        estimate = code.in_groups(ZMM, [x], _estimate)[0]
        return _refined(code, x, estimate)
    return code.match(1.0, x) / code.intrinsic("sqrt", x)


def _estimate(x: LaneValue) -> list[LaneValue]:
    arguments = [(x.type, x.text), (x.type, x.text), ("i16", "-1")]
    return [x.code.call("llvm.x86.avx512.rsqrt14.ps.512", arguments, "float", ZMM)]


def _refined(code: LaneCode, x: LaneValue, estimate: LaneValue) -> LaneValue:
    """A step of Newton's method, but where the estimate is exact and the step would give NaN."""
    error = code.multiply_add(-(x * estimate), estimate, 1.0)
    better = code.multiply_add(estimate * 0.5, error, estimate)
    is_number = error < 1.0
    return code.choose(is_number, better, estimate)
