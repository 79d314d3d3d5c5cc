"""Convolution of any rank and layout: what is computed, and the same in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.te import IterVar, Tensor
from tilewright.compiler.te.storage import computed_dtype
from tilewright.templates.epilogue import finish
from tilewright.templates.operators.operand import computed_bytes, widened
from tilewright.templates.operators.product_types import widen
from tilewright.templates.operators.window import (
    Window,
    arrange,
    channel_axis,
    channels_first,
    divide,
    in_layout,
    is_channels_last,
    pad_image,
)

Array = npt.NDArray[Any]
Constant = tuple[Literal["weight"], ...]
KERNEL_AXES = ("rz", "ry", "rx")


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution of ``n`` images of ``c`` channels with ``o`` kernels.

    Attributes:
        owner: the operator, for messages.
        n, c, o: images, channels in, channels out.
        extents: of an image, the contiguous one of NCHW last.
        window: how the kernel moves.
        groups: output channels read the input channels of their group only.
        layout: such as ``NCHW``.
        dtype: of the image; that of the weight follows from it.
        epilogue: what is done with each element of the result.
        outer_extents: those that callers see, where an image is computed as one long row.
        out_dtype: of the result ahead of its epilogue, if it is not the usual one.

    Raises:
        WorkloadError: the window does not fit, or the groups do not divide the channels.
    """

    owner: str
    n: int
    c: int
    o: int
    extents: tuple[int, ...]
    window: Window
    groups: int
    layout: str
    dtype: str
    epilogue: tuple[str, ...] = ()
    outer_extents: tuple[int, ...] = ()
    out_dtype: str | None = None

    @classmethod
    def of(cls, owner: str, arguments: Mapping[str, Any]) -> Convolution:
        """What an operator's arguments ask for; the extents are those of ``d``, ``h``, ``w`` that it has.

        Where no pixel has a neighbour among its taps, an image is one long row.
        """
        conv = cls(**cls.fields(owner, arguments))
        rank = conv.window.rank
        if rank == 1 or conv.window != Window.of(1, 1, 0, conv.window.dilation, rank):
            return conv
        layout = "NWC" if conv.is_channels_last else "NCW"
        row = (prod(conv.extents),)
        window = Window.of(1, 1, 0, 1, rank=1)
        return replace(conv, extents=row, window=window, layout=layout, outer_extents=conv.extents)

    @staticmethod
    def fields(owner: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that an operator's arguments give."""
        extents = tuple(arguments[name] for name in "dhw" if name in arguments)
        sizes = {name: arguments[name] for name in ("kernel", "stride", "padding", "dilation")}
        others = {name: arguments[name] for name in ("n", "c", "o", "groups", "layout", "dtype", "epilogue")}
        window = Window.of(**sizes, rank=len(extents))
        out_dtype = arguments.get("out_dtype")
        return {"owner": owner, "extents": extents, "window": window, "out_dtype": out_dtype, **others}

    def __post_init__(self) -> None:
        self.window.check(self.owner, self.extents, self.c, self.o, self.groups)

    @property
    def item(self) -> int:
        """Bytes of a sum, and of what is multiplied at each step."""
        return computed_bytes(self.dtype)

    @property
    def is_plain(self) -> bool:
        """Whether operands are multiplied as they are stored."""
        return computed_dtype(self.dtype) == self.dtype

    @property
    def result(self) -> str:
        """The type of the result, unless its epilogue makes bytes."""
        return self.out_dtype or self.dtype

    @property
    def places(self) -> tuple[int, ...]:
        """The extents of a result."""
        return self.window.output(self.extents)

    @property
    def groups_of_pixels(self) -> int:
        """Groups of neighbouring pixels in a row of the result, of all phases each."""
        return -(-self.places[-1] // self.phases)

    @property
    def share(self) -> int:
        """Output channels of a group."""
        return self.o // self.groups

    @property
    def taps(self) -> tuple[int, ...]:
        """The most taps that a pixel of the result has, of each dimension."""
        return self.window.kernel

    @property
    def depth(self) -> int:
        """Steps of the reduction."""
        return self.c // self.groups * prod(self.taps)

    @property
    def phases(self) -> int:
        """Neighbouring pixels of a row that have taps of their own."""
        return 1

    @property
    def is_side_by_side(self) -> bool:
        """Whether pixels of one phase that are neighbours read neighbours, and can lie in the lanes."""
        return not self.is_channels_last and self.window.stride[-1] == 1

    @property
    def has_uneven_taps(self) -> bool:
        """Whether some pixels of a row have fewer taps than others."""
        return False

    @property
    def has_border(self) -> bool:
        """Whether the ends of rows are padded, with taps that may be skipped there."""
        return any(self.window.only(self.window.rank - 1).padding)

    @property
    def has_tested_lines(self) -> bool:
        """Whether a tap's line may be outside the image, which is tested where it is read."""
        return any(any(self.window.only(d).padding) for d in range(self.window.rank - 1))

    @property
    def is_read_in_place(self) -> bool:
        """Whether the image is read where it lies, but for a border that is written into a copy."""
        return self.is_plain

    @property
    def has_equal_lines(self) -> bool:
        """Whether there are lines, and all of them have the same taps."""
        return self.window.rank > 1

    @property
    def weight_axis(self) -> int:
        """The dimension of the weight's output channels."""
        return 0

    @property
    def is_channels_last(self) -> bool:
        """Whether the channels are contiguous."""
        return is_channels_last(self.layout)

    @property
    def channel_axis(self) -> int:
        """The dimension of the channels."""
        return channel_axis(self.layout)

    def operands(self) -> tuple[Tensor, Tensor]:
        """The image, and the weight: output channels, a group's input channels, kernel."""
        seen = arrange(self.layout, self.n, self.c, self.outer_extents or self.extents)
        x = te.placeholder(
            arrange(self.layout, self.n, self.c, self.extents), self.dtype, name="x", argument_shape=seen
        )
        channels = (self.o, self.c // self.groups)
        taps = (1,) * len(self.outer_extents) or self.window.kernel
        weight = te.placeholder(
            (*channels, *self.window.kernel), self.dtype, name="weight", argument_shape=(*channels, *taps)
        )
        return x, weight

    @property
    def border(self) -> Window:
        """The padding along the contiguous spatial axis."""
        return self.window.only(self.window.rank - 1)

    @property
    def operations(self) -> int | None:
        """Those of all sums, where they are not as written."""
        return None

    def image(self, x: Tensor, is_padded: bool) -> Tensor:
        """What the taps read: the image, with a border of zeros at the ends of its rows or without."""
        border = self.border if is_padded else self.border.only()
        return pad_image(x, border, self.layout, computed_dtype(self.dtype))

    def filters(self, weight: Tensor) -> Tensor:
        """What the taps of the image are multiplied by."""
        return widened(weight, computed_dtype(self.dtype))

    def multiply(self, pixel: te.Expr, weight: te.Expr) -> te.Expr:
        """A step of a sum."""
        return pixel * weight

    def compute(self, image: Tensor, weight: Tensor, form: str) -> tuple[Tensor, Tensor]:
        """The sums as a tile holds them that has ``channels`` or ``pixels`` in its lanes, and the result."""
        sums = self.convolve(image, weight)
        return sums, sums

    def convolve(self, image: Tensor, weight: Tensor) -> Tensor:
        """The sums, of an image with or without its border.

        Where a tap meets a border that is not stored nothing is added.
        """
        _, c, *kernel = weight.shape
        stored = divide(self.layout, image.shape)[2]
        last = self.window.rank - 1
        skipped = self.window.only(
            *(d for d in range(last) if stored[d] == self.extents[d]),
            *([last] if stored[last] == self.extents[last] and self.has_border else []),
        )
        rc = te.reduce_axis((0, c), "rc")
        names = KERNEL_AXES[-len(kernel) :]
        taps = [te.reduce_axis((0, size), name) for size, name in zip(kernel, names, strict=True)]

        def element(*index: IterVar) -> te.Expr:
            b, f, spatial = divide(self.layout, index)
            steps = zip(spatial, self.window.stride, taps, self.window.dilation, skipped.before, strict=True)
            places = [place * stride + tap * apart - before for place, stride, tap, apart, before in steps]
            channel = rc if self.groups == 1 else f // self.share * c + rc
            pixel = image[arrange(self.layout, b, channel, places)]
            product = self.multiply(pixel, weight[(f, rc, *taps)])
            tests = skipped.tests(places, self.extents)
            if tests:
                product = te.if_then_else(te.all(*tests), product, te.const(0, product.dtype))
            return te.sum(product, axis=(rc, *taps))

        shape = arrange(self.layout, self.n, self.o, self.places)
        seen = arrange(self.layout, self.n, self.o, self.outer_extents or self.places)
        attrs = None if self.operations is None else {"FLOP": self.operations}
        return te.compute(shape, element, name="y", attrs=attrs, argument_shape=seen)


def reference(
    x: Array,
    weight: Array,
    *operands: Array,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    layout: str,
    epilogue: Sequence[str],
) -> Array:
    """The convolution in NumPy, of any rank."""
    x, weight = widen(x), widen(weight)
    rank = weight.ndim - 2
    window = Window.of(weight.shape[2:], stride, padding, dilation, rank)
    windows = window.slide(channels_first(x, layout))
    n, c, *rest = windows.shape
    grouped = windows.reshape(n, groups, c // groups, *rest)
    filters = weight.reshape(groups, -1, *weight.shape[1:])
    places = list(range(4, 4 + rank))
    taps = list(range(4 + rank, 4 + 2 * rank))
    y = np.einsum(grouped, [0, 1, 2, *places, *taps], filters, [1, 3, 2, *taps], [0, 1, 3, *places],
                  optimize=True)  # fmt: skip
    y = y.reshape(n, -1, *y.shape[3:])
    return finish(in_layout(y, layout), epilogue, operands, channel_axis(layout))
