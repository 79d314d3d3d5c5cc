"""Pooling of any rank and layout: the window, what is computed over it, its knobs and its schedule.

With ``separate`` a window is reduced in two steps, along all its axes but the last into a row of scratch
memory, and then along the row: the row is read in whole vectors, and windows that overlap share it.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from tilewright.templates.operators.product import BYTES

Array = npt.NDArray[Any]
VECTORS = (1, 2, 4, 8)
# Vectors of a tile: enough independent maxima or sums to hide their latency.
FEW = 4
# Steps of a window that are written out; further ones are loops.
WRITTEN_OUT = 16
SPATIAL = "DHW"
Sizes = int | Sequence[int]


@dataclass(frozen=True, slots=True)
class Dimension:
    """One spatial dimension: its extent, the window along it and the padding before and after."""

    extent: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def output(self) -> int:
        """How many windows there are."""
        return (self.extent + self.before + self.after - self.span) // self.stride + 1

    @property
    def span(self) -> int:
        """What a window covers, holes included."""
        return (self.kernel - 1) * self.dilation + 1

    def is_inside(self, place: te.Expr) -> list[te.Expr]:
        """Conditions under which a padded place is one of the input; none where all are."""
        conditions = [place >= self.before] if self.before else []
        return [*conditions, place < self.before + self.extent] if self.after else conditions

    def count(self, window: te.Expr) -> te.Expr:
        """How many elements of the input a window covers."""
        begin = window * self.stride
        first = te.maximum((self.before - begin + self.dilation - 1) // self.dilation, 0)
        last = (self.before + self.extent - 1 - begin) // self.dilation + 1
        return te.minimum(last, self.kernel) - first


@dataclass(frozen=True, slots=True)
class Pooling:
    """A pooling operator.

    Attributes:
        kind: ``max`` or ``avg``.
        outer: the extents n and c.
        dimensions: the spatial ones.
        layout: such as ``NCHW``.
        dtype: of input and output.
        counts_padding: whether an average divides by the whole window.
    """

    kind: str
    outer: tuple[int, int]
    dimensions: tuple[Dimension, ...]
    layout: str
    dtype: str
    counts_padding: bool = True

    @property
    def is_channels_last(self) -> bool:
        """Whether channels are contiguous."""
        return self.layout.endswith("C")

    def arrange(self, n: Any, c: Any, spatial: Sequence[Any]) -> tuple[Any, ...]:
        """Extents or indices in the order of the layout."""
        return (n, *spatial, c) if self.is_channels_last else (n, c, *spatial)

    def divide(self, index: Sequence[Any]) -> tuple[Any, Any, list[Any]]:
        """Indices of the layout as n, c and the spatial ones."""
        if self.is_channels_last:
            return index[0], index[-1], list(index[1:-1])
        return index[0], index[1], list(index[2:])

    @property
    def is_padded(self) -> bool:
        """Whether windows reach over an edge."""
        return any(d.before or d.after for d in self.dimensions)

    @property
    def flops(self) -> int:
        """One operation for each element of each window."""
        return prod(self.outer) * prod(d.output * d.kernel for d in self.dimensions)

    @property
    def contiguous(self) -> int:
        """The extent of the result's contiguous axis."""
        return self.outer[1] if self.is_channels_last else self.dimensions[-1].output


def make_dimensions(
    extents: Sequence[int], kernel: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes
) -> tuple[Dimension, ...]:
    """The spatial dimensions from an operator's parameters.

    Raises:
        WorkloadError: a size is no size, or no window fits.
    """
    rank = len(extents)
    kernels = _spread("kernel", kernel, rank, 1)
    strides = _spread("stride", kernels if stride is None else stride, rank, 1)
    dilations = _spread("dilation", dilation, rank, 1)
    is_given_twice = not isinstance(padding, int) and len(padding) == 2 * rank
    pads = _spread("padding", padding, 2 * rank if is_given_twice else rank, 0)
    ends = pads[rank:] if is_given_twice else pads
    found = []
    for name, *sizes in zip(SPATIAL[-rank:].lower(), extents, kernels, strides, dilations, pads, ends,
                            strict=False):  # fmt: skip
        dimension = Dimension(*sizes)
        if max(dimension.before, dimension.after) >= dimension.span:
            raise WorkloadError(
                f"padding {max(dimension.before, dimension.after)} of {name} must be less than "
                f"the window's {dimension.span}"
            )
        if dimension.output < 1:
            raise WorkloadError(
                f"the window's {dimension.span} exceed {name}={dimension.extent} with its padding"
            )
        found.append(dimension)
    return tuple(found)


def _spread(name: str, sizes: Sizes, count: int, least: int) -> list[int]:
    values = [sizes] * count if isinstance(sizes, int) else list(sizes)
    if len(values) != count or any(v < least for v in values):
        raise WorkloadError(f"{name} must be one integer or {count}, each at least {least}, not {sizes}")
    return values


def reference(pooling: Pooling, x: Array) -> Array:
    """The result in NumPy."""
    first = 1 if pooling.is_channels_last else 2
    pads = [(0, 0)] * x.ndim
    for place, d in enumerate(pooling.dimensions, first):
        pads[place] = (d.before, d.after)
    is_max = pooling.kind == "max"
    padded = np.pad(x, pads, constant_values=-np.inf if is_max else 0)
    counted = np.pad(np.ones(x.shape), pads, constant_values=float(pooling.counts_padding))
    result = _reduce_windows(pooling, padded, first, is_max)
    return result if is_max else result / np.maximum(_reduce_windows(pooling, counted, first, False), 1)


def _reduce_windows(pooling: Pooling, x: Array, first: int, is_max: bool) -> Array:
    reduce: Any = np.maximum if is_max else np.add
    for place, d in enumerate(pooling.dimensions, first):
        parts = [x.take(np.arange(d.output) * d.stride + k * d.dilation, axis=place) for k in range(d.kernel)]
        x = reduce.reduce(parts)
    return x


def default_pooling(pooling: Pooling, target: Target, threads: int) -> dict[str, Any]:
    """A few vectors at a time; two steps where that spares gathers, or much of a large window."""
    last = pooling.dimensions[-1]
    if pooling.is_channels_last:
        pays = last.span > last.stride and prod(d.kernel for d in pooling.dimensions) > WRITTEN_OUT
    else:
        pays = last.stride > 1 or last.span > last.stride
    return {
        "vectors": [v for v in _vectors(pooling, target) if v <= FEW][-1],
        "separate": len(pooling.dimensions) > 1 and pays,
    }


def _vectors(pooling: Pooling, target: Target) -> list[int]:
    most = -(-pooling.contiguous // target.lanes(BYTES[pooling.dtype]))
    return [v for v in VECTORS if v < 2 * most]


def schedule_pooling(cfg: TemplateConfig, pooling: Pooling) -> tuple[Schedule, list[Tensor]]:
    """Vectors along the contiguous axis, windows written out, padding a choice in what is read."""
    cfg.define_knob("vectors", _vectors(pooling, cfg.target))
    cfg.define_knob("separate", [False, True] if len(pooling.dimensions) > 1 else [False])
    x = te.placeholder(
        pooling.arrange(*pooling.outer, [d.extent for d in pooling.dimensions]), pooling.dtype, name="x"
    )
    rows, total = _reduce(pooling, x, cfg["separate"].val)
    output = total if pooling.kind == "max" else _average(pooling, total)
    s = create_schedule(output)
    tile = s.cache_write(total, "register")
    if total is not output:
        s[total].compute_inline()
    size = cfg["vectors"].val * cfg.target.lanes(BYTES[pooling.dtype])
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
    return s, [x, output]


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


def _reduce(pooling: Pooling, x: Tensor, is_separate: bool) -> tuple[Tensor | None, Tensor]:
    """The reduction of the windows, in one step or by way of rows."""
    dimensions = pooling.dimensions
    if not is_separate:
        return None, _reduce_axes(pooling, x, range(len(dimensions)), "y")
    rows = _reduce_axes(pooling, x, range(len(dimensions) - 1), "rows")
    return rows, _reduce_axes(pooling, rows, [len(dimensions) - 1], "y")


def _reduce_axes(pooling: Pooling, source: Tensor, places: Sequence[int], name: str) -> Tensor:
    """Reduce along some dimensions; the others stay, those to come with their padding."""
    ds = pooling.dimensions
    is_input = name == "rows" or len(places) == len(ds)
    extents = [d.output if n in places or not is_input else padded_extent(d) for n, d in enumerate(ds)]
    steps = {n: te.reduce_axis((0, ds[n].kernel), name=f"k{SPATIAL[n - len(ds)].lower()}") for n in places}
    identity = float("-inf") if pooling.kind == "max" else 0.0

    def element(*index: IterVar) -> te.Expr:
        n, c, spatial = pooling.divide(index)
        for place in places:
            spatial[place] = spatial[place] * ds[place].stride + steps[place] * ds[place].dilation
        value: te.Expr
        if is_input:
            tests = [t for d, at in zip(ds, spatial, strict=True) for t in d.is_inside(at)]
            inner = [at - d.before for d, at in zip(ds, spatial, strict=True)]
            value = source[pooling.arrange(n, c, inner)]
            value = te.if_then_else(te.all(*tests), value, identity) if tests else value
        else:
            value = source[pooling.arrange(n, c, spatial)]
        reduce = te.max if pooling.kind == "max" else te.sum
        return reduce(value, axis=list(steps.values()))

    return te.compute(pooling.arrange(*pooling.outer, extents), element, name=name)


def padded_extent(d: Dimension) -> int:
    """What all windows together cover of a dimension."""
    return (d.output - 1) * d.stride + d.span


def _average(pooling: Pooling, total: Tensor) -> Tensor:
    """The sums divided by the number of their elements."""
    ds = pooling.dimensions
    whole = 1.0 / prod(d.kernel for d in ds)

    def element(*index: IterVar) -> te.Expr:
        value: te.Expr = total[index]
        if pooling.counts_padding or not pooling.is_padded:
            return value * whole
        _, _, spatial = pooling.divide(index)
        for d, at in zip(ds, spatial, strict=True):
            if d.before or d.after:
                count = te.maximum(te.cast("int32", d.count(at)), 1)
                value = value / te.cast(pooling.dtype, count)
            else:
                value = value * (1.0 / d.kernel)
        return value

    return te.compute(total.shape, element, name="mean")
