"""What the strategies of all operators share: shapes, images and types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

Draw = st.DrawFn
Params = dict[str, Any]
LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
# Elements of an array that is reduced.
MOST_ELEMENTS = 6000
# Elements of an image's spatial dimensions together.
MOST_PIXELS = 2000

# Of what is computed with; 16-bit floats now and then.
DTYPES = st.sampled_from([*("float32", "float64") * 3, "bfloat16", "float16"])


def draw_extents(draw: Draw, least: Sequence[int]) -> Params:
    """The extents of an image, by name: wide, and so many lines that it stays small."""
    sizes: list[int] = []
    left = MOST_PIXELS
    for low in reversed(least):
        most = 40 if not sizes else 12 if len(least) == 2 else 7
        size = draw(st.integers(low, max(low, min(most, left))))
        sizes.append(size)
        left //= size
    return dict(zip("dhw"[-len(least) :], reversed(sizes), strict=True))


def draw_shape(draw: Draw, least_rank: int = 1) -> tuple[int, ...]:
    """A shape of few or many small dimensions, some of them 1, the last often long."""
    rank = draw(st.integers(least_rank, 4))
    shape: list[int] = []
    left = MOST_ELEMENTS
    for _ in range(rank):
        most = max(1, min(left, 700 if not shape else 40))
        shape.append(draw(st.one_of(st.integers(1, min(9, most)), st.integers(1, most))))
        left //= shape[-1]
    return tuple(draw(st.permutations(shape)) if draw(st.booleans()) else reversed(shape))


def draw_rest(draw: Draw, rank: int) -> Params:
    """What all operators on images have."""
    return {
        "n": draw(st.integers(1, 3)),
        "layout": draw(st.sampled_from(LAYOUTS[rank])),
        "dtype": draw(DTYPES),
    }


def draw_channels(draw: Draw, params: Params) -> int:
    """Few channels, more where they lie in the lanes."""
    return draw(st.integers(1, 70 if params["layout"].endswith("C") else 9))
