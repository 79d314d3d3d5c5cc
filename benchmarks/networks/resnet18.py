"""ResNet-18 (He et al., 2016) at inference: batch norm is part of the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from networks.layers import Array, Layer, Network

STAGES = (64, 128, 256, 512)
CLASSES = 1000


class _Builder:
    """Adds layers, with random weights that keep the size of what flows."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.layers: list[Layer] = []

    def weights(self, *shape: int) -> Array:
        """Of a layer whose outputs are along the first dimension."""
        scale = np.sqrt(2 / np.prod(shape[1:]))
        return np.asarray(self.rng.standard_normal(shape) * scale, np.float32)

    def bias(self, count: int) -> Array:
        """Small."""
        return np.asarray(self.rng.standard_normal(count) * 0.1, np.float32)

    def convolution(
        self, source: str, target: str, c: int, o: int, size: int, kernel: int, stride: int, *epilogue: str,
        residual: str | None = None,
    ) -> int:  # fmt: skip
        """A convolution with its bias; the size of its result."""
        params: dict[str, Any] = {"n": 1, "c": c, "h": size, "w": size, "o": o, "kernel": kernel}
        params |= {"stride": stride, "padding": kernel // 2, "epilogue": ("bias", *epilogue)}
        inputs: list[str | Array] = [source, self.weights(o, c, kernel, kernel), self.bias(o)]
        self.layers.append(Layer("conv2d", params, (*inputs, *([residual] if residual else [])), target))
        return (size + 2 * (kernel // 2) - kernel) // stride + 1

    def block(self, source: str, name: str, c: int, o: int, size: int, stride: int) -> int:
        """Two convolutions, and what goes around them."""
        skip = source
        if stride > 1 or c != o:
            skip = f"{name}.skip"
            self.convolution(source, skip, c, o, size, 1, stride)
        after = self.convolution(source, f"{name}.inner", c, o, size, 3, stride, "relu")
        self.convolution(f"{name}.inner", name, o, o, after, 3, 1, "add", "relu", residual=skip)
        return after


def resnet18(size: int = 224, stages: tuple[int, ...] = STAGES, seed: int = 0) -> Network:
    """The network for images of ``size`` by ``size``."""
    made = _Builder(seed)
    extent = made.convolution("input", "stem", 3, stages[0], size, 7, 2, "relu")
    pool = {"n": 1, "c": stages[0], "h": extent, "w": extent, "kernel": 3, "stride": 2, "padding": 1}
    made.layers.append(Layer("max_pool2d", pool, ("stem",), "pool"))
    extent, channels, last = (extent + 1) // 2, stages[0], "pool"
    for number, width in enumerate(stages):
        for part in range(2):
            stride = 2 if number and not part else 1
            name = f"stage{number}.{part}"
            extent = made.block(last, name, channels, width, extent, stride)
            channels, last = width, name
    mean = {"n": 1, "c": channels, "h": extent, "w": extent}
    made.layers.append(Layer("global_avg_pool2d", mean, (last,), "mean"))
    head = {"m": 1, "n": CLASSES, "k": channels, "epilogue": ("bias",)}
    inputs = ("mean", made.weights(CLASSES, channels), made.bias(CLASSES))
    made.layers.append(Layer("dense", head, inputs, "output"))
    return Network("ResNet-18", (1, 3, size, size), made.layers)
