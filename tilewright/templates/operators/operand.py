"""Inputs whose elements are computed with in another type than they are stored in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tilewright.compiler import te
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.compiler.te.expr import BYTES, ExprLike
from tilewright.compiler.te.storage import computed_dtype

FloatDtype = Literal["float32", "float64", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class Operand:
    """An input that is read as numbers of the type in which they are computed with."""

    tensor: Tensor

    def __getitem__(self, index: ExprLike | tuple[ExprLike, ...]) -> te.Expr:
        """The element at an index."""
        return te.cast(computed_dtype(self.tensor.dtype), self.tensor[index])


def widened(tensor: Tensor, dtype: str) -> Tensor:
    """The elements as numbers of a type, a stage of its own; the tensor itself where they are such."""
    if tensor.dtype == dtype:
        return tensor
    return te.compute(tensor.shape, lambda *i: te.cast(dtype, tensor[i]), name=f"{tensor.name}.wide")


def computed_bytes(dtype: str) -> int:
    """The bytes of an element where it is computed with."""
    return BYTES[computed_dtype(dtype)]


def computed_lanes(target: Target, dtype: str) -> int:
    """The lanes of a vector of elements that are computed with."""
    return target.lanes(computed_bytes(dtype))
