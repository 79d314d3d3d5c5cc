"""Where the pixels of a resized image lie in the image: ONNX's coordinate transformations, in whole numbers.

A coordinate is ``(place * step + offset) / unit``. All three are integers, so that nothing depends on the
rounding of floats: neighbours and ties are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any, Literal

from tilewright.compiler import te

# ONNX's transformations but for tf_crop_and_resize. By sizes, half_pixel_symmetric is half_pixel.
CoordinateMode = Literal[
    "half_pixel",
    "half_pixel_symmetric",
    "asymmetric",
    "align_corners",
    "pytorch_half_pixel",
    "tf_half_pixel_for_nn",
]
NearestMode = Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


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
    def of(cls, extent: int, places: int, mode: CoordinateMode) -> Coordinates:
        """Of a transformation with the scale ``places / extent``."""
        if mode == "asymmetric":
            return cls(extent, places, extent, 0, places)
        if mode == "align_corners":
            return cls(extent, places, *((extent - 1, 0, places - 1) if places > 1 else (0, 0, 1)))
        if mode == "tf_half_pixel_for_nn":
            return cls(extent, places, 2 * extent, extent, 2 * places)
        if mode == "pytorch_half_pixel" and places == 1:
            return cls(extent, places, 0, 0, 1)
        return cls(extent, places, 2 * extent, extent - places, 2 * places)

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
