"""One-dimensional convolution: ``y[n, o, j] = sum over c, kx of x[...] * weight[o, c, kx]``.

The weight, ``(o, c / groups, kw)``, is constant by default.
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
from tilewright.templates.operators.window import Ends, Layout1d
from tilewright.templates.template import template


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration."""
    conv = make_convolution("conv1d", arguments, target)
    return convolution_algorithms.default(conv, target, threads)


@template(
    "conv1d",
    reference=reference,
    default=default,
    positive=("n", "c", "w", "o", "kernel", "stride", "dilation", "groups"),
)
def conv1d(
    n: int,
    c: int,
    w: int,
    o: int,
    kernel: int,
    stride: int = 1,
    padding: Ends = 0,
    dilation: int = 1,
    groups: int = 1,
    layout: Layout1d = "NCW",
    dtype: ProductDtype = "float32",
    epilogue: tuple[str, ...] = (),
    constant: Constant = ("weight",),
    weight_dtype: WeightDtype = None,
    out_dtype: OutDtype = None,
) -> tuple[Schedule, list[Tensor]]:
    """Pixels of a row by vectors of channels, accumulated in registers over the whole reduction."""
    arguments, cfg = locals(), get_config()
    return convolution_algorithms.schedule(cfg, make_convolution("conv1d", arguments, cfg.target))
