"""Sliding windows over images: kernels, strides, padding and dilation, for convolutions and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.te import Tensor
from tilewright.templates.errors import WorkloadError

Pair = int | tuple[int, int]
Sides = int | tuple[int, int] | tuple[int, int, int, int]
Layout = Literal["NCHW", "NHWC"]


@dataclass(frozen=True, slots=True)
class Window:
    """A window of ``kernel`` taps, ``dilation`` apart, that moves by ``stride`` over a padded image.

    ``padding`` is top, left, bottom, right.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]

    @classmethod
    def of(cls, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Window:
        """From parameters: one number or one a dimension, for the padding also one a side."""
        sides = padding if isinstance(padding, Sequence) else (padding, padding)
        whole = tuple(sides) if len(sides) == 4 else (*sides, *sides)
        return cls(_pair(kernel), _pair(stride), whole, _pair(dilation))

    @property
    def span(self) -> tuple[int, int]:
        """The rows and columns that a window covers."""
        pairs = zip(self.kernel, self.dilation, strict=True)
        height, width = ((taps - 1) * apart + 1 for taps, apart in pairs)
        return height, width

    def output(self, h: int, w: int) -> tuple[int, int]:
        """How often it fits into an image of h rows and w columns."""
        top, left, bottom, right = self.padding
        rows = (h + top + bottom - self.span[0]) // self.stride[0] + 1
        return rows, (w + left + right - self.span[1]) // self.stride[1] + 1

    def check(self, owner: str, h: int, w: int, c: int, o: int, groups: int) -> None:
        """Refuse a window that does not fit, negative padding, and channels that the groups do not divide."""
        if min(self.padding) < 0:
            raise WorkloadError(f"{owner}: padding must not be negative, it is {self.padding}")
        if min(self.output(h, w)) < 1:
            raise WorkloadError(
                f"{owner}: the kernel covers {self.span[0]} x {self.span[1]} pixels, more than the image has"
            )
        if c % groups or o % groups:
            raise WorkloadError(f"{owner}: groups={groups} must divide c={c} and o={o}")

    def slide(self, image: npt.NDArray[Any], fill: float = 0.0) -> npt.NDArray[Any]:
        """The windows of a NumPy image (n, c, h, w), as (n, c, rows, columns, kh, kw)."""
        top, left, bottom, right = self.padding
        padded = np.pad(image, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.span, axis=(2, 3))
        (sy, sx), (dy, dx) = self.stride, self.dilation
        return windows[:, :, ::sy, ::sx, ::dy, ::dx]


def pad_image(x: Tensor, window: Window, layout: str, fill: float = 0.0) -> Tensor:
    """The image with its border, a stage of its own; the image itself where there is none."""
    top, left, bottom, right = window.padding
    if not any(window.padding):
        return x
    n, c, h, w = x.shape if layout == "NCHW" else (x.shape[0], x.shape[3], x.shape[1], x.shape[2])
    rows, columns = h + top + bottom, w + left + right

    def pixel(i: te.Expr, j: te.Expr, inside: te.Expr) -> te.Expr:
        is_inside = te.all(i >= top, i < h + top, j >= left, j < w + left)
        return te.if_then_else(is_inside, inside, te.const(fill, x.dtype))

    if layout == "NCHW":
        return te.compute(
            (n, c, rows, columns),
            lambda b, k, i, j: pixel(i, j, x[b, k, i - top, j - left]),
            name="padded",
        )
    return te.compute(
        (n, rows, columns, c), lambda b, i, j, k: pixel(i, j, x[b, i - top, j - left, k]), name="padded"
    )


def _pair(value: Any) -> tuple[int, int]:
    first, second = value if isinstance(value, Sequence) else (value, value)
    return first, second
