"""A dense layer: ``y[m, n] = sum over k of x[m, k] * weight[n, k]``, the weight constant by default."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import get_config
from tilewright.templates.operators.product import Dtype, Product, default_product, schedule_product
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Constant = tuple[Literal["weight"], ...]


def layer(m: int, n: int, k: int, dtype: str, constant: Constant) -> Product:
    """The product that a layer is."""
    return Product(m, n, k, False, True, dtype, has_constant="weight" in constant, names=("x", "weight", "y"))


def reference(x: Array, weight: Array) -> Array:
    """The layer in NumPy."""
    return np.asarray(x @ weight.T)


def default(
    target: Target, threads: int, m: int, n: int, k: int, dtype: str, constant: Constant
) -> dict[str, Any]:
    """The untuned configuration."""
    return default_product(layer(m, n, k, dtype, constant), target, threads)


@template("dense", reference=reference, default=default)
def dense(
    m: int, n: int, k: int, dtype: Dtype = "float32", constant: Constant = ("weight",)
) -> tuple[Schedule, list[Tensor]]:
    """The product's schedule; a constant weight is packed once, ahead."""
    return schedule_product(get_config(), layer(m, n, k, dtype, constant))
