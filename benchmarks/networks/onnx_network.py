"""The networks as graphs of ONNX, run by ONNX Runtime with all its optimizations."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from networks.layers import Array, Layer, Network

OPSET, IR = 20, 10


def onnx_forms(network: Network, x: Array) -> dict[str, Callable[[], Any]]:
    """A call that runs the network on the input."""
    runtime = importlib.import_module("onnxruntime")
    runtime.set_default_logger_severity(3)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    graph = _Graph()
    for layer in network.layers:
        LAYERS[layer.op](graph, layer, [graph.given(one) for one in layer.inputs])
    model = graph.model(network.shape)
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_ortvalue_input("input", runtime.OrtValue.ortvalue_from_numpy(x.copy()))
    session.run_with_iobinding(_bound_output(binding))
    y = binding.get_outputs()[0]
    binding.bind_ortvalue_output("output", y)

    def call() -> Any:
        session.run_with_iobinding(binding)
        return y.numpy()

    return {"onnxruntime": call}


def _bound_output(binding: Any) -> Any:
    binding.bind_output("output", "cpu")
    return binding


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self) -> None:
        self.helper = importlib.import_module("onnx.helper")
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}

    def given(self, value: str | Array) -> str:
        """The name of a result, or of a new constant."""
        if isinstance(value, str):
            return value
        name = f"constant{len(self.constants)}"
        self.constants[name] = value
        return name

    def add(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """A node; its result has a new name unless one is given."""
        name = output or f"value{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(kind, inputs, [name], **attributes))
        return name

    def model(self, shape: tuple[int, ...]) -> bytes:
        """The whole, from ``input`` to ``output``."""
        from_array = importlib.import_module("onnx.numpy_helper").from_array
        info = self.helper.make_tensor_value_info
        constants = [from_array(np.ascontiguousarray(array), name) for name, array in self.constants.items()]
        graph = self.helper.make_graph(
            self.nodes, "network", [info("input", 1, shape)], [info("output", 1, None)], constants
        )
        opsets = [self.helper.make_opsetid("", OPSET)]
        made: bytes = self.helper.make_model(graph, opset_imports=opsets, ir_version=IR).SerializeToString()
        return made


def _finish(graph: _Graph, layer: Layer, y: str, others: list[str]) -> None:
    """The epilogue after the bias, and the result's name."""
    left, steps = iter(others), layer.params["epilogue"][1:]
    if not steps:
        graph.add("Identity", [y], layer.output)
    for number, step in enumerate(steps, 1):
        name = layer.output if number == len(steps) else None
        kind = {"add": "Add", "relu": "Relu", "gelu": "Gelu"}[step]
        y = graph.add(kind, [y, *([next(left)] if step == "add" else [])], name)


def _convolution(graph: _Graph, layer: Layer, inputs: list[str]) -> None:
    params = layer.params
    strides, pads = [params["stride"]] * 2, [params["padding"]] * 4
    y = graph.add("Conv", inputs[:3], strides=strides, pads=pads)
    _finish(graph, layer, y, inputs[3:])


def _dense(graph: _Graph, layer: Layer, inputs: list[str]) -> None:
    x, weight, bias, *others = inputs
    if layer.params["m"] == 1:
        x = graph.add("Flatten", [x])
    graph.constants[weight] = graph.constants[weight].T
    _finish(graph, layer, graph.add("Add", [graph.add("MatMul", [x, weight]), bias]), others)


def _max_pool(graph: _Graph, layer: Layer, inputs: list[str]) -> None:
    sizes = {name: [layer.params[name]] * 2 for name in ("kernel", "stride")}
    pads = [layer.params["padding"]] * 4
    graph.add(
        "MaxPool", inputs, layer.output, kernel_shape=sizes["kernel"], strides=sizes["stride"], pads=pads
    )


def _mean(graph: _Graph, layer: Layer, inputs: list[str]) -> None:
    graph.add("GlobalAveragePool", inputs, layer.output)


def _attention(graph: _Graph, layer: Layer, inputs: list[str]) -> None:
    m, heads, size = (layer.params[name] for name in ("m", "heads", "d"))
    parts = [f"{layer.output}.{name}" for name in "qkv"]
    graph.nodes.append(graph.helper.make_node("Split", inputs[:1], parts, axis=1, num_outputs=3))
    shape = graph.given(np.array([m, heads, size]))
    q, k, v = (graph.add("Reshape", [part, shape]) for part in parts)
    turned = [
        graph.add("Transpose", [x], perm=p) for x, p in ((q, (1, 0, 2)), (k, (1, 2, 0)), (v, (1, 0, 2)))
    ]
    scale = graph.given(np.array(size**-0.5, np.float32))
    scores = graph.add("Mul", [graph.add("MatMul", turned[:2]), scale])
    weights = graph.add("Softmax", [scores], axis=-1)
    sums = graph.add("Transpose", [graph.add("MatMul", [weights, turned[2]])], perm=(1, 0, 2))
    graph.add("Reshape", [sums, graph.given(np.array([m, heads * size]))], layer.output)


def _layer_norm(graph: _Graph, layer: Layer, inputs: list[str]) -> None:
    graph.add("LayerNormalization", inputs, layer.output, axis=-1, epsilon=layer.params["epsilon"])


LAYERS: dict[str, Callable[[_Graph, Layer, list[str]], None]] = {
    "conv2d": _convolution,
    "dense": _dense,
    "max_pool2d": _max_pool,
    "global_avg_pool2d": _mean,
    "attention": _attention,
    "layer_norm": _layer_norm,
}
