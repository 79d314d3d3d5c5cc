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


def coordinate(
    place: int,
    extent: int,
    places: int,
    mode: str,
    scale: Fraction | None = None,
    region: tuple[Fraction, Fraction] = (Fraction(0), Fraction(1)),
) -> Fraction:
    """Where a pixel of the result lies, as ONNX's operator Resize defines it."""
    scale, (begin, end) = scale or Fraction(places, extent), region
    match mode:
        case "tf_crop_and_resize" if places > 1:
            return begin * (extent - 1) + place * (end - begin) * (extent - 1) / (places - 1)
        case "tf_crop_and_resize":
            return HALF * (begin + end) * (extent - 1)
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


def weights(
    extent: int, places: int, mode: str, find: Callable[[Fraction], int] | None, **side: Any
) -> Array:
    """What each pixel of the image adds to each of the result; of two neighbours unless one is found."""
    table = np.zeros((places, extent))
    for place in range(places):
        at = coordinate(place, extent, places, mode, **side)
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


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("mode", get_args(CoordinateMode))
@pytest.mark.parametrize("scales", [(1.5, 0.7), (0.3, 2.6), (2 / 3, 4 / 3)])
def test_scales_need_not_be_those_of_the_sizes(scales: tuple[float, float], mode: str, layout: str) -> None:
    """7 pixels 1.5 times as long are 10, whose coordinates are 2/3 apart."""
    rng = np.random.default_rng(0)
    image, (h, w) = rng.standard_normal((2, 3, 7, 9)).astype("f"), (7, 9)
    exact = [Fraction(scale).limit_denominator(100) for scale in scales]
    sizes = [floor(extent * scale) for extent, scale in zip((h, w), exact, strict=True)]
    tables = [
        weights(extent, places, mode, None, scale=scale)
        for extent, places, scale in zip((h, w), sizes, exact, strict=True)
    ]
    expected = np.einsum("ncij,ai,bj->ncab", image, *tables)
    params: dict[str, Any] = {"n": 2, "c": 3, "h": h, "w": w, "scales": scales, "coordinate_mode": mode}
    kernel = tw.build("resize", **params, layout=layout, threads=1)
    is_last = layout == "NHWC"
    found = kernel(np.ascontiguousarray(np.moveaxis(image, 1, -1)) if is_last else image)
    np.testing.assert_allclose(
        np.moveaxis(found, -1, 1) if is_last else found, expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("kind", ["bilinear", "nearest"])
@pytest.mark.parametrize(
    "roi", [(0.25, 0.1, 0.75, 0.6), (-0.3, 0.2, 1.4, 1.1), (0.9, 1.2, 0.1, -0.2), (-1e6, 0, 1e6, 1)]
)
def test_a_region_is_cropped_or_turned_over(roi: tuple[float, ...], kind: str, layout: str) -> None:
    """What lies outside of the image is the value that is given."""
    image = np.random.default_rng(0).standard_normal((2, 3, 8, 6)).astype("f")
    edges = [Fraction(str(edge)) for edge in roi]
    sides = [(8, 5, (edges[0], edges[2])), (6, 11, (edges[1], edges[3]))]
    find = NEAREST["round_prefer_floor"] if kind == "nearest" else None
    mode = "tf_crop_and_resize"
    tables = [weights(extent, places, mode, find, region=region) for extent, places, region in sides]
    expected = np.einsum("ncij,ai,bj->ncab", image, *tables)
    inside = [
        [0 <= coordinate(place, extent, places, mode, region=region) <= extent - 1 for place in range(places)]
        for extent, places, region in sides
    ]
    expected = np.where(np.logical_and.outer(*inside), expected, -7)
    params: dict[str, Any] = {"n": 2, "c": 3, "h": 8, "w": 6, "size": (5, 11), "mode": kind, "layout": layout}
    kernel = tw.build("resize", **params, coordinate_mode=mode, roi=roi, extrapolation_value=-7.0, threads=1)
    is_last = layout == "NHWC"
    found = kernel(np.ascontiguousarray(np.moveaxis(image, 1, -1)) if is_last else image)
    np.testing.assert_allclose(
        np.moveaxis(found, -1, 1) if is_last else found, expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({}, "one of size and scales must be given"),
        ({"size": 8, "scales": 2.0}, "one of size and scales must be given"),
        ({"scales": 0.1}, "leaves nothing of 4 x 4 pixels"),
        ({"scales": -1.0}, "a finite number from 0"),
        ({"scales": (1.0, 0.0)}, "greater than 0"),
        ({"size": 8, "coordinate_mode": "tf_crop_and_resize", "roi": (0, 0, 1e18, 1)}, "lead too far out"),
        ({"size": 8, "roi": (0, 0, 1, 1)}, "roi is for coordinate_mode='tf_crop_and_resize'"),
        (
            {"size": 8, "coordinate_mode": "tf_crop_and_resize", "roi": (0, 1)},
            "must be .top, left, bottom, right",
        ),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(params: dict[str, Any], why: str) -> None:
    with pytest.raises(tw.TilewrightError, match=why):
        tw.build("resize", n=1, c=1, h=4, w=4, threads=1, **params)


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
