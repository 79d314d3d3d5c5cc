"""Operators as functions of JAX, by the name that they have here; each is given JAX and the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tilewright.templates.chain import Apply, parse_chain

Arguments = Mapping[str, Any]


def _softmax(jax: Any, arguments: Arguments, x: Any) -> Any:
    return jax.nn.softmax(x, arguments["axis"])


def _log_softmax(jax: Any, arguments: Arguments, x: Any) -> Any:
    return jax.nn.log_softmax(x, arguments["axis"])


def _layer_norm(jax: Any, arguments: Arguments, x: Any, gamma: Any, beta: Any) -> Any:
    less = x - x.mean(arguments["axis"], keepdims=True)
    variance = (less * less).mean(arguments["axis"], keepdims=True)
    return less * jax.lax.rsqrt(variance + arguments["epsilon"]) * gamma + beta


def _rms_norm(jax: Any, arguments: Arguments, x: Any, gamma: Any) -> Any:
    squares = (x * x).mean(arguments["axis"], keepdims=True)
    return x * jax.lax.rsqrt(squares + arguments["epsilon"]) * gamma


def _attention(jax: Any, arguments: Arguments, q: Any, k: Any, v: Any, *mask: Any) -> Any:
    turned = (x.swapaxes(1, 2) for x in (q, k, v))
    added = {"bias": mask[0]} if mask else {}
    options = {"is_causal": arguments["causal"], "scale": arguments["scale"]}
    return jax.nn.dot_product_attention(*turned, **added, **options).swapaxes(1, 2)


def _elementwise(jax: Any, arguments: Arguments, *operands: Any) -> Any:
    functions: dict[str, Callable[..., Any]] = {
        "gelu": lambda x: jax.nn.gelu(x, approximate=False),
        "gelu_tanh": jax.nn.gelu,
        "min": jax.numpy.minimum,
        "max": jax.numpy.maximum,
        "**": jax.numpy.power,
        "relu": jax.nn.relu,
        "silu": jax.nn.silu,
        "sigmoid": jax.nn.sigmoid,
    }
    chain = parse_chain(arguments["chain"])

    def choose(apply: Apply) -> Callable[..., Any]:
        others: Callable[..., Any] = getattr(jax.numpy, apply.label, apply.function.compute)
        return functions.get(apply.label, others)

    return chain.evaluate(dict(zip(chain.operands, operands, strict=True)), choose)


def _resize(jax: Any, arguments: Arguments, x: Any) -> Any:
    if arguments["mode"] != "bilinear" or arguments["coordinate_mode"] != "half_pixel":
        raise ValueError("jax resizes by half_pixel")
    size, is_last = arguments["size"], arguments["layout"] == "NHWC"
    extents = (size, size) if isinstance(size, int) else tuple(size)
    shape = (x.shape[0], *extents, x.shape[3]) if is_last else (*x.shape[:2], *extents)
    return jax.image.resize(x, shape, "bilinear", antialias=False)


def _reduction(name: str) -> Callable[..., Any]:
    def reduce(jax: Any, arguments: Arguments, x: Any) -> Any:
        return getattr(jax.numpy, name)(x, axis=arguments["axis"], keepdims=arguments["keepdims"])

    return reduce


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    **{f"reduce_{name}": _reduction(name) for name in ("sum", "mean", "prod", "max", "min")},
    "attention": _attention,
    "elementwise": _elementwise,
    "resize": _resize,
    "concatenate": lambda jax, arguments, *xs: jax.numpy.concatenate(xs, arguments["axis"]),
    "gather": lambda jax, arguments, x, indices: jax.numpy.take(x, indices, arguments["axis"]),
    "transpose": lambda jax, arguments, x: jax.numpy.transpose(x, arguments["perm"]),
    "argmax": _reduction("argmax"),
    "argmin": _reduction("argmin"),
}
