"""Convolutions of bytes and of bfloat16 in the libraries that have them."""

from __future__ import annotations

from functools import partial
from typing import Any

import ml_dtypes
import numpy as np

from libraries.form import Form, call_form
from libraries.problem import Convolution
from libraries.torch_arrays import to_array, to_tensor

LAYOUTS = {"contiguous": "contiguous_format", "channels last": "channels_last"}


def torch_forms(torch: Any, problem: Convolution) -> list[Form]:
    """PyTorch's own convolution of bfloat16."""
    if problem.x.dtype != ml_dtypes.bfloat16 or problem.bias is not None:
        return []
    weight, sizes = to_tensor(torch, problem.weight), (problem.stride, problem.padding, 1, problem.groups)
    forms = []
    for name, layout in LAYOUTS.items():
        image, filters = (
            tensor.contiguous(memory_format=getattr(torch, layout))
            for tensor in (to_tensor(torch, problem.x), weight)
        )
        call = partial(torch.conv2d, image, filters, None, *sizes)
        forms.append(call_form(f"eager, {name}", call, to_array))
    return forms


def onednn_forms(torch: Any, problem: Convolution) -> list[Form]:
    """OneDNN's layers, whose weight is packed ahead: of bytes without a sign, and of bfloat16."""
    if problem.x.dtype == ml_dtypes.bfloat16 and problem.bias is None:
        return [_onednn_bfloat16(torch, problem)]
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
    for name, layout in LAYOUTS.items():
        x = to_tensor(torch, problem.x).contiguous(memory_format=getattr(torch, layout))
        forms.append(call_form(f"qconv, packed weight, {name}", partial(call, x, *rest), to_array))
    return forms


def _onednn_bfloat16(torch: Any, problem: Convolution) -> Form:
    x = to_tensor(torch, problem.x).contiguous(memory_format=torch.channels_last)
    sizes = (list(problem.padding), list(problem.stride), [1, 1], problem.groups)
    pack = torch.ops.mkldnn._reorder_convolution_weight
    weight = pack(to_tensor(torch, problem.weight), *sizes, list(problem.x.shape))
    call = partial(torch.ops.mkldnn._convolution_pointwise, x, weight, None, *sizes, "none", [], "")
    return call_form("oneDNN, packed weight, channels last", call, to_array)


def onnxruntime_forms(runtime: Any, helper: Any, problem: Convolution) -> list[Form]:
    """ConvInteger."""
    from libraries.onnxruntime_forms import make_form

    if problem.x.dtype != np.uint8 or problem.bias is not None:
        return []
    window = {"strides": problem.stride, "pads": problem.padding * 2, "group": problem.groups}
    node = helper.make_node("ConvInteger", ["x", "weight"], ["y"], **window)
    constants, shape = {"weight": problem.weight}, problem.output_shape
    return [make_form(runtime, helper, "ConvInteger", [node], {"x": problem.x}, constants, shape, np.int32)]
