"""Convolutions of bytes in the libraries that have them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from libraries.form import Form, call_form
from libraries.problem import Convolution
from libraries.torch_arrays import to_array, to_tensor


def onednn_forms(torch: Any, problem: Convolution) -> list[Form]:
    """OneDNN's quantized layer, whose weight is packed ahead; of bytes without a sign."""
    if problem.x.dtype != np.uint8 or problem.bias is not None:
        return []
    window = list(problem.stride), list(problem.padding), [1, 1], problem.groups
    channels = len(problem.weight)
    ones, zeros = torch.ones(channels), torch.zeros(channels, dtype=torch.int64)
    filters = to_tensor(torch, problem.weight)
    pack = torch.ops.onednn.qconv_prepack
    weight = pack(filters, ones, 1.0, 0, *window, list(problem.x.shape))
    call = torch.ops.onednn.qconv_pointwise
    rest: tuple[Any, ...] = (
        1.0,
        0,
        weight,
        ones,
        zeros,
        None,
        *window,
        1.0,
        0,
        torch.float32,
        "none",
        [],
        "",
    )
    forms = []
    for name, layout in (("contiguous", torch.contiguous_format), ("channels last", torch.channels_last)):
        x = to_tensor(torch, problem.x).contiguous(memory_format=layout)
        forms.append(call_form(f"qconv, packed weight, {name}", partial(call, x, *rest), to_array))
    return forms


def onnxruntime_forms(runtime: Any, helper: Any, problem: Convolution) -> list[Form]:
    """ConvInteger."""
    from libraries.onnxruntime_forms import make_form

    if problem.x.dtype != np.uint8 or problem.bias is not None:
        return []
    window = {"strides": problem.stride, "pads": problem.padding * 2, "group": problem.groups}
    node = helper.make_node("ConvInteger", ["x", "weight"], ["y"], **window)
    constants, shape = {"weight": problem.weight}, problem.output_shape
    return [make_form(runtime, helper, "ConvInteger", [node], {"x": problem.x}, constants, shape, np.int32)]
