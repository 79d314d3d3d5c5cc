"""The networks in PyTorch: as modules, run as they are, or compiled with frozen weights."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

from networks.layers import Array, Layer, Network, View


def torch_forms(network: Network, x: Array) -> dict[str, Callable[[], Any]]:
    """Calls that run the network on the input."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    logging.getLogger("torch").setLevel(logging.ERROR)
    forms: dict[str, Callable[[], Any]] = {}
    for name, layout in (("contiguous", torch.contiguous_format), ("channels last", torch.channels_last)):
        if name == "channels last" and x.ndim != 4:
            continue
        module = make_module(torch, network).eval()
        given = torch.from_numpy(x.copy())
        if x.ndim == 4:
            module, given = module.to(memory_format=layout), given.contiguous(memory_format=layout)
        importlib.import_module("torch._dynamo").reset()
        frozen = _freeze(torch, module, given)
        forms[f"torch, {name}"] = _bind(module, given)
        forms[f"torch frozen, {name}"] = _bind(frozen, given)
    return forms


def _bind(function: Callable[..., Any], given: Any) -> Callable[[], Any]:
    return lambda: function(given)


def _freeze(torch: Any, module: Any, given: Any) -> Any:
    config = importlib.import_module("torch._inductor.config")
    compiled = torch.compile(module, fullgraph=True)
    with config.patch(freezing=True, compile_threads=1):
        compiled(given)
    return compiled


def make_module(torch: Any, network: Network) -> Any:
    """The network as a module whose parameters are its weights."""

    class Module(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            for place, layer in enumerate(network.layers):
                arrays = [one for one in layer.inputs if not isinstance(one, str)]
                for number, array in enumerate(arrays):
                    tensor = torch.nn.Parameter(torch.from_numpy(array.copy()), requires_grad=False)
                    self.register_parameter(f"w{place}_{number}", tensor)

        def forward(self, x: Any) -> Any:
            known = {"input": x}
            for place, layer in enumerate(network.layers):
                inputs, number = [], 0
                for one in layer.inputs:
                    if isinstance(one, str):
                        inputs.append(known[one])
                    else:
                        inputs.append(getattr(self, f"w{place}_{number}"))
                        number += 1
                known[layer.output] = LAYERS[layer.op](torch.nn.functional, layer, inputs)
            return known["output"]

    return Module()


def _finish(functional: Any, layer: Layer, y: Any, others: Sequence[Any]) -> Any:
    """The epilogue after the bias, which the operator has added."""
    left = iter(others)
    for step in layer.params["epilogue"][1:]:
        y = y + next(left) if step == "add" else getattr(functional, step)(y)
    return y


def _convolution(functional: Any, layer: Layer, inputs: Sequence[Any]) -> Any:
    x, weight, bias, *others = inputs
    sizes = {"stride": layer.params["stride"], "padding": layer.params["padding"]}
    return _finish(functional, layer, functional.conv2d(x, weight, bias, **sizes), others)


def _dense(functional: Any, layer: Layer, inputs: Sequence[Any]) -> Any:
    x, weight, bias, *others = inputs
    x = x.reshape(layer.params["m"], layer.params["k"])
    return _finish(functional, layer, functional.linear(x, weight, bias), others)


def _max_pool(functional: Any, layer: Layer, inputs: Sequence[Any]) -> Any:
    names = ("kernel", "stride", "padding")
    return functional.max_pool2d(inputs[0], *(layer.params[name] for name in names))


def _mean(functional: Any, layer: Layer, inputs: Sequence[Any]) -> Any:
    return inputs[0].mean(dim=(2, 3), keepdim=True)


def _attention(functional: Any, layer: Layer, inputs: Sequence[Any]) -> Any:
    heads = [_see(layer.views[name], x) for name, x in zip("qkv", inputs, strict=True)]
    y = functional.scaled_dot_product_attention(*heads)
    return y[0].transpose(0, 1).reshape(layer.params["m"], -1)


def _see(view: View, x: Any) -> Any:
    columns = x[:, view.begin : view.begin + view.heads * view.size]
    return columns.reshape(-1, view.heads, view.size).transpose(0, 1)[None]


def _layer_norm(functional: Any, layer: Layer, inputs: Sequence[Any]) -> Any:
    x, gamma, beta = inputs
    return functional.layer_norm(x, x.shape[-1:], gamma, beta, layer.params["epsilon"])


LAYERS: dict[str, Callable[..., Any]] = {
    "conv2d": _convolution,
    "dense": _dense,
    "max_pool2d": _max_pool,
    "global_avg_pool2d": _mean,
    "attention": _attention,
    "layer_norm": _layer_norm,
}
