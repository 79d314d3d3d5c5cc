"""Two-dimensional convolution: ``y[n, o, i, j] = sum over c, ky, kx of x[...] * weight[o, c, ky, kx]``.

The weight, ``(o, c / groups, kh, kw)``, is constant by default.
"""

from __future__ import annotations

from typing import Any

from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import get_config
from tilewright.templates.operators import convolution_algorithms
from tilewright.templates.operators.convolution import Constant, reference
from tilewright.templates.operators.convolution_words import make_convolution
from tilewright.templates.operators.product_types import OutDtype, ProductDtype, WeightDtype
from tilewright.templates.operators.window import Layout, Pair, Sides
from tilewright.templates.template import template


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration."""
    conv = make_convolution("conv2d", arguments, target)
    return convolution_algorithms.default(conv, target, threads, arguments["accuracy"])


@template(
    "conv2d",
    reference=reference,
    default=default,
    positive=("n", "c", "h", "w", "o", "kernel", "stride", "dilation", "groups"),
)
def conv2d(
    n: int,
    c: int,
    h: int,
    w: int,
    o: int,
    kernel: Pair,
    stride: Pair = 1,
    padding: Sides = 0,
    dilation: Pair = 1,
    groups: int = 1,
    layout: Layout = "NCHW",
    dtype: ProductDtype = "float32",
    epilogue: tuple[str, ...] = (),
    constant: Constant = ("weight",),
    accuracy: float = 0.0,
    weight_dtype: WeightDtype = None,
    out_dtype: OutDtype = None,
) -> tuple[Schedule, list[Tensor]]:
    """Direct, or by an algorithm whose error is within ``accuracy`` times the greatest output."""
    arguments, cfg = locals(), get_config()
    conv = make_convolution("conv2d", arguments, cfg.target)
    return convolution_algorithms.schedule(cfg, conv, accuracy)
