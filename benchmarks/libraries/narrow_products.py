"""Products of bytes and of bfloat16 in the libraries that have them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from libraries.form import Form, call_form
from libraries.problem import Product
from libraries.torch_arrays import to_array, to_tensor


def torch_forms(torch: Any, problem: Product) -> list[Form]:
    """PyTorch's own products: of bfloat16, and of signed bytes."""
    a, b = to_tensor(torch, problem.a), to_tensor(torch, problem.b)
    right = b.t() if problem.is_transposed else b
    if problem.a.dtype == ml_dtypes.bfloat16:
        return [call_form("matmul", lambda: torch.matmul(a, right), to_array)]
    if problem.a.dtype == np.int8:
        return [call_form("_int_mm", lambda: torch._int_mm(a, right), to_array)]
    return []


def onednn_forms(torch: Any, problem: Product) -> list[Form]:
    """OneDNN's quantized layer, whose weight has to be packed ahead; bytes of A without a sign."""
    if problem.a.dtype != np.uint8:
        return []
    a, b = to_tensor(torch, problem.a), to_tensor(torch, problem.b)
    rows = (b if problem.is_transposed else b.t()).contiguous()
    weight = torch.ops.onednn.qlinear_prepack(rows, list(a.shape))
    columns = len(rows)
    ones, zeros = torch.ones(columns), torch.zeros(columns, dtype=torch.int64)
    scales: tuple[Any, ...] = (1.0, 0, weight, ones, zeros, None, 1.0, 0, torch.float32, "none", [], "")
    call = torch.ops.onednn.qlinear_pointwise
    return [call_form("qlinear, packed weight", lambda: call(a, *scales), to_array)]


def onnxruntime_forms(runtime: Any, helper: Any, problem: Product) -> list[Form]:
    """MatMulInteger."""
    if problem.a.dtype.kind not in "iu":
        return []
    from libraries.onnxruntime_forms import make_form

    right = np.ascontiguousarray(problem.b.T) if problem.is_transposed else problem.b
    node = helper.make_node("MatMulInteger", ["a", "b"], ["y"])
    constants = {"b": right} if problem.is_constant else {}
    inputs = {"a": problem.a} if problem.is_constant else {"a": problem.a, "b": right}
    shape = (problem.a.shape[0], right.shape[1])
    return [make_form(runtime, helper, "MatMulInteger", [node], inputs, constants, shape, np.int32)]
