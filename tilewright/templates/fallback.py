"""The untuned split that a template asks for by bounds on its factors."""

from collections.abc import Sequence

from tilewright.templates.errors import SpaceError
from tilewright.templates.knobs import Knob
from tilewright.templates.split import SplitEntity, divisors


def fallback_split(knob: Knob, constraints: Sequence[int]) -> SplitEntity:
    """Return the split whose factors are, from the inside out, the largest within their bounds.

    A bound of -1 takes all that is left. 128 within [-1, 8, 4] gives [4, 8, 4].
    """
    if knob.extent is None:
        raise SpaceError(f"fallback_split: {knob.name!r} is not a split knob")
    left = knob.extent
    factors: list[int] = []
    for bound in reversed(constraints):
        fitting = [factor for factor in divisors(left) if bound == -1 or factor <= bound]
        if not fitting:
            raise SpaceError(
                f"fallback_split: no factor of {left} is within the bound {bound} for knob {knob.name!r}"
            )
        factors.insert(0, fitting[-1])
        left //= fitting[-1]
    if left > 1:
        raise SpaceError(
            f"fallback_split: {list(constraints)} leaves a factor {left} of knob {knob.name!r}; "
            "let the first bound be -1"
        )
    return SplitEntity(tuple(factors))
