"""Sliding windows over images of any rank: kernels, strides, padding and dilation of convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.te import Tensor
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.operand import widened

Pair = int | tuple[int, int]
Triple = int | tuple[int, int, int]
Ends = int | tuple[int, int]
Sides = int | tuple[int, int] | tuple[int, int, int, int]
Faces = int | tuple[int, int, int] | tuple[int, int, int, int, int, int]
Layout1d = Literal["NCW", "NWC"]
Layout = Literal["NCHW", "NHWC"]
Layout3d = Literal["NCDHW", "NDHWC"]


@dataclass(frozen=True, slots=True)
class Window:
    """A window of ``kernel`` taps, ``dilation`` apart, that moves by ``stride`` over a padded image.

    ``padding`` is what is added ahead of each dimension, then after each: top, left, bottom, right.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    @classmethod
    def of(cls, kernel: Any, stride: Any, padding: Any, dilation: Any, rank: int = 2) -> Window:
        """From parameters: one number or one a dimension, for the padding also one a side."""
        sides = spread(padding, rank)
        whole = sides if len(sides) == 2 * rank else (*sides, *sides)
        return cls(spread(kernel, rank), spread(stride, rank), whole, spread(dilation, rank))

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.kernel)

    @property
    def before(self) -> tuple[int, ...]:
        """The padding ahead of each dimension."""
        return self.padding[: self.rank]

    @property
    def after(self) -> tuple[int, ...]:
        """The padding after each dimension."""
        return self.padding[self.rank :]

    @property
    def span(self) -> tuple[int, ...]:
        """What a window covers of each dimension."""
        pairs = zip(self.kernel, self.dilation, strict=True)
        return tuple((taps - 1) * apart + 1 for taps, apart in pairs)

    def only(self, *dimensions: int) -> Window:
        """The window with the padding of some dimensions alone."""
        sides = [size if n % self.rank in dimensions else 0 for n, size in enumerate(self.padding)]
        return replace(self, padding=tuple(sides))

    def padded(self, extents: Sequence[int]) -> tuple[int, ...]:
        """The extents of an image with its border."""
        return tuple(sum(parts) for parts in zip(extents, self.before, self.after, strict=True))

    def output(self, extents: Sequence[int]) -> tuple[int, ...]:
        """How often it fits into an image of those extents."""
        sizes = zip(self.padded(extents), self.span, self.stride, strict=True)
        return tuple((extent - span) // step + 1 for extent, span, step in sizes)

    def check(self, owner: str, extents: Sequence[int], c: int, o: int, groups: int) -> None:
        """Refuse a window that does not fit, negative padding, and channels that the groups do not divide."""
        self.check_parts(owner, c, o, groups)
        if min(self.output(extents)) < 1:
            covered = " x ".join(str(size) for size in self.span)
            raise WorkloadError(f"{owner}: the kernel covers {covered} pixels, more than the image has")

    def check_parts(self, owner: str, c: int, o: int, groups: int) -> None:
        """Refuse negative padding, and channels that the groups do not divide."""
        if min(self.padding) < 0:
            raise WorkloadError(f"{owner}: padding must not be negative, it is {self.padding}")
        if c % groups or o % groups:
            raise WorkloadError(f"{owner}: groups={groups} must divide c={c} and o={o}")

    def tests(self, places: Sequence[te.Expr], extents: Sequence[int]) -> list[te.Expr]:
        """Conditions under which places of an image of those extents are no border."""
        found = []
        for place, before, after, extent in zip(places, self.before, self.after, extents, strict=True):
            found += [place >= 0] if before else []
            found += [place < extent] if after else []
        return found

    def slide(self, image: npt.NDArray[Any], fill: float = 0.0) -> npt.NDArray[Any]:
        """The windows of a NumPy image (n, c, *extents), as (n, c, *places, *kernel)."""
        border = [(0, 0), (0, 0), *zip(self.before, self.after, strict=True)]
        padded = np.pad(image, border, constant_values=fill)
        axes = tuple(range(2, 2 + self.rank))
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.span, axis=axes)
        steps = [slice(None, None, step) for step in (*self.stride, *self.dilation)]
        return windows[(slice(None), slice(None), *steps)]


def spread(value: Any, rank: int) -> tuple[int, ...]:
    """A parameter, one number or one a dimension, as one a dimension."""
    return tuple(value) if isinstance(value, Sequence) else (value,) * rank


def is_channels_last(layout: str) -> bool:
    """Whether the channels are contiguous."""
    return layout.endswith("C")


def channel_axis(layout: str) -> int:
    """The dimension of the channels."""
    return layout.index("C")


def arrange(layout: str, n: Any, c: Any, spatial: Sequence[Any]) -> tuple[Any, ...]:
    """Extents or indices in the order of a layout."""
    return (n, *spatial, c) if is_channels_last(layout) else (n, c, *spatial)


def divide(layout: str, index: Sequence[Any]) -> tuple[Any, Any, tuple[Any, ...]]:
    """Extents or indices of a layout as n, c and the spatial ones."""
    if is_channels_last(layout):
        return index[0], index[-1], tuple(index[1:-1])
    return index[0], index[1], tuple(index[2:])


def channels_first(array: npt.NDArray[Any], layout: str) -> npt.NDArray[Any]:
    """A NumPy image as (n, c, *extents)."""
    return np.moveaxis(array, -1, 1) if is_channels_last(layout) else array


def in_layout(array: npt.NDArray[Any], layout: str) -> npt.NDArray[Any]:
    """A NumPy image (n, c, *extents) in a layout."""
    return np.moveaxis(array, 1, -1) if is_channels_last(layout) else array


def pad_image(x: Tensor, window: Window, layout: str, dtype: str) -> Tensor:
    """The image with its border, of a type, a stage of its own; the image itself where it is so."""
    if not any(window.padding):
        return widened(x, dtype)
    n, c, extents = divide(layout, x.shape)

    def pixel(*index: te.IterVar) -> te.Expr:
        b, k, places = divide(layout, index)
        inner = [place - before for place, before in zip(places, window.before, strict=True)]
        tests = window.tests(inner, extents)
        read = te.cast(dtype, x[arrange(layout, b, k, inner)])
        return te.if_then_else(te.all(*tests), read, te.const(0, dtype))

    shape = arrange(layout, n, c, window.padded(extents))
    return te.compute(shape, pixel, name="padded")
