"""Transposed convolution of any rank and layout: what is computed, and the same in NumPy.

A pixel of the result is reached by those taps of the kernel that lie a multiple of the stride from it, so the
pixels fall into phases, as many as the stride, each a convolution with taps of its own. One sum says all of
them: its taps follow from the pixel's phase, and only those that there are contribute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.epilogue import finish
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.convolution import KERNEL_AXES, Convolution
from tilewright.templates.operators.window import (
    Window,
    arrange,
    channel_axis,
    channels_first,
    divide,
    in_layout,
    spread,
)

Array = npt.NDArray[Any]
# Phases of a row that are written out side by side; of more, pixels are told apart as they are computed.
MOST_PHASES = 12
# Lanes that are stored further apart would share too few vectors.
MOST_APART = 4


@dataclass(frozen=True, slots=True)
class TransposedConvolution(Convolution):
    """A transposed convolution, the gradient of a convolution with respect to its image.

    ``window`` is that convolution's: ``padding`` is cut off the result. The weight is
    ``(c, o / groups, *kernel)``.

    Attributes:
        output_padding: further pixels at the end of each dimension of the result.

    Raises:
        WorkloadError: nothing is left of the result, or the groups do not divide the channels.
    """

    output_padding: tuple[int, ...] = ()

    @classmethod
    def of(cls, owner: str, arguments: Mapping[str, Any]) -> TransposedConvolution:
        """What an operator's arguments ask for; the extents are those of ``d``, ``h``, ``w`` that it has."""
        fields = cls.fields(owner, arguments)
        return cls(**fields, output_padding=spread(arguments["output_padding"], len(fields["extents"])))

    def __post_init__(self) -> None:
        window = self.window
        window.check_parts(self.owner, self.c, self.o, self.groups)
        limits = zip(self.output_padding, window.stride, window.dilation, strict=True)
        if any(not 0 <= more < max(stride, apart) for more, stride, apart in limits):
            raise WorkloadError(
                f"{self.owner}: output_padding={self.output_padding} must not be negative, and less than the "
                "stride or the dilation"
            )
        if min(self.places) < 1:
            raise WorkloadError(f"{self.owner}: padding={window.padding} leaves nothing of the result")

    @property
    def places(self) -> tuple[int, ...]:
        """The extents of a result."""
        return transposed_extents(self.extents, self.window, self.output_padding)

    @property
    def taps(self) -> tuple[int, ...]:
        """The most taps that a pixel of the result has, of each dimension."""
        return tuple(-(-size // every) for size, every in zip(self.window.kernel, self._every, strict=True))

    @property
    def is_side_by_side(self) -> bool:
        """Whether pixels of one phase can lie in the lanes: there are few phases, in whole groups."""
        is_short = self.window.stride[-1] <= MOST_APART and self.places[-1] % self.phases == 0
        return not self.is_channels_last and is_short

    @property
    def has_uneven_taps(self) -> bool:
        """Whether some pixels of a row have fewer taps than others."""
        stride, size = self.window.stride[-1], self.window.kernel[-1]
        return self._every[-1] < stride or size % stride > 0

    @property
    def phases(self) -> int:
        """Neighbouring pixels of a row that have taps of their own."""
        return self.window.stride[-1] if self.window.stride[-1] <= MOST_PHASES else 1

    @property
    def has_border(self) -> bool:
        """False: how far the taps of a row's ends reach outside depends on the phase."""
        return False

    @property
    def has_equal_lines(self) -> bool:
        """Whether all lines of the result have the same taps."""
        return self.window.rank > 1 and self.window.stride[-2] == 1

    @property
    def weight_axis(self) -> int:
        """The dimension of the weight's output channels."""
        return 1

    @property
    def _every(self) -> tuple[int, ...]:
        """How many taps apart those are that reach one pixel."""
        pairs = zip(self.window.stride, self.window.dilation, strict=True)
        return tuple(stride // gcd(stride, apart) for stride, apart in pairs)

    @property
    def _border(self) -> Window:
        """How far taps reach beyond an image, those of whole groups of phases."""
        window, places = self.window, list(self.places)
        places[-1] = -(-places[-1] // self.phases) * self.phases
        ends = zip(window.before, places, window.stride, self.extents, strict=True)
        after = [max(0, (before + size - 1) // stride + 1 - extent) for before, size, stride, extent in ends]
        spans = zip(window.before, window.span, window.stride, strict=True)
        ahead = [max(0, (span - 1 - before) // stride) for before, span, stride in spans]
        return Window.of(1, 1, (*ahead, *after), 1, window.rank)

    def operands(self) -> tuple[Tensor, Tensor]:
        """The image, and the weight: input channels, a group's output channels, kernel."""
        x = te.placeholder(arrange(self.layout, self.n, self.c, self.extents), self.dtype, name="x")
        return x, te.placeholder((self.c, self.share, *self.window.kernel), self.dtype, name="weight")

    @property
    def border(self) -> Window:
        """As much border along the contiguous spatial axis as taps reach."""
        return self._border.only(self.window.rank - 1)

    def compute(self, image: Tensor, weight: Tensor, form: str) -> tuple[Tensor, Tensor]:
        """The sums as a tile holds them that has ``channels`` or ``pixels`` in its lanes, and the result."""
        if form == "pixels" and self.phases > 1:
            return self._convolve_phases(image, weight)
        sums = self.convolve(image, weight)
        return sums, sums

    def convolve(self, image: Tensor, weight: Tensor) -> Tensor:
        """The sums, of an image with its border; taps beyond its first or last line add nothing."""
        steps = self._steps()

        def element(*index: IterVar) -> te.Expr:
            return self._sum(image, weight, steps, *divide(self.layout, index))

        shape = arrange(self.layout, self.n, self.o, self.places)
        return te.compute(shape, element, name="y", attrs=self._attrs())

    def _convolve_phases(self, image: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The same of an image with channels first, by way of sums whose rows are divided by phase."""
        steps, phases = self._steps(), self.phases

        def element(b: IterVar, f: IterVar, *index: IterVar) -> te.Expr:
            *lines, phase, group = index
            return self._sum(image, weight, steps, b, f, (*lines, group * phases + phase))

        *lines, _ = self.places
        shape = (self.n, self.o, *lines, phases, self.groups_of_pixels)
        sums = te.compute(shape, element, name="sums", attrs=self._attrs())
        whole = (self.n, self.o, *self.places)
        y = te.compute(whole, lambda *i: sums[(*i[:-1], i[-1] % phases, i[-1] // phases)], name="y")
        return sums, y

    def _steps(self) -> list[IterVar]:
        names = KERNEL_AXES[-self.window.rank :]
        sizes = [te.reduce_axis((0, size), name) for size, name in zip(self.taps, names, strict=True)]
        return [te.reduce_axis((0, self.c // self.groups), "rc"), *sizes]

    def _attrs(self) -> dict[str, Any]:
        """The operations: each pixel of the image meets each tap."""
        return {"FLOP": 2 * self.n * self.c * self.share * prod((*self.extents, *self.window.kernel))}

    def _sum(
        self,
        image: Tensor,
        weight: Tensor,
        steps: list[IterVar],
        b: te.Expr,
        f: te.Expr,
        at: Sequence[te.Expr],
    ) -> te.Expr:
        """One element of the result: the sum over the channels of a group and the taps that reach a place."""
        rc, *taps = steps
        found = [
            self._reach(dimension, place, step)
            for dimension, (place, step) in enumerate(zip(at, taps, strict=True))
        ]
        tests = [test for _, _, part in found for test in part]
        places = [place for place, _, _ in found]
        tests += self._border.only(*range(self.window.rank - 1)).tests(places, self.extents)
        places[-1] += self._border.before[-1]
        # Only groups divide the channels: elsewhere a tile may run past the last of them.
        first = f // self.share * (self.c // self.groups)
        channel, kept = (rc, f) if self.groups == 1 else (first + rc, f % self.share)
        pixel = image[arrange(self.layout, b, channel, places)]
        term = pixel * weight[(channel, kept, *(tap for _, tap, _ in found))]
        return te.sum(term, axis=steps, where=te.all(*tests) if tests else None)

    def _reach(self, dimension: int, place: te.Expr, step: IterVar) -> tuple[te.Expr, te.Expr, list[te.Expr]]:
        """Where a step of the reduction reads the image, with which tap, and tests whether there is such.

        A tap ``t`` at ``t * dilation`` reaches ``place`` from the pixel ``(place - t * dilation) / stride``,
        if that is whole. ``first`` is the least such tap, others follow ``stride / gcd`` apart.
        """
        window = self.window
        stride, apart, size = (part[dimension] for part in (window.stride, window.dilation, window.kernel))
        every = self._every[dimension]
        common = stride // every
        place = place + window.before[dimension]
        phase = place % stride
        first = phase // common * pow(apart // common, -1, every) % every
        tap = first + step * every
        pixel = place // stride + (phase - first * apart) // stride - step * (apart // common)
        # A phase that is no multiple of the common divisor is reached by no tap.
        is_even = common == 1 and size % stride == 0
        return pixel, tap, [] if is_even else [tap + phase % common * size < size]


def transposed_extents(
    extents: Sequence[int], window: Window, output_padding: Sequence[int]
) -> tuple[int, ...]:
    """The extents of a transposed convolution's result."""
    sizes = zip(extents, window.stride, window.before, window.after, window.span, output_padding, strict=True)
    return tuple(
        (extent - 1) * stride - before - after + span + more
        for extent, stride, before, after, span, more in sizes
    )


def reference(
    x: Array,
    weight: Array,
    *operands: Array,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: int,
    layout: str,
    epilogue: Sequence[str],
) -> Array:
    """The transposed convolution in NumPy: each tap adds the whole image, spread by the stride."""
    rank = weight.ndim - 2
    window = Window.of(weight.shape[2:], stride, padding, dilation, rank)
    image = channels_first(x, layout)
    n, c, *extents = image.shape
    grouped = image.reshape(n, groups, c // groups, *extents)
    filters = weight.reshape(groups, c // groups, *weight.shape[1:])
    more = spread(output_padding, rank)
    sizes = transposed_extents(extents, window, more)
    whole = [sum(parts) for parts in zip(sizes, window.before, window.after, strict=True)]
    y = np.zeros((n, groups, weight.shape[1], *whole), np.result_type(x, weight))
    for tap in np.ndindex(*weight.shape[2:]):
        spaced = zip(tap, window.dilation, window.stride, extents, strict=True)
        reached = [slice(t * apart, t * apart + (e - 1) * step + 1, step) for t, apart, step, e in spaced]
        taps = filters[(slice(None), slice(None), slice(None), *tap)]
        y[(slice(None), slice(None), slice(None), *reached)] += np.einsum(
            "ngc...,gco->ngo...", grouped, taps, optimize=True
        )
    kept = [slice(before, before + size) for before, size in zip(window.before, sizes, strict=True)]
    y = y.reshape(n, -1, *whole)[(slice(None), slice(None), *kept)]
    return finish(in_layout(y, layout), epilogue, operands, channel_axis(layout))
