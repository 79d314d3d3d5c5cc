"""Two-dimensional convolution: ``y[n, o, i, j] = sum over c, ky, kx of x[...] * weight[o, c, ky, kx]``.

The weight, ``(o, c / groups, kh, kw)``, is constant by default.
"""

from __future__ import annotations

from typing import Any, Literal

from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import get_config
from tilewright.templates.operators import convolution_algorithms
from tilewright.templates.operators.convolution import Constant, reference
from tilewright.templates.operators.convolution_words import make_convolution
from tilewright.templates.operators.window import Layout, Pair, Sides
from tilewright.templates.template import template

ConvolutionDtype = Literal["float32", "float64", "uint8", "int8"]


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration."""
    conv = make_convolution("conv2d", arguments, target)
    return convolution_algorithms.default(conv, arguments["accuracy"], target, threads)


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
    dtype: ConvolutionDtype = "float32",
    epilogue: tuple[str, ...] = (),
    constant: Constant = ("weight",),
    accuracy: float = 0.0,
    weight_dtype: ConvolutionDtype | None = None,
    out_dtype: Literal["float32", "float64", "int32"] | None = None,
) -> tuple[Schedule, list[Tensor]]:
    """Direct, or by an algorithm whose error is within ``accuracy`` times the greatest output."""
    arguments, cfg = locals(), get_config()
    conv = make_convolution("conv2d", arguments, cfg.target)
    return convolution_algorithms.schedule(cfg, conv, accuracy)
