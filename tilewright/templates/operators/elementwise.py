"""Chains of elementwise functions of any number of operands, in one pass.

Neighbouring dimensions along which each operand either varies or is broadcast become one, so that a plain
chain is one long loop, and a bias beside a matrix two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.compiler.te.expr import FLOATS
from tilewright.templates.chain import CASTS, Chain, parse_chain
from tilewright.templates.collector import get_config
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.operand import computed_bytes
from tilewright.templates.operators.sweep import FEW, ElementDtype, default_sweep, sweep
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
# What operands of logarithms, roots and divisors are when they are measured.
POSITIVE = (0.5, 2.0)
_OPERAND = re.compile(
    r"(?P<name>[A-Za-z_]\w*)(?::(?P<shape>\d+(?:x\d+)*))?(?::(?P<dtype>[a-z]+\d*))?", re.ASCII
)


@dataclass(frozen=True)
class Elementwise:
    """A chain on arrays.

    Attributes:
        chain: what is computed of each element.
        shape: of the result.
        shapes: of the operands, in the chain's order.
        dtypes: of their elements.
    """

    chain: Chain
    shape: Shape
    shapes: tuple[Shape, ...]
    dtypes: tuple[str, ...]

    @classmethod
    def of(cls, shape: Shape, chain: str, operands: Sequence[str], dtype: str) -> Elementwise:
        """From the operator's parameters.

        Raises:
            WorkloadError: the chain cannot be read, or an operand does not fit the shape.
        """
        parsed = parse_chain(chain)
        given = dict(_read_operand(text, shape, dtype) for text in operands)
        unknown = [name for name in given if name not in parsed.operands]
        if unknown:
            names = ", ".join(parsed.operands)
            raise WorkloadError(
                f"elementwise: operands: {unknown[0]!r} is not in {parsed.text!r}, which has {names}"
            )
        shapes, dtypes = zip(*(given.get(name, (shape, dtype)) for name in parsed.operands), strict=True)
        return cls(parsed, shape, shapes, dtypes)

    @cached_property
    def groups(self) -> list[tuple[int, tuple[bool, ...]]]:
        """Extents of neighbouring dimensions as one, and which operands vary along them; at least one."""
        rank = len(self.shape)
        padded = [(1,) * (rank - len(shape)) + shape for shape in self.shapes]
        axes = [
            (extent, tuple(shape[place] > 1 for shape in padded))
            for place, extent in enumerate(self.shape)
            if extent > 1
        ]
        merged = [
            (prod(extent for extent, _ in group), varies)
            for varies, group in ((key, list(found)) for key, found in groupby(axes, lambda axis: axis[1]))
        ]
        return merged or [(1, (False,) * len(self.shapes))]

    @property
    def extents(self) -> Shape:
        """Of the dimensions that are left."""
        return tuple(extent for extent, _ in self.groups)

    def placeholders(self) -> list[Tensor]:
        """The operands, without the dimensions along which they are broadcast."""
        made = []
        for number, (name, seen) in enumerate(zip(self.chain.operands, self.shapes, strict=True)):
            extents = [extent for extent, varies in self.groups if varies[number]] or [1]
            dtype = self.dtypes[number]
            is_limited = name in self.chain.positive and dtype in FLOATS
            values = POSITIVE if is_limited else None
            made.append(te.placeholder(extents, dtype, name=name, argument_shape=seen, values=values))
        return made

    def result(self, operands: Sequence[Tensor]) -> Tensor:
        """The chain's element everywhere."""

        def element(*index: te.IterVar) -> te.Expr:
            values = {}
            for number, operand in enumerate(operands):
                place = [i for i, (_, varies) in zip(index, self.groups, strict=True) if varies[number]]
                values[self.chain.operands[number]] = operand[tuple(place) or (0,)]
            return self.chain.express(values)

        return te.compute(self.extents, lambda *i: element(*i), name="result", argument_shape=self.shape)


def reference(*arrays: Array, shape: Shape, chain: str) -> Array:
    """The chain in NumPy."""
    parsed = parse_chain(chain)
    found = parsed.compute(dict(zip(parsed.operands, arrays, strict=True)))
    return np.broadcast_to(np.asarray(found), shape)


def flops(shape: Shape, chain: str, **_: Any) -> int:
    """One for each function and operator, of each element."""
    return prod(shape) * parse_chain(chain).operations


def default(
    target: Target, threads: int, shape: Shape, chain: str, operands: Sequence[str], dtype: str
) -> dict[str, Any]:
    """The untuned configuration; a costly function fills the registers alone."""
    work = Elementwise.of(shape, chain, operands, dtype)
    result = work.result(work.placeholders()).dtype
    most = 1 if work.chain.is_costly else FEW
    return default_sweep(target, threads, work.extents, result, _lanes(work, target), most)


@template("elementwise", reference=reference, default=default, flops=flops)
def elementwise(
    shape: Shape, chain: str, operands: tuple[str, ...] = (), dtype: ElementDtype = "float32"
) -> tuple[Schedule, list[Tensor]]:
    """What a chain such as ``relu(x * s + y)`` makes of its operands; the result has the chain's type.

    Operands have the result's shape and ``dtype`` unless ``operands`` says otherwise of one, as in
    ``"s:64x1"``, ``"i:int32"`` or ``"mask:1x64:bool"``; shapes broadcast as NumPy's do.
    """
    cfg, work = get_config(), Elementwise.of(shape, chain, operands, dtype)
    inputs = work.placeholders()
    y = work.result(inputs)
    return sweep(cfg, y, _lanes(work, cfg.target)), [*inputs, y]


def _read_operand(text: str, shape: Shape, dtype: str) -> tuple[str, tuple[Shape, str]]:
    """The name, the shape and the type that ``name:shape:dtype`` says."""
    match = _OPERAND.fullmatch(text)
    if match is None or (match["dtype"] or dtype) not in CASTS:
        raise WorkloadError(
            f"elementwise: operands: {text!r} must be like s:64x1, s:int32 or s:64x1:int32; the types are "
            f"{', '.join(CASTS)}"
        )
    extents = shape if match["shape"] is None else tuple(int(size) for size in match["shape"].split("x"))
    ends = zip(reversed(extents), reversed(shape), strict=False)
    if len(extents) > len(shape) or any(size not in (1, full) for size, full in ends):
        raise WorkloadError(f"elementwise: operands: {text!r} does not broadcast to shape={shape}")
    return match["name"], (extents, match["dtype"] or dtype)


def _lanes(work: Elementwise, target: Target) -> int:
    """Lanes of the widest type that is computed with."""
    return target.lanes(max(computed_bytes(dtype) for dtype in work.dtypes))
