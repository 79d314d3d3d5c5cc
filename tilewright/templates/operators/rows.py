"""Rows: an array seen as ``(outer, length, inner)``, reduced along ``length`` and written over again.

This is the way of softmax and of the norms: a few passes over a row, or over a strip of neighbouring ones,
that stays in the first cache. Where ``inner`` is 1 a row is contiguous and lies in the lanes, whose partial
results are joined at its end; some rows go side by side. Else neighbouring rows lie in the lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, Stage, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.axes import Axes, normalize_axes
from tilewright.templates.operators.lanes import reduce_lanes, vectors_of
from tilewright.templates.operators.operand import Operand, computed_bytes, computed_lanes
from tilewright.templates.operators.streams import breaks_streams, choose_store, default_store

SIDE_BY_SIDE = (1, 2, 3, 4, 6, 8)
# What defaults choose from: three rows were slower than two or four of the same length.
FEW_ROWS = (1, 2, 4)
# Steps that are worth the two more of a pipeline, its first and its last.
FEWEST_STEPS = 8
# Partial results of one kind that hide the latency of an addition.
FEW = 4
MOST_SUMS = 16
# Terms of one partial result: after some thousands of additions rounding shows.
MOST_TERMS = 4096
# The bytes of a row from what is written to the lines of the result that are fetched meanwhile.
FETCHED_AHEAD = 128
# The share of the first cache for what is kept between passes.
L1_SHARE = 0.7
# The share of the second cache for the same.
L2_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Rows:
    """An array seen as rows.

    Attributes:
        shape: that callers see.
        axes: the dimensions that rows run along, neighbours of one another.
        dtype: of the elements.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, owner: str, shape: tuple[int, ...], axis: Axes, dtype: str) -> Rows:
        """Rows along one axis, or along some that are neighbours; negative ones count from the end.

        Raises:
            WorkloadError: the shape has no such axes, or they are no neighbours.
        """
        axes = normalize_axes(owner, shape, axis)
        if axes != tuple(range(axes[0], axes[-1] + 1)):
            raise WorkloadError(f"{owner}: the axes {axis} of {shape} must be neighbours; transpose it first")
        return cls(shape, axes, dtype)

    @property
    def extents(self) -> tuple[int, ...]:
        """Those of the axes that rows run along."""
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def outer(self) -> int:
        """How many groups of neighbouring rows there are."""
        return prod(self.shape[: self.axes[0]])

    @property
    def length(self) -> int:
        """The elements of a row."""
        return prod(self.extents)

    @property
    def inner(self) -> int:
        """How many elements of other rows lie between neighbours of a row, and the row's own."""
        return prod(self.shape[self.axes[-1] + 1 :])

    @property
    def is_along(self) -> bool:
        """Whether rows are contiguous."""
        return self.inner == 1

    @property
    def head(self) -> tuple[int, ...]:
        """The shape of what there is one of for each row."""
        return (self.outer,) if self.is_along else (self.outer, self.inner)

    @property
    def full(self) -> tuple[int, ...]:
        """The shape of all elements."""
        return (self.outer, self.length, *self.head[1:])

    def breaks_streams(self, target: Target) -> bool:
        """Whether rows are better read one after the other than side by side."""
        row = BYTES[self.dtype] * self.length
        return breaks_streams(2 * self.outer * row, row, target)

    def input(self, name: str) -> Operand:
        """The input."""
        return Operand(te.placeholder(self.full, self.dtype, name=name, argument_shape=self.shape))

    def weights(self, name: str) -> Operand:
        """An input of one value for each place in a row."""
        return Operand(te.placeholder((self.length,), self.dtype, name=name, argument_shape=self.extents))

    def map(self, name: str, element: Callable[..., te.Expr]) -> Tensor:
        """An array whose elements are computed one by one."""
        return te.compute(self.full, lambda *i: element(*i), name=name)

    def result(self, element: Callable[..., te.Expr]) -> Tensor:
        """The result, whose elements are computed one by one."""
        return te.compute(
            self.full, lambda *i: te.cast(self.dtype, element(*i)), name="y", argument_shape=self.shape
        )

    def place(self, row: Sequence[te.Expr], k: te.Expr) -> tuple[te.Expr, ...]:
        """The indices of an element of a row."""
        return (row[0], k, *row[1:])

    def row(self, *index: te.Expr) -> tuple[te.Expr, ...]:
        """The indices of the row of an element."""
        return (index[0], *index[2:])


@dataclass(slots=True)
class Passes:
    """What is computed of rows, one stage after another; the last is the result.

    Attributes:
        rows: the array.
        stages: all but the last.
        ahead: how many of them may be computed one step ahead of the others: only those read them.
    """

    rows: Rows
    stages: list[Tensor] = field(default_factory=list)
    ahead: int = 0

    def reduce(
        self,
        name: str,
        join: Callable[..., te.Expr],
        element: Callable[..., te.Expr],
        length: int | None = None,
    ) -> Tensor:
        """Add what a reduction such as ``te.sum`` makes of each row; ``element`` is given the indices.

        Of a row's first ``length`` elements, if that is given.
        """
        rows = self.rows
        k = te.reduce_axis((0, rows.length if length is None else length), f"{name}.k")
        return self._add(
            te.compute(rows.head, lambda *i: join(element(*rows.place(i, k)), axis=k), name=name)
        )

    def each(self, name: str, element: Callable[..., te.Expr]) -> Tensor:
        """Add what is computed once for each row."""
        return self._add(te.compute(self.rows.head, lambda *i: element(*i), name=name))

    def map(self, name: str, element: Callable[..., te.Expr]) -> Tensor:
        """Add what is computed of each element, and kept for the passes after."""
        return self._add(self.rows.map(name, element))

    def part(self) -> None:
        """Let what was added so far be computed a step ahead of what is added now."""
        self.ahead = len(self.stages)

    def _add(self, tensor: Tensor) -> Tensor:
        self.stages.append(tensor)
        return tensor


def default_rows(
    rows: Rows, kept: int, target: Target, threads: int, overlapped: int = 0, least: int = 1
) -> dict[str, Any]:
    """The untuned configuration: as much side by side as stays in the first cache.

    Args:
        rows: the array.
        kept: how many arrays of their size stay near between passes.
        target: the machine.
        threads: that share the rows.
        overlapped: how many rows at most go side by side where a part of the passes is computed a step
            ahead; 0 if none is.
        least: how many go side by side where none stays near, for what they share.
    """
    lanes, store = computed_lanes(target, rows.dtype), default_store(target, rows.full, rows.dtype)
    room = _room(L1_SHARE * target.l1_bytes, rows, kept)
    if rows.is_along:
        share = -(-rows.outer // threads)
        most = 1 if rows.breaks_streams(target) else min(FEW, room or least, share)
        return _default_along(rows, lanes, most, overlapped, share) | store
    if room < lanes:  # a strip that leaves the first cache anyway is as wide as the second one allows
        room = _room(L2_SHARE * target.l2_bytes, rows, kept)
    strips = [v for v in vectors_of(rows.inner, lanes) if v <= max(1, room // lanes)]
    return {"vectors": strips[-1], "unroll": 1} | store


def _room(size: float, rows: Rows, kept: int) -> int:
    """How many rows of each array a part of a cache has room for."""
    return int(size) // (computed_bytes(rows.dtype) * rows.length * kept)


def _default_along(rows: Rows, lanes: int, most: int, overlapped: int, share: int) -> dict[str, Any]:
    """At most so many contiguous rows side by side; they overlap if that leaves enough steps of a share."""
    side = [n for n in FEW_ROWS if n <= most]
    few = max((n for n in side if n <= overlapped), default=0)
    if few and few * FEWEST_STEPS <= share and rows.length % lanes == 0:
        return {"rows": few, "vectors": 1, "unroll": 2, "pipeline": 1}
    enough = max(1, FEW // side[-1], -(-rows.length // (lanes * MOST_TERMS)))
    vectors = [v for v in vectors_of(rows.length, lanes) if v <= min(enough, MOST_SUMS // side[-1])]
    return {"rows": side[-1], "vectors": vectors[-1], "unroll": 2, "pipeline": 0}


def schedule_rows(cfg: TemplateConfig, passes: Passes, result: Tensor) -> Schedule:
    """All passes over a few rows, or over a strip of neighbouring ones, before those over the next."""
    rows = passes.rows
    lanes = computed_lanes(cfg.target, rows.dtype)
    if rows.is_along:
        cfg.define_knob("rows", _side_by_side(rows))
    cfg.define_knob("vectors", vectors_of(rows.length if rows.is_along else rows.inner, lanes))
    cfg.define_knob("unroll", [1, 2, 4])
    if rows.is_along:
        cfg.constrain(("rows", "vectors"), lambda rows, vectors: rows.val * vectors.val <= MOST_SUMS)
        # A result of other loops than the passes' would not join them.
        is_joined = rows.length % lanes == 0 and result.shape == rows.full
        cfg.define_knob("pipeline", [0, 1] if passes.ahead and is_joined else [0])
        cfg.constrain(("vectors", "pipeline"), lambda vectors, on: vectors.val == 1 or not on.val)
    s = create_schedule(result)
    if not rows.is_along:
        _schedule_beside(s, cfg, passes, result, lanes)
        choose_store(cfg, s, result)
        return s
    vectors = _schedule_along(s, cfg, passes, result, lanes)
    choose_store(cfg, s, result, vectors, FETCHED_AHEAD // (lanes * BYTES[rows.dtype]))
    return s


def _side_by_side(rows: Rows) -> list[int]:
    return [n for n in SIDE_BY_SIDE if n <= rows.outer]


def _schedule_along(s: Schedule, cfg: TemplateConfig, passes: Passes, result: Tensor, lanes: int) -> IterVar:
    """Some contiguous rows side by side; the loop over the vectors of the result."""
    unroll = cfg["unroll"].val
    shared, rest = s[result].split(
        s[result].op.axis[0], _rows_of_thread(cfg, passes.rows), tail="shift_inwards"
    )
    block, row = s[result].split(rest, cfg["rows"].val, tail="shift_inwards")
    vectors = _map_along(s[result], row, lanes, unroll)
    s[result].parallel(shared)
    groups: list[list[Tensor]] = [[], []]
    for number, tensor in enumerate(passes.stages):
        group, stage = groups[number >= passes.ahead], s[tensor]
        group.append(tensor)
        if stage.op.reduce_axis:
            group += reduce_lanes(s, tensor, lanes, cfg["vectors"].val, unroll, result, block)
            continue
        if len(stage.op.axis) == 1:
            stage.vectorize(stage.op.axis[0])
        else:
            _map_along(stage, stage.op.axis[0], lanes, unroll)
        stage.compute_at(s[result], block)
    if cfg["pipeline"].val:
        s[result].software_pipeline(block, *groups)
    else:
        s[result].pragma(block, "fuse_loops")
    return vectors


def _rows_of_thread(cfg: TemplateConfig, rows: Rows) -> int:
    """As many rows for each thread, in whole blocks."""
    blocks = -(-rows.outer // cfg["rows"].val)
    return int(min(rows.outer, -(-blocks // cfg.threads) * cfg["rows"].val))


def _map_along(stage: Stage, row: IterVar, lanes: int, unroll: int) -> IterVar:
    """Vectors of a row, of one row after the other: what they share is read once. The loop over them."""
    *between, last = stage.op.axis[1:]
    vectors, lane = stage.split(last, lanes)
    stage.reorder(*between, vectors, row, lane)
    stage.unroll(vectors, unroll)
    stage.unroll(row)
    stage.vectorize(lane)
    return vectors


def _schedule_beside(s: Schedule, cfg: TemplateConfig, passes: Passes, result: Tensor, lanes: int) -> None:
    """A strip of neighbouring rows in the lanes."""
    unroll, columns = cfg["unroll"].val, cfg["vectors"].val * lanes
    outer, k, j = s[result].op.axis
    strip, j = s[result].split(j, columns)
    s[result].reorder(outer, strip, k, j)
    s[result].unroll(k, unroll)
    s[result].vectorize(j)
    s[result].parallel(s[result].fuse(outer, strip))
    for tensor in passes.stages:
        stage = s[tensor]
        steps = [*stage.op.reduce_axis, *stage.op.axis[1:-1]]
        stage.reorder(stage.op.axis[0], *steps, stage.op.axis[-1])
        for step in steps:
            stage.unroll(step, unroll)
        stage.vectorize(stage.op.axis[-1])
    around = s[result].leaf_iter_vars[0]
    for tensor in passes.stages:
        s[tensor].compute_at(s[result], around)
    s[result].pragma(around, "fuse_loops")
