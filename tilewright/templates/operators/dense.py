"""A dense layer: ``y[m, n] = sum over k of x[m, k] * weight[n, k]``, the weight constant by default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

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
Constant = tuple[Literal["weight"], ...]


def layer(
    m: int,
    n: int,
    k: int,
    dtype: str,
    epilogue: tuple[str, ...],
    constant: Constant,
    weight_dtype: str | None,
    out_dtype: str | None,
) -> Product:
    """The product that a layer is."""
    names, has_constant = ("x", "weight", "y"), "weight" in constant
    types = (dtype, weight_dtype, out_dtype)
    return Product(m, n, k, False, True, *types, None, has_constant, names, epilogue)


def reference(x: Array, weight: Array, *operands: Array, epilogue: Sequence[str]) -> Array:
    """The layer in NumPy."""
    return finish(widen(x) @ widen(weight.T), epilogue, operands)


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration."""
    return default_product(layer(**arguments), target, threads)


@template("dense", reference=reference, default=default)
def dense(
    m: int,
    n: int,
    k: int,
    dtype: ProductDtype = "float32",
    epilogue: tuple[str, ...] = (),
    constant: Constant = ("weight",),
    weight_dtype: WeightDtype = None,
    out_dtype: OutDtype = None,
) -> tuple[Schedule, list[Tensor]]:
    """The product's schedule; a constant weight is packed once, ahead."""
    return schedule_product(get_config(), layer(m, n, k, dtype, epilogue, constant, weight_dtype, out_dtype))
