"""Operators in PyTorch, by the name that they have here; each is given torch and the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tilewright.cli.peers import PeerError
from tilewright.cli.torch_elementwise import compute_chain
from tilewright.cli.torch_layout import LAYOUT
from tilewright.templates.operators.window import Window, is_channels_last


def _torch_byte_product(torch: Any, arguments: Mapping[str, Any], a: Any, b: Any) -> Any:
    left = a.t() if arguments.get("transpose_a") else a
    return torch._int_mm(left, b.t() if arguments.get("transpose_b", True) else b)


def _torch_product(torch: Any, arguments: Mapping[str, Any], a: Any, b: Any) -> Any:
    left = a.transpose(-1, -2) if arguments["transpose_a"] else a
    right = b.transpose(-1, -2) if arguments["transpose_b"] else b
    return torch.matmul(left, right)


def _torch_convolution(torch: Any, arguments: Mapping[str, Any], x: Any, weight: Any) -> Any:
    return _convolve(torch, arguments, x, weight, arguments["groups"])


def _torch_depthwise(torch: Any, arguments: Mapping[str, Any], x: Any, weight: Any) -> Any:
    return _convolve(torch, arguments, x, weight[:, None], len(weight))


def _convolve(torch: Any, arguments: Mapping[str, Any], x: Any, weight: Any, groups: int) -> Any:
    rank = weight.ndim - 2
    window = _window(arguments, rank)
    image = _channels_first(arguments, x)
    if window.before != window.after:
        image = torch.nn.functional.pad(image, _torch_sides(window))
        window = window.only()
    function = getattr(torch.nn.functional, f"conv{rank}d")
    sizes = {"stride": window.stride, "padding": window.before, "dilation": window.dilation}
    return _in_layout(arguments, function(image, weight, **sizes, groups=groups))


def _torch_transposed(torch: Any, arguments: Mapping[str, Any], x: Any, weight: Any) -> Any:
    rank = weight.ndim - 2
    window = _window(arguments, rank)
    if window.before != window.after:
        raise PeerError("torch: transposed convolutions are compared with padding alike on both sides")
    function = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    sizes = {"stride": window.stride, "padding": window.before, "dilation": window.dilation}
    more = {"output_padding": arguments["output_padding"], "groups": arguments["groups"]}
    return _in_layout(arguments, function(_channels_first(arguments, x), weight, **sizes, **more))


def _torch_max_pool(torch: Any, arguments: Mapping[str, Any], x: Any) -> Any:
    rank = x.ndim - 2
    window = _window(arguments, rank)
    image = _channels_first(arguments, x)
    if window.before != window.after:
        image = torch.nn.functional.pad(image, _torch_sides(window), value=float("-inf"))
        window = window.only()
    function = getattr(torch.nn.functional, f"max_pool{rank}d")
    y = function(image, window.kernel, window.stride, window.before, window.dilation)
    return _in_layout(arguments, y)


def _torch_avg_pool(torch: Any, arguments: Mapping[str, Any], x: Any) -> Any:
    rank = x.ndim - 2
    window = _window(arguments, rank)
    if window.before != window.after or max(window.dilation) > 1:
        raise PeerError("torch: averages are compared without dilation and with padding alike on both sides")
    function = getattr(torch.nn.functional, f"avg_pool{rank}d")
    sizes = (window.kernel, window.stride, window.before)
    counts = {"count_include_pad": arguments["count_include_pad"]}
    return _in_layout(arguments, function(_channels_first(arguments, x), *sizes, **counts))


def _torch_global_avg_pool(torch: Any, arguments: Mapping[str, Any], x: Any) -> Any:
    image = _channels_first(arguments, x)
    return _in_layout(arguments, image.mean(dim=tuple(range(2, x.ndim)), keepdim=True))


def _torch_layer_norm(torch: Any, arguments: Mapping[str, Any], x: Any, gamma: Any, beta: Any) -> Any:
    extents = _last_extents(arguments)
    return torch.nn.functional.layer_norm(x, extents, gamma, beta, arguments["epsilon"])


def _torch_rms_norm(torch: Any, arguments: Mapping[str, Any], x: Any, gamma: Any) -> Any:
    return torch.nn.functional.rms_norm(x, _last_extents(arguments), gamma, arguments["epsilon"])


def _last_extents(arguments: Mapping[str, Any]) -> tuple[int, ...]:
    """The extents that a norm runs along, which torch wants to be the last ones."""
    shape, axis = arguments["shape"], arguments["axis"]
    axes = sorted(one % len(shape) for one in ((axis,) if isinstance(axis, int) else axis))
    if axes != list(range(axes[0], len(shape))):
        raise PeerError("torch: norms are compared along the last axes only")
    return tuple(shape[axes[0] :])


def _torch_group_norm(torch: Any, arguments: Mapping[str, Any], x: Any, gamma: Any, beta: Any) -> Any:
    return torch.nn.functional.group_norm(x, arguments["groups"], gamma, beta, arguments["epsilon"])


def _torch_batch_norm(torch: Any, arguments: Mapping[str, Any], x: Any, *weights: Any) -> Any:
    gamma, beta, mean, variance = weights
    image = x.movedim(arguments["axis"], 1) if x.ndim > 1 else x[None]
    norm = torch.nn.functional.batch_norm
    y = norm(image, mean, variance, gamma, beta, eps=arguments["epsilon"])
    return y.movedim(1, arguments["axis"]) if x.ndim > 1 else y[0]


def _torch_attention(torch: Any, arguments: Mapping[str, Any], *operands: Any) -> Any:
    q, k, v, *mask = operands
    if arguments["causal"] and (mask or arguments["m"] != arguments["n"]):
        raise PeerError("torch: causal attention is compared without a mask, of as many queries as keys")
    return torch.nn.functional.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=mask[0] if mask else None,
        is_causal=arguments["causal"],
        scale=arguments["scale"],
        enable_gqa=q.shape[1] != k.shape[1],
    )


def _torch_reduction(name: str) -> Callable[..., Any]:
    def reduce(torch: Any, arguments: Mapping[str, Any], x: Any) -> Any:
        axis, keepdims = arguments["axis"], arguments["keepdims"]
        if name != "prod":
            axes = tuple(range(x.ndim)) if axis is None else axis
            return getattr(torch, name)(x, dim=axes, keepdim=keepdims)
        if not isinstance(axis, int):
            raise PeerError("torch: products are compared over one axis only")
        return torch.prod(x, dim=axis, keepdim=keepdims)

    return reduce


def _torch_place(name: str) -> Callable[..., Any]:
    def find(torch: Any, arguments: Mapping[str, Any], x: Any) -> Any:
        return getattr(torch, name)(x, dim=arguments["axis"], keepdim=arguments["keepdims"])

    return find


def _window(arguments: Mapping[str, Any], rank: int) -> Window:
    stride = arguments["stride"]
    steps = arguments["kernel"] if stride is None else stride
    return Window.of(arguments["kernel"], steps, arguments["padding"], arguments["dilation"], rank)


def _torch_sides(window: Window) -> list[int]:
    """Padding as torch lists it: of the last dimension first."""
    pairs = zip(reversed(window.before), reversed(window.after), strict=True)
    return [size for pair in pairs for size in pair]


def _channels_first(arguments: Mapping[str, Any], x: Any) -> Any:
    return x.movedim(-1, 1) if is_channels_last(arguments["layout"]) else x


def _in_layout(arguments: Mapping[str, Any], y: Any) -> Any:
    return y.movedim(1, -1) if is_channels_last(arguments["layout"]) else y


RANKS = (1, 2, 3)
TORCH: dict[str, Callable[..., Any]] = {
    "matmul": _torch_product,
    "batch_matmul": _torch_product,
    "dense": lambda torch, arguments, x, weight: torch.nn.functional.linear(x, weight),
    "depthwise_conv2d": _torch_depthwise,
    **{f"conv{rank}d": _torch_convolution for rank in RANKS},
    **{f"conv{rank}d_transpose": _torch_transposed for rank in RANKS},
    **{f"max_pool{rank}d": _torch_max_pool for rank in RANKS},
    **{f"avg_pool{rank}d": _torch_avg_pool for rank in RANKS},
    **{f"global_avg_pool{rank}d": _torch_global_avg_pool for rank in RANKS},
    "softmax": lambda torch, arguments, x: torch.softmax(x, arguments["axis"]),
    "log_softmax": lambda torch, arguments, x: torch.log_softmax(x, arguments["axis"]),
    "layer_norm": _torch_layer_norm,
    "rms_norm": _torch_rms_norm,
    "group_norm": _torch_group_norm,
    "batch_norm": _torch_batch_norm,
    **{f"reduce_{name}": _torch_reduction(name) for name in ("sum", "mean", "prod")},
    **{f"reduce_{name}": _torch_reduction(f"a{name}") for name in ("max", "min")},
    "attention": _torch_attention,
    "elementwise": compute_chain,
    **LAYOUT,
    "argmax": _torch_place("argmax"),
    "argmin": _torch_place("argmin"),
}

# By the types of the operands, too: it has no others with exact sums.
TORCH_BYTES: dict[tuple[str, ...], Callable[..., Any]] = {
    (op, "int8", "int8"): _torch_byte_product for op in ("matmul", "dense")
}
