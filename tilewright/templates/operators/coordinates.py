"""Where the pixels of a resized image lie in the image: ONNX's coordinate transformations, in whole numbers.

A coordinate is ``(place * step + offset) / unit``. All three are integers, so that nothing depends on the
rounding of floats: neighbours and ties are exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor, gcd, lcm
from typing import Any, Literal

from tilewright.compiler import te
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.literal import check_finite

CoordinateMode = Literal[
    "half_pixel",
    "half_pixel_symmetric",
    "asymmetric",
    "align_corners",
    "pytorch_half_pixel",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
]
NearestMode = Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
Size = int | tuple[int, int]
Scales = float | tuple[float, float]
Region = tuple[float, ...]
HALF = Fraction(1, 2)
# The denominator of a scale, which is a float, and the parts of an image by which its regions are told apart.
MOST_PARTS = 10**6
# Coordinates in their unit are computed with as numbers of 64 bits.
MOST_UNITS = 2**60


@dataclass(frozen=True, slots=True)
class Side:
    """One dimension of a resizing.

    Attributes:
        extent: of the image.
        places: of the result.
        scale: how much longer the result is, which the extents need not say exactly.
        region: what ``tf_crop_and_resize`` takes of the image, from its first pixel, 0, to its last, 1.
    """

    extent: int
    places: int
    scale: Fraction
    region: tuple[Fraction, Fraction] = (Fraction(0), Fraction(1))

    @classmethod
    def of_places(cls, extent: int, places: int) -> Side:
        """A result of so many pixels."""
        return cls(extent, places, Fraction(places, extent))

    @classmethod
    def of_scale(cls, extent: int, scale: float) -> Side:
        """A result so many times as long, rounded down; the scale is the nearest of simple fractions."""
        exact = Fraction(scale).limit_denominator(MOST_PARTS)
        return cls(extent, floor(extent * exact), exact)

    def line(self, mode: CoordinateMode) -> tuple[Fraction, Fraction]:
        """Slope and start of the coordinates, as ONNX's operator Resize defines them."""
        last = self.extent - 1
        is_single = self.places == 1
        half_pixel = 1 / self.scale, HALF / self.scale - HALF
        match mode:
            case "asymmetric":
                return 1 / self.scale, Fraction(0)
            case "align_corners":
                return (Fraction(0) if is_single else Fraction(last, self.places - 1)), Fraction(0)
            case "tf_half_pixel_for_nn":
                return 1 / self.scale, HALF / self.scale
            case "half_pixel_symmetric":
                adjustment = self.places / (self.scale * self.extent)
                return half_pixel[0], half_pixel[1] + self.extent * HALF * (1 - adjustment)
            case "tf_crop_and_resize":
                begin, end = self.region
                if is_single:
                    return Fraction(0), HALF * (begin + end) * last
                return (end - begin) * last / (self.places - 1), begin * last
        return (Fraction(0), Fraction(0)) if mode == "pytorch_half_pixel" and is_single else half_pixel


def find_sides(
    extents: tuple[int, int], size: Size | None, scales: Scales | None, mode: CoordinateMode, roi: Region
) -> list[Side]:
    """Height and width, as the parameters say.

    Raises:
        WorkloadError: the parameters do not go together.
    """
    if (size is None) == (scales is None):
        raise WorkloadError("resize: one of size and scales must be given")
    if scales is None:
        places = (size, size) if isinstance(size, int) else size
        assert places is not None
        sides = [Side.of_places(*pair) for pair in zip(extents, places, strict=True)]
    else:
        factors = scales if isinstance(scales, tuple) else (scales, scales)
        for factor in factors:
            check_finite("resize", "scales", factor, least=0)
            if not factor:
                raise WorkloadError(f"resize: scales={scales} must be greater than 0")
        sides = [Side.of_scale(*pair) for pair in zip(extents, factors, strict=True)]
    if min(side.places for side in sides) < 1:
        raise WorkloadError(f"resize: scales={scales} leaves nothing of {extents[0]} x {extents[1]} pixels")
    if not roi:
        return sides
    if mode != "tf_crop_and_resize":
        raise WorkloadError(f"resize: roi is for coordinate_mode='tf_crop_and_resize', not {mode!r}")
    if len(roi) != 4:
        raise WorkloadError(f"resize: roi={roi} must be (top, left, bottom, right)")
    for edge in roi:
        check_finite("resize", "roi", edge)
    top, left, bottom, right = (Fraction(round(edge * MOST_PARTS), MOST_PARTS) for edge in roi)
    regions = ((top, bottom), (left, right))
    return [replace(side, region=region) for side, region in zip(sides, regions, strict=True)]


@dataclass(frozen=True, slots=True)
class Coordinates:
    """The coordinates along one dimension.

    Attributes:
        extent: of the image.
        places: of the result.
        step: see above.
        offset: see above.
        unit: see above.
    """

    extent: int
    places: int
    step: int
    offset: int
    unit: int

    @classmethod
    def of(cls, side: Side, mode: CoordinateMode) -> Coordinates:
        """Of a transformation.

        Raises:
            WorkloadError: coordinates are too large.
        """
        slope, start = side.line(mode)
        unit = lcm(slope.denominator, start.denominator)
        found = cls(side.extent, side.places, int(slope * unit), int(start * unit), unit)
        if max(map(abs, found.ends)) + unit * side.extent > MOST_UNITS:
            raise WorkloadError("resize: scales or roi lead too far out of the image")
        return found

    @property
    def ends(self) -> tuple[int, int]:
        """The first and the last coordinate, in parts of ``unit``."""
        return self.offset, (self.places - 1) * self.step + self.offset

    @property
    def leaves_image(self) -> bool:
        """Whether some coordinates lie outside of the image."""
        return min(self.ends) < 0 or max(self.ends) > (self.extent - 1) * self.unit

    def is_inside(self, place: Any) -> tuple[Any, Any]:
        """Two conditions, of an expression or an array, under which a coordinate lies in the image."""
        value = place * self.step + self.offset
        return value >= 0, value <= (self.extent - 1) * self.unit

    @property
    def period(self) -> int:
        """After so many places the coordinate is greater by whole pixels."""
        return self.unit // gcd(self.step, self.unit)

    def nearest(self, place: Any, mode: NearestMode) -> Any:
        """The nearest pixel, which may lie outside; of an integer, an array or an expression."""
        value = place * self.step + self.offset
        match mode:
            case "floor":
                return value // self.unit
            case "ceil":
                return (value + (self.unit - 1)) // self.unit
            case "round_prefer_ceil":
                return (value * 2 + self.unit) // (2 * self.unit)
        return (value * 2 + (self.unit - 1)) // (2 * self.unit)

    def below(self, place: Any) -> Any:
        """The pixel at or before the coordinate, which may lie outside; of an integer, an array, ..."""
        return (place * self.step + self.offset) // self.unit

    def rest(self, place: Any) -> Any:
        """How far the coordinate is beyond that pixel, in parts of ``unit``."""
        return (place * self.step + self.offset) % self.unit

    def share(self, place: te.Expr, dtype: str) -> te.Expr:
        """The weight of the pixel after that."""
        return te.cast(dtype, self.rest(place)) * (1 / self.unit)
