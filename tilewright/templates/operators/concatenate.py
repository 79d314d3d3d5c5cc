"""Concatenation of arrays along an axis.

The result is seen as ``(outer, pieces, length)``, a piece being the greatest length of which all inputs have
whole numbers. Where there are few pieces the loop over them is written out, so that each is a plain copy.
Else whether an element comes of an input is a condition on its place in a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import gcd, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.templates.collector import get_config
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.axes import normalize_axes
from tilewright.templates.operators.lanes import vectors_of
from tilewright.templates.operators.product import up_to
from tilewright.templates.operators.streams import choose_store, default_store
from tilewright.templates.operators.sweep import BLOCKS, ElementDtype, default_sweep, no_flops
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
# More pieces are too much code.
MOST_PIECES = 16


@dataclass(frozen=True, slots=True)
class Concatenation:
    """A concatenation.

    Attributes:
        shape: of the result.
        axis: along which the inputs lie side by side.
        extents: theirs along that axis.
    """

    shape: Shape
    axis: int
    extents: Shape

    @classmethod
    def of(cls, shape: Shape, axis: int, extents: Shape) -> Concatenation:
        """From the operator's parameters.

        Raises:
            WorkloadError: there is no such axis, or the inputs do not fill it.
        """
        (place,) = normalize_axes("concatenate", shape, axis)
        if sum(extents) != shape[place]:
            raise WorkloadError(
                f"concatenate: extents={extents} make {sum(extents)}, shape={shape} has {shape[place]} "
                f"along axis {axis}"
            )
        return cls(shape, place, extents)

    @property
    def outer(self) -> int:
        """The rows of each array."""
        return prod(self.shape[: self.axis])

    @property
    def rows(self) -> Shape:
        """The elements of a row of each input."""
        inner = prod(self.shape[self.axis + 1 :])
        return tuple(extent * inner for extent in self.extents)

    @property
    def pieces(self) -> tuple[int, int]:
        """How many pieces a row has, and the elements of one; a whole row where they are too many."""
        total, length = sum(self.rows), gcd(*self.rows)
        return (total // length, length) if total // length <= MOST_PIECES else (1, total)

    def seen(self, extent: int) -> Shape:
        """The shape of an input."""
        return (*self.shape[: self.axis], extent, *self.shape[self.axis + 1 :])


def reference(*arrays: Array, axis: int) -> Array:
    """The concatenation in NumPy."""
    return np.concatenate(arrays, axis)


def default(
    target: Target, threads: int, shape: Shape, axis: int, extents: Shape, dtype: str
) -> dict[str, Any]:
    """The untuned configuration."""
    work = Concatenation.of(shape, axis, extents)
    found = default_sweep(target, threads, (work.outer, work.pieces[1]), dtype)
    return {**found, **default_store(target, shape, dtype)}


@template("concatenate", reference=reference, default=default, flops=no_flops, positive=("shape", "extents"))
def concatenate(
    shape: Shape, axis: int, extents: tuple[int, ...], dtype: ElementDtype = "float32"
) -> tuple[Schedule, list[Tensor]]:
    """Arrays side by side along ``axis``, where they have the ``extents``; the result has ``shape``."""
    cfg, work = get_config(), Concatenation.of(shape, axis, extents)
    inputs = [
        te.placeholder((work.outer, row), dtype, name=f"x{number}", argument_shape=work.seen(extent))
        for number, (row, extent) in enumerate(zip(work.rows, work.extents, strict=True))
    ]
    count, length = work.pieces
    ends = list(accumulate(work.rows))

    def element(o: te.Expr, piece: te.Expr, i: te.Expr) -> te.Expr:
        value: te.Expr | None = None
        for x, row, end in reversed(list(zip(inputs, work.rows, ends, strict=True))):
            read = te.Load(x, [o, piece * length + i - (end - row)])
            is_here = i < end if count == 1 else piece < end // length
            value = read if value is None else te.if_then_else(is_here, read, value)
        assert value is not None
        return value

    y = te.compute((work.outer, count, length), element, name="y", argument_shape=shape)
    lanes = cfg.target.lanes(BYTES[dtype])
    cfg.define_knob("vectors", vectors_of(length, lanes))
    cfg.define_knob("block", up_to(BLOCKS, length))
    s = create_schedule(y)
    o, piece, i = s[y].op.axis
    block, i = s[y].split(i, cfg["block"].val)
    strip, lane = s[y].split(i, cfg["vectors"].val * lanes)
    s[y].reorder(o, block, piece, strip, lane)
    s[y].unroll(piece)
    s[y].unroll(strip, 1)
    s[y].vectorize(lane)
    s[y].parallel(s[y].fuse(o, block))
    choose_store(cfg, s, y, strip)
    return s, [*inputs, y]
