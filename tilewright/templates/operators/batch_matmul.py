"""Many matrix products of one shape: ``C[b] = A[b] @ B[b]``, each operand transposed or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import get_config
from tilewright.templates.epilogue import finish
from tilewright.templates.operators.product import Product
from tilewright.templates.operators.product_forms import default_product, schedule_product
from tilewright.templates.operators.product_types import OutDtype, ProductDtype, WeightDtype, widen
from tilewright.templates.template import template

Array = npt.NDArray[Any]


def reference(
    a: Array, b: Array, *operands: Array, transpose_a: bool, transpose_b: bool, epilogue: Sequence[str]
) -> Array:
    """The products in NumPy."""
    left, right = a.swapaxes(1, 2) if transpose_a else a, b.swapaxes(1, 2) if transpose_b else b
    return finish(widen(left) @ widen(right), epilogue, operands)


def default(target: Target, threads: int, b: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration."""
    return default_product(Product(batch=b, **arguments), target, threads)


@template("batch_matmul", reference=reference, default=default)
def batch_matmul(
    b: int,
    m: int,
    n: int,
    k: int,
    transpose_a: bool = False,
    transpose_b: bool = False,
    dtype: ProductDtype = "float32",
    epilogue: tuple[str, ...] = (),
    weight_dtype: WeightDtype = None,
    out_dtype: OutDtype = None,
) -> tuple[Schedule, list[Tensor]]:
    """The product's schedule inside a loop over the pairs, which threads share."""
    types, sides = (weight_dtype, out_dtype), (transpose_a, transpose_b)
    return schedule_product(get_config(), Product(m, n, k, *sides, dtype, *types, b, epilogue=epilogue))
