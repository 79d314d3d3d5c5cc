"""The problems in PyTorch: as it runs them by itself, by oneDNN with packed weights, and compiled."""

from __future__ import annotations

import contextlib
import importlib
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from libraries import narrow_convolutions, narrow_products
from libraries.form import Form, Maker, call_form
from libraries.problem import Array, Convolution, MaxPool, Other, Problem, Product
from libraries.torch_arrays import to_array, to_tensor
from tilewright.cli.torch_elementwise import prepare_chain
from tilewright.cli.torch_operators import TORCH


@contextlib.contextmanager
def open_torch() -> Iterator[Maker]:
    """PyTorch as it is, without gradients."""
    torch = _load()
    yield lambda problem: _eager_forms(torch, problem)


@contextlib.contextmanager
def open_onednn() -> Iterator[Maker]:
    """Operators of oneDNN through PyTorch: weights packed ahead, images in its own layouts."""
    torch = _load()
    yield lambda problem: _onednn_forms(torch, problem)


@contextlib.contextmanager
def open_inductor() -> Iterator[Maker]:
    """PyTorch's compiler, the weights frozen."""
    torch = _load()
    config = importlib.import_module("torch._inductor.config")
    logging.getLogger("torch").setLevel(logging.ERROR)
    with config.patch(freezing=True, compile_threads=1):
        yield lambda problem: _inductor_forms(torch, problem)


def _load() -> Any:
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    return torch


def _bind(function: Callable[..., Any], inputs: tuple[Any, ...]) -> Callable[[], Any]:
    return lambda: function(*inputs)


def _modules(torch: Any, problem: Problem) -> list[tuple[str, Any, tuple[Any, ...]]]:
    """The problem as modules or functions: what varies are the inputs, what is constant are parameters."""
    if isinstance(problem, Product):
        return [("contiguous", *_product_module(torch, problem))]
    if isinstance(problem, Other):
        return [("contiguous", *_other_function(torch, problem))] if problem.op in TORCH else []
    formats = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
    found = []
    for name, layout in formats.items():
        module = (
            _pool_module(torch, problem) if isinstance(problem, MaxPool) else _conv_module(torch, problem)
        )
        x = to_tensor(torch, problem.x).contiguous(memory_format=layout)
        found.append((name, module.eval().to(memory_format=layout), (x,)))
    return found


def _other_function(torch: Any, problem: Other) -> tuple[Any, tuple[Any, ...]]:
    compute, arguments = TORCH[problem.op], problem.arguments
    inputs = tuple(to_tensor(torch, array) for array in problem.arrays)
    if problem.op == "elementwise":
        return prepare_chain(torch, arguments), inputs
    return lambda *tensors: compute(torch, arguments, *tensors), inputs


def _product_module(torch: Any, problem: Product) -> tuple[Any, tuple[Any, ...]]:
    a, b = to_tensor(torch, problem.a), to_tensor(torch, problem.b)
    if not problem.is_constant:
        # A function of ours: the compiler leaves those of the library alone.
        return lambda x, y: torch.matmul(x, y.t() if problem.is_transposed else y), (a, b)
    layer = torch.nn.Linear(problem.b.shape[1], problem.b.shape[0], bias=False)
    layer.weight.copy_(b if problem.is_transposed else b.t())
    return layer.eval(), (a,)


def _conv_module(torch: Any, problem: Convolution) -> Any:
    o, c = problem.weight.shape[:2]
    sizes = {"stride": problem.stride, "padding": problem.padding, "groups": problem.groups}
    has_bias = problem.bias is not None
    layer = torch.nn.Conv2d(c * problem.groups, o, problem.kernel, bias=has_bias, **sizes)
    layer.weight.copy_(to_tensor(torch, problem.weight))
    if problem.bias is not None:
        layer.bias.copy_(to_tensor(torch, problem.bias))
    return torch.nn.Sequential(layer, torch.nn.ReLU(inplace=True)) if problem.has_relu else layer


def _pool_module(torch: Any, problem: MaxPool) -> Any:
    return torch.nn.MaxPool2d(problem.kernel, problem.stride, problem.padding)


def _eager_forms(torch: Any, problem: Problem) -> list[Form]:
    if isinstance(problem, Product) and problem.is_narrow:
        return narrow_products.torch_forms(torch, problem)
    if isinstance(problem, Convolution) and problem.is_narrow:
        return narrow_convolutions.torch_forms(torch, problem)
    calls = [(layout, _bind(module, inputs)) for layout, module, inputs in _modules(torch, problem)]
    if isinstance(problem, Product) and problem.is_transposed and problem.a.shape[0] == 1:
        weight, x = to_tensor(torch, problem.b), to_tensor(torch, problem.a)[0]
        calls.append(("matrix by vector", lambda: torch.mv(weight, x)[None]))
    return [call_form(f"eager, {name}", call, to_array) for name, call in calls]


def _inductor_forms(torch: Any, problem: Problem) -> list[Form]:
    # What was compiled for other rows counts towards a limit, beyond which nothing is compiled any more.
    importlib.import_module("torch._dynamo").reset()
    if isinstance(problem, Product | Convolution) and problem.is_narrow:
        return []
    forms = []
    for layout, module, inputs in _modules(torch, problem):
        compiled = torch.compile(module, fullgraph=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled(*inputs)
        forms.append(call_form(f"compiled and frozen, {layout}", _bind(compiled, inputs), to_array))
    return forms


def _onednn_forms(torch: Any, problem: Problem) -> list[Form]:
    if not torch.backends.mkldnn.is_available():
        return []
    if isinstance(problem, Product) and problem.is_narrow:
        return narrow_products.onednn_forms(torch, problem)
    if isinstance(problem, Convolution) and problem.is_narrow:
        return narrow_convolutions.onednn_forms(torch, problem)
    if isinstance(problem, Product):
        return [_onednn_product(torch, problem)]
    if isinstance(problem, Other):
        return []
    if isinstance(problem, MaxPool):
        x = _blocked(torch, problem.x)
        pool = _bind(torch.nn.functional.max_pool2d, (x, problem.kernel, problem.stride, problem.padding))
        return [call_form("oneDNN, blocked image", pool, _dense)]
    return [_onednn_blocked(torch, problem), _onednn_channels_last(torch, problem)]


def _onednn_product(torch: Any, problem: Product) -> Form:
    linear = torch.ops.mkldnn._linear_pointwise
    a, b = to_tensor(torch, problem.a), to_tensor(torch, problem.b)
    weight = b if problem.is_transposed else b.transpose(-1, -2)
    if a.dim() == 3:
        pairs = list(zip(a, weight, strict=True))
        return call_form(
            "oneDNN, pair by pair",
            lambda: [linear(x, w, None, "none", [], "") for x, w in pairs],
            torch.stack,
        )
    if problem.is_constant:
        weight = torch.ops.mkldnn._reorder_linear_weight(weight, a.shape[0])
    name = "oneDNN, packed weight" if problem.is_constant else "oneDNN"
    return call_form(name, _bind(linear, (a, weight, None, "none", [], "")))


def _blocked(torch: Any, array: Array) -> Any:
    """An image in the layout in which oneDNN's convolutions leave it: one of them copies it."""
    x = to_tensor(torch, array)
    same = torch.eye(x.shape[1]).reshape(x.shape[1], x.shape[1], 1, 1)
    return torch.mkldnn_convolution(x.to_mkldnn(), same.to_mkldnn(), None, (0, 0), (1, 1), (1, 1), 1)


def _packed(torch: Any, problem: Convolution) -> tuple[Any, Any]:
    sizes = (list(problem.padding), list(problem.stride), [1, 1], problem.groups, list(problem.x.shape))
    weight = torch.ops.mkldnn._reorder_convolution_weight(to_tensor(torch, problem.weight), *sizes)
    return weight, None if problem.bias is None else to_tensor(torch, problem.bias)


def _onednn_blocked(torch: Any, problem: Convolution) -> Form:
    x, (weight, bias) = _blocked(torch, problem.x), _packed(torch, problem)
    sizes = (problem.padding, problem.stride, (1, 1), problem.groups)
    bias = None if bias is None else bias.to_mkldnn()

    def call() -> Any:
        y = torch.mkldnn_convolution(x, weight, bias, *sizes)
        return torch.relu_(y) if problem.has_relu else y

    return call_form("oneDNN, packed weight, blocked image", call, _dense)


def _onednn_channels_last(torch: Any, problem: Convolution) -> Form:
    x = to_tensor(torch, problem.x).contiguous(memory_format=torch.channels_last)
    sizes = (problem.padding, problem.stride, (1, 1), problem.groups)
    finish: tuple[str, list[float], str] = ("relu" if problem.has_relu else "none", [], "")
    arguments = (x, *_packed(torch, problem), *sizes, *finish)
    convolution = torch.ops.mkldnn._convolution_pointwise
    return call_form("oneDNN, packed weight, channels last", _bind(convolution, arguments))


def _dense(tensor: Any) -> Any:
    return tensor.to_dense()
