"""Resizing of images.

With the channels last a pixel is joined of its four neighbours, whose places in a line are in tables. Else
every line is first made as wide as the result, by gathering, and then lines are joined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.compiler.te.expr import BYTES, FLOATS
from tilewright.compiler.te.storage import computed_dtype
from tilewright.templates.collector import TemplateConfig, get_config
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.coordinates import (
    CoordinateMode,
    Coordinates,
    NearestMode,
    Region,
    Scales,
    Size,
    find_sides,
)
from tilewright.templates.operators.lanes import vectors_of
from tilewright.templates.operators.literal import literal
from tilewright.templates.operators.operand import widened
from tilewright.templates.operators.sweep import FEW, ElementDtype
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Mode = Literal["nearest", "bilinear"]
Layout = Literal["NCHW", "NHWC"]
LINES = (1, 2, 4, 8, 16, 32, 64, 128)
# The share of the second cache for the lines of a block.
L2_SHARE = 0.4


@dataclass(frozen=True)
class Resize:
    """A resizing of ``outer`` images of ``h`` by ``w`` pixels, each of ``inner`` elements.

    Attributes:
        seen: the shape of the images that callers see.
        result: the shape of what they get.
        outer: see above.
        inner: see above.
        rows: the coordinates of the result's lines.
        columns: the coordinates in a line.
        mode: how pixels come of their neighbours.
        nearest_mode: which is the nearest.
        dtype: of the elements.
        outside: what pixels are whose coordinates lie outside of the image; that at the edge if it is None.
    """

    seen: tuple[int, ...]
    result: tuple[int, ...]
    outer: int
    inner: int
    rows: Coordinates
    columns: Coordinates
    mode: Mode
    nearest_mode: NearestMode
    dtype: str
    outside: te.Expr | None = None

    @classmethod
    def of(
        cls,
        n: int,
        c: int,
        h: int,
        w: int,
        size: Size | None,
        mode: Mode,
        coordinate_mode: CoordinateMode,
        nearest_mode: NearestMode,
        layout: Layout,
        dtype: str,
        scales: Scales | None,
        roi: Region,
        extrapolation_value: float,
    ) -> Resize:
        """From the operator's parameters.

        Raises:
            WorkloadError: pixels are to be joined of integers, or parameters do not go together.
        """
        if mode != "nearest" and dtype not in FLOATS:
            raise WorkloadError(
                f"resize: mode={mode!r} is for floats, not dtype={dtype}; mode='nearest' takes any"
            )
        rows, columns = (
            Coordinates.of(side, coordinate_mode)
            for side in find_sides((h, w), size, scales, coordinate_mode, roi)
        )
        is_last = layout == "NHWC"
        seen, result = (
            (n, *extents, c) if is_last else (n, c, *extents)
            for extents in ((h, w), (rows.places, columns.places))
        )
        outer, inner = (n, c) if is_last else (n * c, 1)
        is_cropped = coordinate_mode == "tf_crop_and_resize"
        outside = literal("resize", "extrapolation_value", extrapolation_value, dtype) if is_cropped else None
        return cls(seen, result, outer, inner, rows, columns, mode, nearest_mode, dtype, outside)

    @property
    def computed(self) -> str:
        """The type in which pixels are joined."""
        return self.dtype if self.mode == "nearest" else computed_dtype(self.dtype)

    @cached_property
    def lines(self) -> tuple[int, int]:
        """The first line that is read, negative where it lies above the image, and how many there are."""
        ends = (0, self.rows.places - 1)
        if self.mode == "nearest":
            first, last = sorted(self.rows.nearest(place, self.nearest_mode) for place in ends)
        else:
            first, last = sorted(self.rows.below(place) for place in ends)
            last += 1
        if self.outside is not None:  # a region may lie far away
            first, last = (min(max(line, 0), self.rows.extent - 1) for line in (first, last))
        return first, last - first + 1

    def join(self, read: Callable[[Any], te.Expr], side: Coordinates, place: Any) -> te.Expr:
        """A pixel, or a line, of those of the image; ``read`` is given a place, which may lie outside."""
        if self.mode == "nearest":
            return read(side.nearest(place, self.nearest_mode))
        first = side.below(place)
        share = side.share(place, self.computed)
        return read(first) * (1 - share) + read(first + 1) * share

    def store(self, value: te.Expr, i: te.Expr, j: te.Expr) -> te.Expr:
        """A pixel as it is stored; one that lies outside is what is said of those."""
        value = te.cast(self.dtype, value)
        sides = ((self.rows, i), (self.columns, j))
        tests = [test for side, at in sides if side.leaves_image for test in side.is_inside(at)]
        return (
            value
            if self.outside is None or not tests
            else te.if_then_else(te.all(*tests), value, self.outside)
        )


def reference(
    x: Array,
    *,
    size: Size | None,
    mode: Mode,
    coordinate_mode: CoordinateMode,
    nearest_mode: NearestMode,
    layout: Layout,
    scales: Scales | None,
    roi: Region,
    extrapolation_value: float,
) -> Array:
    """The same in NumPy, one dimension after the other."""
    axes = (1, 2) if layout == "NHWC" else (2, 3)
    sides = find_sides((x.shape[axes[0]], x.shape[axes[1]]), size, scales, coordinate_mode, roi)
    outside = np.zeros((1,) * x.ndim, bool)
    for axis, found in zip(axes, sides, strict=True):
        side = Coordinates.of(found, coordinate_mode)
        place, last = np.arange(side.places), x.shape[axis] - 1
        shape = [-1 if d == axis else 1 for d in range(x.ndim)]
        outside = outside | ~np.logical_and(*side.is_inside(place)).reshape(shape)
        if mode == "nearest":
            x = np.take(x, np.clip(side.nearest(place, nearest_mode), 0, last), axis)
            continue
        first = side.below(place)
        share = (side.rest(place) / side.unit).reshape(shape).astype(x.dtype)
        before, after = (np.take(x, np.clip(first + step, 0, last), axis) for step in (0, 1))
        x = before * (1 - share) + after * share
    if coordinate_mode != "tf_crop_and_resize":
        return x
    return np.where(outside, np.asarray(extrapolation_value, x.dtype), x)


def flops(**arguments: Any) -> int:
    """Three operations for what is between two pixels: in all lines of the image, and between them."""
    work = Resize.of(**arguments)
    places = work.rows.extent + work.rows.places
    return 0 if work.mode == "nearest" else 3 * arguments["n"] * arguments["c"] * work.columns.places * places


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration: as many lines as the second cache holds, yet some for each thread."""
    work = Resize.of(**arguments)
    lanes = target.lanes(BYTES[work.computed])
    if work.inner > 1:
        return {"vectors": [v for v in vectors_of(work.inner, lanes) if v <= FEW][-1]}
    room = int(L2_SHARE * target.l2_bytes) // (BYTES[work.computed] * work.columns.places)
    most = min(room * work.rows.places // work.rows.extent, -(-work.rows.places * work.outer // threads))
    choices = _lines(work)
    return {
        "lines": ([n for n in choices if n <= most] or choices[:1])[-1],
        "vectors": [v for v in vectors_of(work.columns.places, lanes) if v <= FEW][-1],
    }


@template("resize", reference=reference, default=default, flops=flops, positive=("n", "c", "h", "w", "size"))
def resize(
    n: int,
    c: int,
    h: int,
    w: int,
    size: Size | None = None,
    mode: Mode = "bilinear",
    coordinate_mode: CoordinateMode = "half_pixel",
    nearest_mode: NearestMode = "round_prefer_floor",
    layout: Layout = "NCHW",
    dtype: ElementDtype = "float32",
    scales: Scales | None = None,
    roi: Region = (),
    extrapolation_value: float = 0.0,
) -> tuple[Schedule, list[Tensor]]:
    """Images of ``h`` by ``w`` pixels as images of ``size``, or ``scales`` times as large.

    Pixels beyond an edge are those at the edge. ``tf_crop_and_resize`` takes the region ``roi`` of the image,
    (top, left, bottom, right) in parts of it, all of it by default; there they are ``extrapolation_value``.
    """
    work = Resize.of(**locals())
    if work.inner > 1:
        return _resize_pixels(get_config(), work)
    return _resize_lines(get_config(), work)


def _resize_pixels(cfg: TemplateConfig, work: Resize) -> tuple[Schedule, list[Tensor]]:
    """Each pixel, of contiguous channels, of its neighbours."""
    h, w = work.rows.extent, work.columns.extent
    x = te.placeholder((work.outer, h, w, work.inner), work.dtype, name="x", argument_shape=work.seen)
    tables = _tables(work)

    def element(o: te.Expr, i: te.Expr, j: te.Expr, c: te.Expr) -> te.Expr:
        def line(row: te.Expr) -> te.Expr:
            return _look_up(tables, j, lambda place: te.cast(work.computed, x[o, _inside(row, h), place, c]))

        return work.store(work.join(line, work.rows, i), i, j)

    y = te.compute(work.result, element, name="y")
    lanes = cfg.target.lanes(BYTES[work.computed])
    cfg.define_knob("vectors", vectors_of(work.inner, lanes))
    s = create_schedule(y)
    o, i, _, c = s[y].op.axis
    strip, lane = s[y].split(c, cfg["vectors"].val * lanes)
    s[y].unroll(strip, 1)
    s[y].vectorize(lane)
    s[y].parallel(s[y].fuse(o, i))
    return s, [x, y]


def _resize_lines(cfg: TemplateConfig, work: Resize) -> tuple[Schedule, list[Tensor]]:
    """Blocks of lines, which threads share; the lines of the image that a block needs are widened first."""
    x = te.placeholder(
        (work.outer, work.rows.extent, work.columns.extent),
        work.dtype,
        name="x",
        argument_shape=work.seen,
    )
    first, lines = work.lines
    tables, source = _tables(work), widened(x, work.computed)  # only numbers of 32 bits and more are gathered

    def widen(o: te.Expr, i: te.Expr, j: te.Expr) -> te.Expr:
        row = _inside(i + first, work.rows.extent)
        return _look_up(tables, j, lambda place: source[o, row, place])

    def line(row: te.Expr) -> te.Expr:
        return (row if work.outside is None else _inside(row, work.rows.extent)) - first

    wide = te.compute((work.outer, lines, work.columns.places), widen, name="wide")
    y = te.compute(
        (work.outer, work.rows.places, work.columns.places),
        lambda o, i, j: work.store(work.join(lambda row: wide[o, line(row), j], work.rows, i), i, j),
        name="y",
        argument_shape=work.result,
    )
    lanes = cfg.target.lanes(BYTES[work.computed])
    cfg.define_knob("lines", _lines(work))
    cfg.define_knob("vectors", vectors_of(work.columns.places, lanes))
    s = create_schedule(y)
    o, i, j = s[y].op.axis
    block, i = s[y].split(i, cfg["lines"].val)
    strip, lane = s[y].split(j, cfg["vectors"].val * lanes)
    s[y].unroll(strip, 1)
    s[y].vectorize(lane)
    shared = s[y].fuse(o, block)
    s[y].parallel(shared)
    s[wide].compute_at(s[y], shared)
    s[wide].vectorize(s[wide].op.axis[-1])
    if source is not x:
        s[source].compute_at(s[wide], s[wide].op.axis[1])
        s[source].vectorize(s[source].op.axis[-1])
    return s, [x, y]


def _tables(work: Resize) -> list[Tensor]:
    """For each place in a line the nearest pixel; or two neighbours, and the weight of the second."""
    side = work.columns

    def table(name: str, find: Callable[[te.Expr], te.Expr]) -> Tensor:
        places = (side.places,)
        return te.compute(places, lambda j: _inside(find(j), side.extent).astype("int32"), name=name)

    if work.mode == "nearest":
        return [table("nearest", lambda j: side.nearest(j, work.nearest_mode))]
    share = te.compute((side.places,), lambda j: side.share(j, work.computed), name="share")
    return [table("before", side.below), table("after", lambda j: side.below(j) + 1), share]


def _look_up(tables: list[Tensor], j: te.Expr, read: Callable[[te.Expr], te.Expr]) -> te.Expr:
    """A pixel by the tables."""
    if len(tables) == 1:
        return read(te.cast("int64", tables[0][j]))
    before, after, share = tables
    first, second = (read(te.cast("int64", table[j])) for table in (before, after))
    weight = te.Load(share, [j])
    return first * (1 - weight) + second * weight


def _inside(place: te.Expr, extent: int) -> te.Expr:
    """The nearest place that there is."""
    return te.minimum(te.maximum(place, 0), extent - 1)


def _lines(work: Resize) -> list[int]:
    """Whole periods, so that the lines that a block reads are known; or all."""
    period = work.rows.period
    return [*(n * period for n in LINES if n * period < work.rows.places), work.rows.places]
