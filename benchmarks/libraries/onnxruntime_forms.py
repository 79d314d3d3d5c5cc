"""The problems in ONNX Runtime: a graph of one or two nodes, its inputs and outputs bound."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from libraries import narrow_convolutions, narrow_products
from libraries.form import Form, Maker, call_form
from libraries.onnx_nodes import NODES
from libraries.problem import Array, Convolution, MaxPool, Other, Problem, Product

OPSET, IR = 23, 11


@contextlib.contextmanager
def open_onnxruntime() -> Iterator[Maker]:
    """ONNX Runtime on one thread, with all its optimizations."""
    runtime, helper = importlib.import_module("onnxruntime"), importlib.import_module("onnx.helper")
    runtime.set_default_logger_severity(3)
    yield lambda problem: _forms(runtime, helper, problem)


def _forms(runtime: Any, helper: Any, problem: Problem) -> list[Form]:
    if isinstance(problem, Product) and problem.is_narrow:
        return narrow_products.onnxruntime_forms(runtime, helper, problem)
    if isinstance(problem, Convolution) and problem.is_narrow:
        return narrow_convolutions.onnxruntime_forms(runtime, helper, problem)
    if isinstance(problem, Product):
        return _product(runtime, helper, problem)
    if isinstance(problem, Other):
        return _other(runtime, helper, problem)
    ends = {"strides": problem.stride, "pads": problem.padding * 2, "kernel_shape": problem.kernel}
    shape = problem.output_shape
    if isinstance(problem, MaxPool):
        node = helper.make_node("MaxPool", ["x"], ["y"], **ends)
        return [make_form(runtime, helper, "MaxPool", [node], {"x": problem.x}, {}, shape)]
    name = "Conv and Relu" if problem.has_relu else "Conv"
    nodes, constants = _convolution(helper, problem, ends)
    return [make_form(runtime, helper, name, nodes, {"x": problem.x}, constants, shape)]


def _other(runtime: Any, helper: Any, problem: Other) -> list[Form]:
    make = NODES.get(problem.op)
    node = None if make is None else make(problem.arguments)
    if node is None:
        return []
    names = [f"x{n}" for n in range(len(problem.arrays))]
    constants = {f"c{n}": array for n, array in enumerate(node.constants)}
    made = helper.make_node(node.kind, [*names, *constants], ["y"], **node.attributes)
    inputs = dict(zip(names, problem.arrays, strict=True))
    return [make_form(runtime, helper, node.kind, [made], inputs, constants, *problem.result)]


def _product(runtime: Any, helper: Any, problem: Product) -> list[Form]:
    a, b = problem.a, problem.b
    constant = {"b": b} if problem.is_constant else {}
    inputs = {"a": a} if problem.is_constant else {"a": a, "b": b}
    right = b.swapaxes(-1, -2) if problem.is_transposed else b
    shape = (*a.shape[:-1], right.shape[-1])
    if not problem.is_transposed:
        node = helper.make_node("MatMul", ["a", "b"], ["y"])
        return [make_form(runtime, helper, "MatMul", [node], inputs, constant, shape)]
    node = helper.make_node("Gemm", ["a", "b"], ["y"], transB=1)
    forms = [make_form(runtime, helper, "Gemm", [node], inputs, constant, shape)]
    if problem.is_constant:
        node = helper.make_node("MatMul", ["a", "b"], ["y"])
        turned = {"b": np.ascontiguousarray(right)}
        forms.append(make_form(runtime, helper, "MatMul", [node], inputs, turned, shape))
    return forms


def _convolution(
    helper: Any, problem: Convolution, sizes: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Array]]:
    """Its nodes and its constants."""
    constants = {"weight": problem.weight}
    if problem.bias is not None:
        constants["bias"] = problem.bias
    result = "sums" if problem.has_relu else "y"
    nodes = [helper.make_node("Conv", ["x", *constants], [result], group=problem.groups, **sizes)]
    if problem.has_relu:
        nodes.append(helper.make_node("Relu", [result], ["y"]))
    return nodes, constants


def make_form(
    runtime: Any,
    helper: Any,
    name: str,
    nodes: list[Any],
    inputs: Mapping[str, Array],
    constants: Mapping[str, Array],
    shape: tuple[int, ...],
    dtype: npt.DTypeLike = np.float32,
) -> Form:
    """A session of a graph, from its inputs to ``y``."""
    from_array = importlib.import_module("onnx.numpy_helper").from_array
    of = helper.np_dtype_to_tensor_dtype
    graph = helper.make_graph(
        nodes,
        "row",
        [helper.make_tensor_value_info(key, of(array.dtype), array.shape) for key, array in inputs.items()],
        [helper.make_tensor_value_info("y", of(np.dtype(dtype)), shape)],
        [from_array(np.array(array), key) for key, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for key, array in inputs.items():
        binding.bind_ortvalue_input(key, runtime.OrtValue.ortvalue_from_numpy(np.array(array)))
    y = runtime.OrtValue.ortvalue_from_numpy(np.ones(shape, dtype))
    binding.bind_ortvalue_output("y", y)
    return call_form(name, lambda: session.run_with_iobinding(binding), lambda _: y.numpy())
