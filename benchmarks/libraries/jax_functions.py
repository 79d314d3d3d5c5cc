"""Operators as functions of JAX, by the name that they have here; each is given JAX and the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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
    "argmax": _reduction("argmax"),
    "argmin": _reduction("argmin"),
}
