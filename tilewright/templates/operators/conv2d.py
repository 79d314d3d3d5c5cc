"""Two-dimensional convolution: ``y[n, o, i, j] = sum over c, ky, kx of x[...] * weight[o, c, ky, kx]``.

The weight, ``(o, c / groups, kh, kw)``, is constant by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import get_config
from tilewright.templates.operators import convolution, convolution_direct
from tilewright.templates.operators.convolution import Array, Constant, Convolution
from tilewright.templates.operators.product import Dtype
from tilewright.templates.operators.window import Layout, Pair, Sides, Window
from tilewright.templates.template import template


def reference(
    x: Array,
    weight: Array,
    *operands: Array,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    layout: str,
    epilogue: Sequence[str],
) -> Array:
    """The convolution in NumPy."""
    window = Window.of(weight.shape[2:], stride, padding, dilation)
    return convolution.reference(x, weight, operands, window, groups, layout, epilogue)


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    """The untuned configuration."""
    return convolution_direct.default(describe(**arguments), target)


def describe(
    *,
    n: int,
    c: int,
    h: int,
    w: int,
    o: int,
    kernel: Pair,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    layout: str,
    dtype: Dtype,
    epilogue: tuple[str, ...],
    **_: Any,
) -> Convolution:
    """The convolution that an operator's arguments ask for."""
    window = Window.of(kernel, stride, padding, dilation)
    return Convolution("conv2d", n, c, o, (h, w), window, groups, layout, dtype, epilogue)


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
    dtype: Dtype = "float32",
    epilogue: tuple[str, ...] = (),
    constant: Constant = ("weight",),
) -> tuple[Schedule, list[Tensor]]:
    """Pixels of a row by vectors of channels, accumulated in registers over the whole reduction."""
    window = Window.of(kernel, stride, padding, dilation)
    conv = Convolution("conv2d", n, c, o, (h, w), window, groups, layout, dtype, epilogue)
    return convolution_direct.schedule(get_config(), conv)
