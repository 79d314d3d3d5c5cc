"""Two-dimensional transposed convolution: each pixel of ``x`` adds its kernels, scaled, to the result.

The weight, ``(c, o / groups, kh, kw)``, is constant by default.
"""

from __future__ import annotations

from typing import Any

from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import get_config
from tilewright.templates.operators import convolution_direct
from tilewright.templates.operators.convolution import Constant
from tilewright.templates.operators.convolution_transpose import TransposedConvolution, reference
from tilewright.templates.operators.operand import FloatDtype
from tilewright.templates.operators.window import Layout, Pair, Sides
from tilewright.templates.template import template


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration."""
    return convolution_direct.default(
        TransposedConvolution.of("conv2d_transpose", arguments), target, threads
    )


@template(
    "conv2d_transpose",
    reference=reference,
    default=default,
    positive=("n", "c", "h", "w", "o", "kernel", "stride", "dilation", "groups"),
)
def conv2d_transpose(
    n: int,
    c: int,
    h: int,
    w: int,
    o: int,
    kernel: Pair,
    stride: Pair = 1,
    padding: Sides = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
    layout: Layout = "NCHW",
    dtype: FloatDtype = "float32",
    epilogue: tuple[str, ...] = (),
    constant: Constant = ("weight",),
) -> tuple[Schedule, list[Tensor]]:
    """As a convolution whose taps depend on the place, with a register tile of pixels by channels."""
    conv = TransposedConvolution.of("conv2d_transpose", locals())
    convolution_direct.define_space(get_config(), conv)
    return convolution_direct.schedule(get_config(), conv)
