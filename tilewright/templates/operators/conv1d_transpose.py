"""One-dimensional transposed convolution: each pixel of ``x`` adds its kernels, scaled, to the result.

The weight, ``(c, o / groups, kw)``, is constant by default.
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
from tilewright.templates.operators.window import Ends, Layout1d
from tilewright.templates.template import template


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration."""
    return convolution_direct.default(
        TransposedConvolution.of("conv1d_transpose", arguments), target, threads
    )


@template(
    "conv1d_transpose",
    reference=reference,
    default=default,
    positive=("n", "c", "w", "o", "kernel", "stride", "dilation", "groups"),
)
def conv1d_transpose(
    n: int,
    c: int,
    w: int,
    o: int,
    kernel: int,
    stride: int = 1,
    padding: Ends = 0,
    output_padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
    layout: Layout1d = "NCW",
    dtype: FloatDtype = "float32",
    epilogue: tuple[str, ...] = (),
    constant: Constant = ("weight",),
) -> tuple[Schedule, list[Tensor]]:
    """As a convolution whose taps depend on the place, with a register tile of pixels by channels."""
    conv = TransposedConvolution.of("conv1d_transpose", locals())
    convolution_direct.define_space(get_config(), conv)
    return convolution_direct.schedule(get_config(), conv)
