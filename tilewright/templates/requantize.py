"""The last step of a quantized operator: its sums scaled, rounded and saturated to bytes.

As ONNX rounds: ``saturate(round(x * multiplier) + zero_point)``, halves to even, the product in float32. The
multiplier is the scale of the sums over that of the result.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.te import Tensor
from tilewright.compiler.te.expr import INTEGER_LIMITS

Array = npt.NDArray[Any]
# Multipliers by which sums of a few hundred products of bytes do not all saturate.
MULTIPLIERS = (0.0, 2.0**-9)
_REQUANTIZE = re.compile(r"requantize:(int8|uint8)(:tensor)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Requantize:
    """To bytes of type ``dtype``; by one multiplier for each channel, or by one for the whole tensor."""

    dtype: str
    is_vector: bool

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the greatest result."""
        return INTEGER_LIMITS[self.dtype]

    def placeholders(self, channels: int) -> tuple[Tensor, Tensor]:
        """The multipliers, and the zero point."""
        count = channels if self.is_vector else 1
        multiplier = te.placeholder((count,), "float32", name="multiplier", values=MULTIPLIERS)
        return multiplier, te.placeholder((1,), self.dtype, name="zero_point")

    def express(self, value: te.Expr, multiplier: te.Expr, zero_point: te.Expr) -> te.Expr:
        """The step on an element; bounded ahead of the zero point's addition, which then stays exact."""
        low, high = self.limits
        zero = te.cast("float32", zero_point)
        scaled = te.round(te.cast("float32", value) * multiplier)
        bounded = te.minimum(te.maximum(scaled, float(low) - zero), float(high) - zero)
        return te.cast(self.dtype, te.cast("int32", bounded + zero))

    def compute(self, value: Array, multiplier: Array, zero_point: Array) -> Array:
        """The step in NumPy."""
        scaled = np.rint(value.astype(np.float32) * multiplier.astype(np.float32))
        low, high = self.limits
        shifted = scaled.astype(np.float64) + zero_point.astype(np.float64)
        return np.clip(shifted, low, high).astype(self.dtype)


def parse_requantize(name: str) -> Requantize | None:
    """The step that a name stands for, such as ``requantize:uint8``; None for another."""
    match = _REQUANTIZE.fullmatch(name)
    return None if match is None else Requantize(match[1], match[2] is None)
