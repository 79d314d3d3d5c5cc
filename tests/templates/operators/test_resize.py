"""Resized images against ONNX's definition of coordinates, in fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from math import ceil, floor
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest

import tilewright as tw
from tilewright.templates.operators.coordinates import CoordinateMode, NearestMode

Array = npt.NDArray[Any]
HALF = Fraction(1, 2)
NEAREST: dict[str, Callable[[Fraction], int]] = {
    "round_prefer_floor": lambda x: ceil(x - HALF),
    "round_prefer_ceil": lambda x: floor(x + HALF),
    "floor": floor,
    "ceil": ceil,
}
SIZES = ((1, 1), (1, 4), (5, 1), (3, 7), (7, 3), (6, 9), (4, 8))


def coordinate(place: int, extent: int, places: int, mode: str) -> Fraction:
    """Where a pixel of the result lies, as ONNX's operator Resize defines it."""
    scale = Fraction(places, extent)
    match mode:
        case "half_pixel":
            return (place + HALF) / scale - HALF
        case "half_pixel_symmetric":
            adjustment = places / (scale * extent)
            return extent * HALF * (1 - adjustment) + (place + HALF) / scale - HALF
        case "tf_half_pixel_for_nn":
            return (place + HALF) / scale
        case "pytorch_half_pixel":
            return (place + HALF) / scale - HALF if places > 1 else Fraction(0)
        case "align_corners":
            return Fraction(place * (extent - 1), places - 1) if places > 1 else Fraction(0)
    return place / scale


def weights(extent: int, places: int, mode: str, find: Callable[[Fraction], int] | None) -> Array:
    """What each pixel of the image adds to each of the result; of two neighbours unless one is found."""
    table = np.zeros((places, extent))
    for place in range(places):
        at = coordinate(place, extent, places, mode)
        share = at - floor(at)
        parts = [(floor(at), 1 - share), (floor(at) + 1, share)] if find is None else [(find(at), 1)]
        for pixel, part in parts:
            table[place, min(max(pixel, 0), extent - 1)] += float(part)
    return table


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("mode", get_args(CoordinateMode))
def test_pixels_are_joined_by_the_definition(mode: str, layout: str) -> None:
    rng = np.random.default_rng(0)
    kinds: list[dict[str, Any]] = [{"mode": "bilinear"}]
    kinds += [{"mode": "nearest", "nearest_mode": name} for name in get_args(NearestMode)]
    for (h, height), (w, width) in product(SIZES[1::2], SIZES[::2]):
        kind = kinds[int(rng.integers(len(kinds)))]
        find = NEAREST.get(kind.get("nearest_mode", ""))
        image = rng.standard_normal((2, 3, h, w)).astype("f")
        tables = [weights(*sides, mode, find) for sides in ((h, height), (w, width))]
        expected = np.einsum("ncij,ai,bj->ncab", image, *tables)
        sizes: dict[str, Any] = {"n": 2, "c": 3, "h": h, "w": w, "size": (height, width)}
        kernel = tw.build("resize", **sizes, coordinate_mode=mode, layout=layout, threads=1, **kind)
        is_last = layout == "NHWC"
        found = kernel(np.ascontiguousarray(np.moveaxis(image, 1, -1)) if is_last else image)
        found = np.moveaxis(found, -1, 1) if is_last else found
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_nearest_pixels_are_copied_bit_by_bit() -> None:
    image = np.array([np.nan, -0.0, np.inf, -np.inf, 1e-42, 3], "f").reshape(1, 1, 2, 3)
    kernel = tw.build("resize", n=1, c=1, h=2, w=3, size=(4, 6), mode="nearest", threads=1)
    expected = image.repeat(2, axis=2).repeat(2, axis=3)
    assert kernel(image).tobytes() == expected.tobytes()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "float64"])
def test_the_nearest_pixels_may_be_of_any_type(dtype: str, layout: str) -> None:
    image = np.random.default_rng(0).integers(-100, 100, (2, 5, 9, 3)).astype(dtype)
    extents = dict(zip(layout.lower(), image.shape, strict=True))
    kernel = tw.build("resize", **extents, size=11, mode="nearest", layout=layout, dtype=dtype, threads=1)
    rows, columns = ([*layout].index(side) for side in "HW")
    places = [
        [ceil(coordinate(p, image.shape[a], 11, "half_pixel") - HALF) for p in range(11)]
        for a in (rows, columns)
    ]
    kept = [np.clip(at, 0, image.shape[axis] - 1) for at, axis in zip(places, (rows, columns), strict=True)]
    np.testing.assert_array_equal(kernel(image), image.take(kept[0], rows).take(kept[1], columns))


def test_pixels_of_integers_are_not_joined() -> None:
    with pytest.raises(tw.TilewrightError, match="mode='bilinear' is for floats, not dtype=uint8"):
        tw.build("resize", n=1, c=1, h=4, w=4, size=8, dtype="uint8", threads=1)
