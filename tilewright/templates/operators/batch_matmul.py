"""Many matrix products of one shape: ``C[b] = A[b] @ B[b]``, each operand transposed or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import get_config
from tilewright.templates.operators.product import Dtype, Product, default_product, schedule_product
from tilewright.templates.template import template

Array = npt.NDArray[Any]


def reference(a: Array, b: Array, *, transpose_a: bool, transpose_b: bool) -> Array:
    """The products in NumPy."""
    return np.asarray((a.swapaxes(1, 2) if transpose_a else a) @ (b.swapaxes(1, 2) if transpose_b else b))


def default(
    target: Target,
    threads: int,
    b: int,
    m: int,
    n: int,
    k: int,
    transpose_a: bool,
    transpose_b: bool,
    dtype: str,
) -> dict[str, Any]:
    """The untuned configuration."""
    return default_product(Product(m, n, k, transpose_a, transpose_b, dtype, b), target, threads)


@template("batch_matmul", reference=reference, default=default)
def batch_matmul(
    b: int,
    m: int,
    n: int,
    k: int,
    transpose_a: bool = False,
    transpose_b: bool = False,
    dtype: Dtype = "float32",
) -> tuple[Schedule, list[Tensor]]:
    """The product's schedule inside a loop over the pairs, which threads share."""
    return schedule_product(get_config(), Product(m, n, k, transpose_a, transpose_b, dtype, b))
