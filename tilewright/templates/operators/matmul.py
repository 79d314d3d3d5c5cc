"""Matrix product: ``C[m, n] = sum over k of A[m, k] * B[k, n]``, each operand transposed or not."""

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
    """The product in NumPy."""
    left, right = widen(a.T if transpose_a else a), widen(b.T if transpose_b else b)
    return finish(left @ right, epilogue, operands)


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration."""
    return default_product(Product(**arguments), target, threads)


@template("matmul", reference=reference, default=default)
def matmul(
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
    """A register tile of C, accumulated over blocks of k, with packed operands."""
    types = (weight_dtype, out_dtype)
    sides = (transpose_a, transpose_b)
    return schedule_product(get_config(), Product(m, n, k, *sides, dtype, *types, epilogue=epilogue))
