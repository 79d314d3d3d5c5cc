"""Slices: every so many elements of each dimension, from one to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.templates.collector import get_config
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.sweep import ElementDtype, default_sweep, no_flops, sweep
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slices:
    """Slices of all dimensions.

    Attributes:
        shape: of the array.
        ranges: the places that are kept of each dimension.
    """

    shape: Shape
    ranges: tuple[range, ...]

    @classmethod
    def of(cls, shape: Shape, start: Shape, stop: Shape | None, step: Shape | None) -> Slices:
        """From the operator's parameters, which are read as Python reads those of ``x[start:stop:step]``.

        Raises:
            WorkloadError: there is not one for each dimension, a step is 0, or nothing is left.
        """
        rank = len(shape)
        steps = step or (1,) * rank
        ends: tuple[int | None, ...] = stop if stop is not None else (None,) * rank
        if not len(start) == len(ends) == len(steps) == rank or 0 in steps:
            raise WorkloadError(
                f"slice: start, stop and step must have a number for each dimension of shape={shape}, and no "
                "step may be 0"
            )
        kept = tuple(
            range(*slice(first, end, by).indices(extent))
            for extent, first, end, by in zip(shape, start, ends, steps, strict=True)
        )
        if not all(kept):
            raise WorkloadError(f"slice: nothing is left of shape={shape} by start={start}, stop={stop}")
        return cls(shape, kept)

    @property
    def sizes(self) -> Shape:
        """The shape of the result."""
        return tuple(map(len, self.ranges))

    @property
    def merged(self) -> Slices:
        """The same with dimensions that are whole merged with the one before, where its step is 1."""
        shape, kept = [1], [range(1)]
        for extent, places in zip(self.shape, self.ranges, strict=True):
            before = kept[-1]
            if places == range(extent) and (before.step == 1 or len(before) == 1):
                shape[-1] *= extent
                kept[-1] = range(before.start * extent, (before.start + len(before)) * extent)
            else:
                shape.append(extent)
                kept.append(places)
        return Slices(tuple(shape), tuple(kept))


def reference(x: Array, *, start: Shape, stop: Shape | None, step: Shape | None) -> Array:
    """The slices in NumPy."""
    kept = Slices.of(x.shape, start, stop, step).ranges
    return np.ascontiguousarray(x[np.ix_(*kept)])


def default(
    target: Target,
    threads: int,
    shape: Shape,
    start: Shape,
    stop: Shape | None,
    step: Shape | None,
    dtype: str,
) -> dict[str, Any]:
    """The untuned configuration."""
    sizes = Slices.of(shape, start, stop, step).merged.sizes
    return default_sweep(target, threads, sizes, dtype)


@template("slice", reference=reference, default=default, flops=no_flops, positive=("shape",))
def slice_(
    shape: Shape,
    start: tuple[int, ...],
    stop: tuple[int, ...] | None = None,
    step: tuple[int, ...] | None = None,
    dtype: ElementDtype = "float32",
) -> tuple[Schedule, list[Tensor]]:
    """``x[start:stop:step]`` in each dimension, with Python's meaning of negative numbers."""
    cfg, given = get_config(), Slices.of(shape, start, stop, step)
    work = given.merged
    x = te.placeholder(work.shape, dtype, name="x", argument_shape=shape)

    def element(*index: te.Expr) -> te.Expr:
        pairs = zip(work.ranges, index, strict=True)
        return te.Load(x, [place * kept.step + kept.start for kept, place in pairs])

    y = te.compute(work.sizes, lambda *i: element(*i), name="y", argument_shape=given.sizes)
    return sweep(cfg, y, cfg.target.lanes(BYTES[dtype])), [x, y]
