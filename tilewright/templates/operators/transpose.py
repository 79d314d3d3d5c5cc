"""Transposition: the dimensions of an array in another order, in memory.

Dimensions that stay neighbours are one. Where the contiguous one stays, rows are copied. Else square blocks
are turned around in registers, and blocks of these stay in the caches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.analysis.machine import LINE_BYTES, Machine
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.templates.collector import TemplateConfig, get_config
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.streams import choose_store, default_store
from tilewright.templates.operators.sweep import ElementDtype, default_sweep, no_flops, sweep
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
SIDES = (16, 32, 64, 128, 256)
# The sides of a block: rows are short pieces of as many pages, which are few enough to be translated at once.
MOST_ROWS, MOST_COLUMNS = 256, 64
# Bytes of a row that are written one after the other where lines are fetched in pairs.
PAIR_BYTES = 2 * LINE_BYTES
# Elements so near to one another are picked out of vectors that hold them all.
NEAR = 4


@dataclass(frozen=True)
class Transposition:
    """A transposition: dimension ``place`` of the result is dimension ``perm[place]`` of the operand."""

    shape: Shape
    perm: Shape

    @classmethod
    def of(cls, shape: Shape, perm: Shape | None) -> Transposition:
        """From the operator's parameters; without ``perm`` the dimensions are reversed.

        Raises:
            WorkloadError: ``perm`` does not name each dimension once.
        """
        rank = len(shape)
        if perm is None:
            return cls(shape, tuple(reversed(range(rank))))
        order = tuple(place + rank if place < 0 else place for place in perm)
        if sorted(order) != list(range(rank)):
            raise WorkloadError(f"transpose: perm={perm} must name each dimension of shape={shape} once")
        return cls(shape, order)

    @cached_property
    def runs(self) -> list[list[int]]:
        """The operand's dimensions that are neighbours in both, in the order of the result."""
        runs: list[list[int]] = []
        kept = [place for place in range(len(self.shape)) if self.shape[place] > 1]
        for place in (p for p in self.perm if p in kept):
            if runs and kept.index(place) == kept.index(runs[-1][-1]) + 1:
                runs[-1].append(place)
            else:
                runs.append([place])
        return runs or [[]]

    @property
    def merged(self) -> Transposition:
        """The same of as few dimensions as can be."""
        ordered = sorted(self.runs)
        shape = tuple(prod(self.shape[place] for place in run) for run in ordered)
        return Transposition(shape, tuple(ordered.index(run) for run in self.runs))

    @property
    def turned(self) -> Shape:
        """The shape of the result."""
        return tuple(self.shape[place] for place in self.perm)

    @property
    def keeps_rows(self) -> bool:
        """Whether what is contiguous stays so."""
        return self.perm[-1] == len(self.shape) - 1

    @property
    def column(self) -> int:
        """The result's dimension that is contiguous in the operand."""
        return self.perm.index(len(self.shape) - 1)

    def block(self, lanes: int) -> tuple[int, int]:
        """Rows and columns of the result that are turned around at once; a row is a vector."""
        rows, columns = self.turned[self.column], self.turned[-1]
        size = min(lanes, _power_of_two(columns))
        if rows > NEAR:
            size = min(size, _power_of_two(rows))
        return min(size, rows), min(size, columns)


def reference(x: Array, *, perm: Shape | None) -> Array:
    """The transposition in NumPy."""
    return np.ascontiguousarray(np.transpose(x, perm))


def default(target: Target, threads: int, shape: Shape, perm: Shape | None, dtype: str) -> dict[str, Any]:
    """The untuned configuration: rows as they are, or blocks that stay in the first cache."""
    work = Transposition.of(shape, perm).merged
    if work.keeps_rows:
        return default_sweep(target, threads, work.turned, dtype)
    down, across = work.turned[work.column], work.turned[-1]
    share = -(-prod(work.shape) // (across * threads))
    pairs = Machine.of(target).fetches_pairs
    return {
        "rows": _nearest(down, min(MOST_ROWS, share)),
        "columns": _nearest(across, PAIR_BYTES // BYTES[dtype] if pairs else MOST_COLUMNS),
        "order": "columns" if pairs else "rows",
        **default_store(target, shape, dtype),
    }


@template("transpose", reference=reference, default=default, flops=no_flops)
def transpose(
    shape: Shape, perm: tuple[int, ...] | None = None, dtype: ElementDtype = "float32"
) -> tuple[Schedule, list[Tensor]]:
    """``shape`` with its dimensions in the order ``perm``, as ``numpy.transpose`` has them."""
    given = Transposition.of(shape, perm)
    cfg, work = get_config(), given.merged
    x = te.placeholder(work.shape, dtype, name="x", argument_shape=shape)

    def element(*index: IterVar) -> te.Expr:
        place = dict(zip(work.perm, index, strict=True))
        return te.Load(x, [place[dimension] for dimension in range(len(index))])

    y = te.compute(work.turned, lambda *i: element(*i), name="y", argument_shape=given.turned)
    lanes = cfg.target.lanes(BYTES[dtype])
    return (sweep(cfg, y, lanes) if work.keeps_rows else _turn(cfg, work, y, lanes)), [x, y]


def _turn(cfg: TemplateConfig, work: Transposition, y: Tensor, lanes: int) -> Schedule:
    """Blocks of square blocks; ``order`` says along which side of a block neighbours follow one another."""
    rows, columns = work.block(lanes)
    cfg.define_knob("rows", _sides(work.turned[work.column]))
    cfg.define_knob("columns", _sides(work.turned[-1]))
    cfg.define_knob("order", ["rows", "columns"])
    s = create_schedule(y)
    axes = list(s[y].op.axis)
    column, row = axes.pop(), axes.pop(work.column)
    down, inner_row = s[y].split(row, rows, tail="shift_inwards")
    across, lane = s[y].split(column, columns, tail="shift_inwards")
    block_down, down = s[y].split(down, -(-cfg["rows"].val // rows))
    block_across, across = s[y].split(across, -(-cfg["columns"].val // columns))
    inside = [across, down] if cfg["order"].val == "rows" else [down, across]
    s[y].reorder(*axes, block_down, block_across, *inside, inner_row, lane)
    s[y].unroll(inner_row)
    s[y].vectorize(lane)
    s[y].parallel(s[y].fuse(*axes, block_down))
    choose_store(cfg, s, y)
    return s


def _sides(extent: int) -> list[int]:
    return [side for side in SIDES if side < extent] or [extent]


def _nearest(extent: int, most: int) -> int:
    """The longest side that is not longer than wanted, if there is one."""
    sides = _sides(extent)
    return max((side for side in sides if side <= most), default=sides[0])


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()
