"""Three-dimensional transposed convolution: each pixel of ``x`` adds its kernels, scaled, to the result.

The weight, ``(c, o / groups, kd, kh, kw)``, is constant by default.
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
from tilewright.templates.operators.window import Faces, Layout3d, Triple
from tilewright.templates.template import template


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration."""
    return convolution_direct.default(
        TransposedConvolution.of("conv3d_transpose", arguments), target, threads
    )


@template(
    "conv3d_transpose",
    reference=reference,
    default=default,
    positive=("n", "c", "d", "h", "w", "o", "kernel", "stride", "dilation", "groups"),
)
def conv3d_transpose(
    n: int,
    c: int,
    d: int,
    h: int,
    w: int,
    o: int,
    kernel: Triple,
    stride: Triple = 1,
    padding: Faces = 0,
    output_padding: Triple = 0,
    dilation: Triple = 1,
    groups: int = 1,
    layout: Layout3d = "NCDHW",
    dtype: FloatDtype = "float32",
    epilogue: tuple[str, ...] = (),
    constant: Constant = ("weight",),
) -> tuple[Schedule, list[Tensor]]:
    """As a convolution whose taps depend on the place, with a register tile of pixels by channels."""
    conv = TransposedConvolution.of("conv3d_transpose", locals())
    convolution_direct.define_space(get_config(), conv)
    return convolution_direct.schedule(get_config(), conv)
