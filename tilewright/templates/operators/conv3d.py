"""Three-dimensional convolution: ``y[n, o, z, i, j] = sum over c and taps of x[...] * weight[o, c, ...]``.

The weight, ``(o, c / groups, kd, kh, kw)``, is constant by default.
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
from tilewright.templates.operators.window import Faces, Layout3d, Triple
from tilewright.templates.template import template


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration."""
    conv = make_convolution("conv3d", arguments, target)
    return convolution_algorithms.default(conv, target, threads)


@template(
    "conv3d",
    reference=reference,
    default=default,
    positive=("n", "c", "d", "h", "w", "o", "kernel", "stride", "dilation", "groups"),
)
def conv3d(
    n: int,
    c: int,
    d: int,
    h: int,
    w: int,
    o: int,
    kernel: Triple,
    stride: Triple = 1,
    padding: Faces = 0,
    dilation: Triple = 1,
    groups: int = 1,
    layout: Layout3d = "NCDHW",
    dtype: ProductDtype = "float32",
    epilogue: tuple[str, ...] = (),
    constant: Constant = ("weight",),
    weight_dtype: WeightDtype = None,
    out_dtype: OutDtype = None,
) -> tuple[Schedule, list[Tensor]]:
    """Pixels of a row by vectors of channels, accumulated in registers over the whole reduction."""
    arguments, cfg = locals(), get_config()
    return convolution_algorithms.schedule(cfg, make_convolution("conv3d", arguments, cfg.target))
