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
from tilewright.templates.operators.product import Dtype, Product
from tilewright.templates.operators.product_forms import default_product, schedule_product
from tilewright.templates.template import template

Array = npt.NDArray[Any]


def reference(
    a: Array, b: Array, *operands: Array, transpose_a: bool, transpose_b: bool, epilogue: Sequence[str]
) -> Array:
    """The products in NumPy."""
    left, right = a.swapaxes(1, 2) if transpose_a else a, b.swapaxes(1, 2) if transpose_b else b
    return finish(left @ right, epilogue, operands)


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
    dtype: Dtype = "float32",
    epilogue: tuple[str, ...] = (),
) -> tuple[Schedule, list[Tensor]]:
    """The product's schedule inside a loop over the pairs, which threads share."""
    product = Product(m, n, k, transpose_a, transpose_b, dtype, b, epilogue=epilogue)
    return schedule_product(get_config(), product)
