"""Padding: a border around an array, of one value or of the elements at its edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.compiler.te.expr import BYTES
from tilewright.templates.collector import get_config
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.literal import literal
from tilewright.templates.operators.sweep import ElementDtype, default_sweep, no_flops, sweep
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
PadMode = Literal["constant", "edge", "reflect"]


@dataclass(frozen=True, slots=True)
class Padding:
    """Elements ahead of each dimension and behind it.

    Attributes:
        shape: of the array.
        before: see above.
        after: see above.
        mode: what the border is made of.
    """

    shape: Shape
    before: Shape
    after: Shape
    mode: PadMode

    @classmethod
    def of(cls, shape: Shape, padding: Shape, mode: PadMode) -> Padding:
        """From the operator's parameters: all that are ahead come first, as in ONNX.

        Raises:
            WorkloadError: there are not two for each dimension, or one is negative, or too large to reflect.
        """
        rank = len(shape)
        if len(padding) != 2 * rank or min(padding, default=0) < 0:
            raise WorkloadError(
                f"pad: padding={padding} must be {2 * rank} numbers for shape={shape}: those ahead of each "
                "dimension, then those behind, none negative"
            )
        found = cls(shape, padding[:rank], padding[rank:], mode)
        widest = map(max, zip(found.before, found.after, strict=True))
        if mode == "reflect" and any(size >= extent for size, extent in zip(widest, shape, strict=True)):
            raise WorkloadError(f"pad: padding={padding} reflects more than shape={shape} has")
        return found

    @property
    def padded(self) -> Shape:
        """The shape of the result."""
        sides = zip(self.shape, self.before, self.after, strict=True)
        return tuple(extent + before + after for extent, before, after in sides)

    @property
    def merged(self) -> Padding:
        """The same with dimensions that have no border merged with the one before.

        A dimension with a border takes them only where its border is of one value.
        """
        shape, before, after = [1], [0], [0]
        for extent, ahead, behind in zip(self.shape, self.before, self.after, strict=True):
            is_bare = not (ahead or behind)
            if is_bare and (self.mode == "constant" or not (before[-1] or after[-1])):
                for sizes in (shape, before, after):
                    sizes[-1] *= extent
            else:
                shape.append(extent)
                before.append(ahead)
                after.append(behind)
        return Padding(tuple(shape), tuple(before), tuple(after), self.mode)

    def source(self, place: te.Expr, d: int) -> te.Expr:
        """The element of the array that one of the result comes of; it may lie outside if it is constant."""
        at, last = place - self.before[d], self.shape[d] - 1
        if self.mode == "constant" or not (self.before[d] or self.after[d]):
            return at
        if self.mode == "reflect":
            at = te.minimum(te.maximum(at, 0 - at), 2 * last - at)
        return te.minimum(te.maximum(at, 0), last)

    def is_inside(self, index: tuple[te.Expr, ...]) -> te.Expr | None:
        """Whether an element of the result is one of the array; None where all are."""
        tests = []
        for d, place in enumerate(index):
            if self.before[d]:
                tests.append(place >= self.before[d])
            if self.after[d]:
                tests.append(place < self.before[d] + self.shape[d])
        return te.all(*tests) if tests else None


def reference(x: Array, *, padding: Shape, mode: PadMode, value: float) -> Array:
    """The padding in NumPy."""
    rank = x.ndim
    sides = list(zip(padding[:rank], padding[rank:], strict=True))
    return np.pad(x, sides, mode, **({"constant_values": value} if mode == "constant" else {}))  # type: ignore[call-overload, no-any-return]


def default(
    target: Target, threads: int, shape: Shape, padding: Shape, mode: PadMode, value: float, dtype: str
) -> dict[str, Any]:
    """The untuned configuration."""
    work = Padding.of(shape, padding, mode)
    return default_sweep(target, threads, work.merged.padded, dtype)


@template("pad", reference=reference, default=default, flops=no_flops, positive=("shape",))
def pad(
    shape: Shape,
    padding: tuple[int, ...],
    mode: PadMode = "constant",
    value: float = 0.0,
    dtype: ElementDtype = "float32",
) -> tuple[Schedule, list[Tensor]]:
    """A border of ``padding``: ahead of each dimension, then behind each.

    It is of ``value``, of the nearest element (``edge``), or mirrors the array at that (``reflect``).
    """
    cfg, given = get_config(), Padding.of(shape, padding, mode)
    work = given.merged
    border = literal("pad", "value", value, dtype) if mode == "constant" else None
    x = te.placeholder(work.shape, dtype, name="x", argument_shape=shape)

    def element(*index: te.Expr) -> te.Expr:
        read = te.Load(x, [work.source(place, d) for d, place in enumerate(index)])
        inside = work.is_inside(index)
        return read if border is None or inside is None else te.if_then_else(inside, read, border)

    y = te.compute(work.padded, lambda *i: element(*i), name="y", argument_shape=given.padded)
    return sweep(cfg, y, cfg.target.lanes(BYTES[dtype])), [x, y]
