"""One over a number: a first approximation."""

from __future__ import annotations

from tilewright.compiler.backends.vector_math.lane_code import LaneCode, LaneValue
from tilewright.compiler.backends.vector_math.scaling import ZMM


def reciprocal_estimate(code: LaneCode, x: LaneValue) -> LaneValue:
    """``1 / x`` with at least 14 bits, for x whose inverse is a normal number."""
    if code.target.has_avx512 and x.lanes:
        return code.in_groups(ZMM, [x], _instruction)[0]
    return code.match(1.0, x) / x


def _instruction(x: LaneValue) -> list[LaneValue]:
    arguments = [(x.type, x.text), (x.type, x.text), ("i16", "-1")]
    return [x.code.call("llvm.x86.avx512.rcp14.ps.512", arguments, "float", ZMM)]
