"""Pooling of any rank and layout: the window, what is computed over it, its knobs and its schedule.

With ``separate`` a window is reduced in two steps, along all its axes but the last into a row of scratch
memory, and then along the row: the row is read in whole vectors, and windows that overlap share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.operand import Operand, computed_lanes
from tilewright.templates.operators.window import (
    Window,
    arrange,
    channels_first,
    divide,
    in_layout,
    is_channels_last,
)

Array = npt.NDArray[Any]
VECTORS = (1, 2, 4, 8)
# Vectors of a tile: enough independent maxima or sums to hide their latency.
FEW = 4
# Steps of a window that are written out; further ones are loops.
WRITTEN_OUT = 16
SPATIAL = "dhw"
Sizes = int | Sequence[int]


@dataclass(frozen=True, slots=True)
class Pooling:
    """A pooling operator.

    Attributes:
        kind: ``max`` or ``avg``.
        outer: the extents n and c.
        extents: the spatial ones.
        window: what is reduced, and how it moves.
        layout: such as ``NCHW``.
        dtype: of input and output.
        counts_padding: whether an average divides by the whole window.
    """

    kind: str
    outer: tuple[int, int]
    extents: tuple[int, ...]
    window: Window
    layout: str
    dtype: str
    counts_padding: bool = True

    @property
    def is_channels_last(self) -> bool:
        """Whether channels are contiguous."""
        return is_channels_last(self.layout)

    @property
    def places(self) -> tuple[int, ...]:
        """How many windows there are along each dimension."""
        return self.window.output(self.extents)

    @property
    def flops(self) -> int:
        """One operation for each element of each window."""
        return prod(self.outer) * prod(self.places) * prod(self.window.kernel)

    @property
    def contiguous(self) -> int:
        """The extent of the result's contiguous axis."""
        return self.outer[1] if self.is_channels_last else self.places[-1]


def make_window(
    extents: Sequence[int], kernel: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes
) -> Window:
    """The window from an operator's parameters.

    Raises:
        WorkloadError: a size is no size, or no window fits.
    """
    rank = len(extents)
    kernels = _sizes("kernel", kernel, rank, 1)
    strides = _sizes("stride", kernels if stride is None else stride, rank, 1)
    is_given_twice = not isinstance(padding, int) and len(padding) == 2 * rank
    pads = _sizes("padding", padding, 2 * rank if is_given_twice else rank, 0)
    window = Window.of(kernels, strides, pads, _sizes("dilation", dilation, rank, 1), rank)
    most = [max(ends) for ends in zip(window.before, window.after, strict=True)]
    sizes = zip(SPATIAL[-rank:], extents, most, window.span, window.output(extents), strict=True)
    for name, extent, padded, span, places in sizes:
        if padded >= span:
            raise WorkloadError(f"padding {padded} of {name} must be less than the window's {span}")
        if places < 1:
            raise WorkloadError(f"the window's {span} exceed {name}={extent} with its padding")
    return window


def _sizes(name: str, sizes: Sizes, count: int, least: int) -> list[int]:
    values = [sizes] * count if isinstance(sizes, int) else list(sizes)
    if len(values) != count or any(v < least for v in values):
        raise WorkloadError(f"{name} must be one integer or {count}, each at least {least}, not {sizes}")
    return values


def reference(pooling: Pooling, x: Array) -> Array:
    """The result in NumPy."""
    image, window = channels_first(x, pooling.layout), pooling.window
    pads = [(0, 0), (0, 0), *zip(window.before, window.after, strict=True)]
    is_max = pooling.kind == "max"
    padded = np.pad(image, pads, constant_values=-np.inf if is_max else 0)
    counted = np.pad(np.ones(image.shape), pads, constant_values=float(pooling.counts_padding))
    result = _reduce_windows(pooling, padded, is_max)
    if not is_max:
        result = result / np.maximum(_reduce_windows(pooling, counted, False), 1)
    return in_layout(result, pooling.layout)


def _reduce_windows(pooling: Pooling, x: Array, is_max: bool) -> Array:
    reduce: Any = np.maximum if is_max else np.add
    window = pooling.window
    sizes = zip(pooling.places, window.kernel, window.stride, window.dilation, strict=True)
    for axis, (count, taps, stride, apart) in enumerate(sizes, 2):
        x = reduce.reduce([x.take(np.arange(count) * stride + k * apart, axis=axis) for k in range(taps)])
    return x


def default_pooling(pooling: Pooling, target: Target, threads: int) -> dict[str, Any]:
    """A few vectors at a time; two steps where that spares gathers, or much of a large window."""
    window = pooling.window
    overlaps = window.span[-1] > window.stride[-1]
    if pooling.is_channels_last:
        pays = overlaps and prod(window.kernel) > WRITTEN_OUT
    else:
        pays = overlaps or window.stride[-1] > 1
    return {
        "vectors": [v for v in _vectors(pooling, target) if v <= FEW][-1],
        "separate": window.rank > 1 and pays,
    }


def _vectors(pooling: Pooling, target: Target) -> list[int]:
    most = -(-pooling.contiguous // computed_lanes(target, pooling.dtype))
    return [v for v in VECTORS if v < 2 * most]


def schedule_pooling(cfg: TemplateConfig, pooling: Pooling) -> tuple[Schedule, list[Tensor]]:
    """Vectors along the contiguous axis, windows written out, padding a choice in what is read."""
    cfg.define_knob("vectors", _vectors(pooling, cfg.target))
    cfg.define_knob("separate", [False, True] if pooling.window.rank > 1 else [False])
    shape = arrange(pooling.layout, *pooling.outer, pooling.extents)
    x = Operand(te.placeholder(shape, pooling.dtype, name="x"))
    rows, total = _reduce(pooling, x, cfg["separate"].val)
    output = _finish(pooling, total)
    s = create_schedule(output)
    tile = s.cache_write(total, "register")
    if total is not output:
        s[total].compute_inline()
    size = cfg["vectors"].val * computed_lanes(cfg.target, pooling.dtype)
    around, across = _split_output(s, pooling, output, size)
    s[tile].compute_at(s[output], across)
    *_, wide = s[tile].op.axis
    _reduce_vectors(s, tile, wide)
    if rows is not None:
        s[rows].compute_at(s[output], around)
        outer, inner = s[rows].split(s[rows].op.axis[-1], size)
        s[rows].loop_partition(outer)
        s[rows].reorder(outer, *s[rows].op.reduce_axis, inner)
        _reduce_vectors(s, rows, inner)
    return s, [x.tensor, output]


def _split_output(s: Schedule, pooling: Pooling, output: Tensor, size: int) -> tuple[IterVar, IterVar]:
    """Vectors of the result; the loop around a row of it, and that around a few vectors."""
    stage = s[output]
    axes = list(stage.op.axis)
    across, inner = stage.split(axes[-1], size)
    stage.vectorize(inner)
    shared = axes[:2] if len(axes) > 3 or not pooling.is_channels_last else axes[:1]
    fused = stage.fuse(*shared)
    stage.parallel(fused)
    rest = axes[len(shared) : -1]
    row = rest[: len(rest) - pooling.is_channels_last]
    for axis in (*rest, across):
        stage.loop_partition(axis)
    return (row[-1] if row else fused), across


def _reduce_vectors(s: Schedule, stage: Tensor, wide: IterVar) -> None:
    reductions = s[stage].op.reduce_axis
    if wide in s[stage].op.axis:
        s[stage].reorder(*reductions, wide)
    written = 1
    for axis in reversed(reductions):
        written *= axis.extent
        if written <= WRITTEN_OUT:
            s[stage].unroll(axis)
    s[stage].vectorize(wide)


def _reduce(pooling: Pooling, x: Operand, is_separate: bool) -> tuple[Tensor | None, Tensor]:
    """The reduction of the windows, in one step or by way of rows."""
    rank = pooling.window.rank
    if not is_separate:
        return None, _reduce_axes(pooling, x, range(rank), "y")
    rows = _reduce_axes(pooling, x, range(rank - 1), "rows")
    return rows, _reduce_axes(pooling, rows, [rank - 1], "y")


def _reduce_axes(pooling: Pooling, source: Operand | Tensor, places: Sequence[int], name: str) -> Tensor:
    """Reduce along some dimensions; the others stay, those to come with their padding."""
    window, layout = pooling.window, pooling.layout
    is_input = name == "rows" or len(places) == window.rank
    extents = [
        count if n in places or not is_input else (count - 1) * stride + span
        for n, (count, stride, span) in enumerate(
            zip(pooling.places, window.stride, window.span, strict=True)
        )
    ]
    letters = SPATIAL[-window.rank :]
    steps = {n: te.reduce_axis((0, window.kernel[n]), name=f"k{letters[n]}") for n in places}
    identity = float("-inf") if pooling.kind == "max" else 0.0

    def element(*index: IterVar) -> te.Expr:
        n, c, found = divide(layout, index)
        spatial: list[te.Expr] = list(found)
        for place in places:
            spatial[place] = spatial[place] * window.stride[place] + steps[place] * window.dilation[place]
        tests = []
        if is_input:
            spatial = [at - before for at, before in zip(spatial, window.before, strict=True)]
            tests = window.tests(spatial, pooling.extents)
        value: te.Expr = source[arrange(layout, n, c, spatial)]
        value = te.if_then_else(te.all(*tests), value, identity) if tests else value
        reduce = te.max if pooling.kind == "max" else te.sum
        return reduce(value, axis=list(steps.values()))

    return te.compute(arrange(layout, *pooling.outer, extents), element, name=name)


def _finish(pooling: Pooling, total: Tensor) -> Tensor:
    """The maxima, or the averages, as they are stored."""
    is_max = pooling.kind == "max"
    if is_max and total.dtype == pooling.dtype:
        return total
    element = total.__getitem__ if is_max else _averaging(pooling, total)
    return te.compute(total.shape, lambda *i: te.cast(pooling.dtype, element(i)), name="result")


def _averaging(pooling: Pooling, total: Tensor) -> Callable[[tuple[IterVar, ...]], te.Expr]:
    """What divides a sum by the number of its elements."""
    window = pooling.window
    whole = 1.0 / prod(window.kernel)

    def element(index: tuple[IterVar, ...]) -> te.Expr:
        value: te.Expr = total[index]
        if pooling.counts_padding or not any(window.padding):
            return value * whole
        _, _, spatial = divide(pooling.layout, index)
        for dimension, place in enumerate(spatial):
            if window.before[dimension] or window.after[dimension]:
                count = te.maximum(te.cast("int32", _count(pooling, dimension, place)), 1)
                value = value / te.cast(total.dtype, count)
            else:
                value = value * (1.0 / window.kernel[dimension])
        return value

    return element


def _count(pooling: Pooling, dimension: int, place: te.Expr) -> te.Expr:
    """How many elements of the input the window at a place covers along a dimension."""
    window, extent = pooling.window, pooling.extents[dimension]
    apart, before = window.dilation[dimension], window.before[dimension]
    begin = place * window.stride[dimension]
    first = te.maximum((before - begin + apart - 1) // apart, 0)
    last = (before + extent - 1 - begin) // apart + 1
    return te.minimum(last, window.kernel[dimension]) - first
