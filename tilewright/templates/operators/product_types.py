"""The types that a product may have: of its operands, of its sums and of its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tilewright.compiler.dot_instructions import find_instruction
from tilewright.compiler.target import Target
from tilewright.compiler.te.expr import BYTES
from tilewright.compiler.te.words import parts_of
from tilewright.templates.errors import WorkloadError

ProductDtype = Literal["float32", "float64", "bfloat16", "float16", "uint8", "int8"]
WeightDtype = ProductDtype | None
OutDtype = Literal["float32", "float64", "bfloat16", "float16", "int32"] | None

# By the operands' types: that of the sums, and those that the result may have, the default first.
_ACCEPTED: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("float32", "float32"): ("float32", ("float32",)),
    ("float64", "float64"): ("float64", ("float64",)),
    ("bfloat16", "bfloat16"): ("float32", ("bfloat16", "float32")),
    ("float16", "float16"): ("float32", ("float16", "float32")),
    ("uint8", "int8"): ("int32", ("int32",)),
    ("int8", "int8"): ("int32", ("int32",)),
}
_WEIGHTS = {"uint8": "int8"}
# What bytes become, with or without a sign, when this is added to them, which turns their highest bits over.
_BIASES = {"int8": ("uint8", 128), "uint8": ("int8", -128)}


@dataclass(frozen=True, slots=True)
class ProductTypes:
    """The types of a product's operands, of its sums, and of its result ahead of the epilogue."""

    left: str
    right: str
    sum: str
    result: str

    @property
    def item(self) -> int:
        """Bytes of a sum."""
        return BYTES[self.sum]

    @property
    def is_plain(self) -> bool:
        """Whether all are the same."""
        return self.left == self.right == self.sum == self.result

    def parts(self, target: Target) -> int:
        """Elements of ``k`` in a step of the reduction: those in a word where the target multiplies words."""
        if self.sum == "int32" or find_instruction(target, (self.left, self.right)) is not None:
            return parts_of(self.left)
        return 1

    def bias(self, target: Target) -> int:
        """What is added to the left bytes, where the target multiplies those of the other sign only."""
        if self.left not in _BIASES or find_instruction(target, (self.left, self.right)):
            return 0
        turned, bias = _BIASES[self.left]
        return 0 if find_instruction(target, (turned, self.right)) is None else bias

    def multiplied(self, target: Target) -> tuple[str, str]:
        """The types of the parts of the words that the target multiplies."""
        return (_BIASES[self.left][0] if self.bias(target) else self.left), self.right


def choose_types(dtype: str, weight_dtype: str | None, out_dtype: str | None) -> ProductTypes:
    """The types of a product, what is not said being chosen.

    Raises:
        WorkloadError: they do not go together.
    """
    right = weight_dtype or _WEIGHTS.get(dtype, dtype)
    found = _ACCEPTED.get((dtype, right))
    if found is None:
        pairs = ", ".join(f"{left} by {weight}" for left, weight in _ACCEPTED)
        raise WorkloadError(f"dtype {dtype} with weight_dtype {right}: products are {pairs}")
    total, results = found
    result = out_dtype or results[0]
    if result not in results:
        raise WorkloadError(
            f"out_dtype {result}: a product of {dtype} by {right} gives {' or '.join(results)}"
        )
    return ProductTypes(dtype, right, total, result)


def widen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Bytes and 16-bit floats as float64, in which their products and sums are exact or nearly so."""
    return array.astype(np.float64) if array.dtype.itemsize < 4 else array
