"""An encoder layer of BERT (Devlin et al., 2019): attention over heads that are views of one projection."""

from __future__ import annotations

import numpy as np

from networks.layers import Array, Layer, Network, View

EPSILON = 1e-12


def bert_layer(length: int = 128, heads: int = 12, size: int = 64, seed: int = 0) -> Network:
    """The layer for ``length`` tokens, with four times as many elements between the last two products."""
    rng, width = np.random.default_rng(seed), heads * size
    layers: list[Layer] = []

    def weights(*shape: int) -> Array:
        scale = (shape[-1] if len(shape) > 1 else 100) ** -0.5
        return np.asarray(rng.standard_normal(shape) * scale, np.float32)

    def dense(source: str, target: str, n: int, k: int, *epilogue: str, residual: str | None = None) -> None:
        params = {"m": length, "n": n, "k": k, "epilogue": ("bias", *epilogue)}
        others = [residual] if residual else []
        layers.append(Layer("dense", params, (source, weights(n, k), weights(n), *others), target))

    def norm(source: str, target: str) -> None:
        params = {"shape": (length, width), "epsilon": EPSILON}
        layers.append(Layer("layer_norm", params, (source, 1 + weights(width), weights(width)), target))

    dense("input", "projected", 3 * width, width)
    params = {"b": 1, "heads": heads, "m": length, "n": length, "d": size}
    views = {name: View(place * width, heads, size) for place, name in enumerate("qkv")}
    views["y"] = View(0, heads, size)
    layers.append(Layer("attention", params, ("projected",) * 3, "attended", views))
    dense("attended", "joined", width, width, "add", residual="input")
    norm("joined", "normed")
    dense("normed", "wide", 4 * width, width, "gelu")
    dense("wide", "narrow", width, 4 * width, "add", residual="normed")
    norm("narrow", "output")
    shapes = {"attended": (length, width)}
    return Network("BERT-base layer", (length, width), layers, shapes)
