"""A network as a list of layers, each an operator with its weights; run by our kernels, or in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

import tilewright as tw
from tilewright.deploy import make_task

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer.

    Attributes:
        op: the operator.
        params: its parameters.
        inputs: what it reads, in the order of the operator's inputs: names of earlier results, or weights.
        output: the name of its result.
        views: of its inputs and output, by the operator's names, that are parts of wider arrays.
    """

    op: str
    params: Mapping[str, Any]
    inputs: tuple[str | Array, ...]
    output: str
    views: Mapping[str, View] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class View:
    """How an operator sees a result: columns from ``begin`` on of a matrix, as heads of so many elements."""

    begin: int
    heads: int
    size: int

    def of(self, array: Array) -> Array:
        """``(1, heads, rows, size)`` of a matrix of rows."""
        columns = array[:, self.begin : self.begin + self.heads * self.size]
        return columns.reshape(len(array), self.heads, self.size).swapaxes(0, 1)[None]


@dataclass(frozen=True, slots=True)
class Network:
    """Layers in order; the first reads ``input``, the last makes ``output``.

    Attributes:
        name: of the network.
        shape: of the input.
        layers: in order.
        shapes: of results that are not those of their operators, but views of them are.
    """

    name: str
    shape: tuple[int, ...]
    layers: Sequence[Layer]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def workloads(self) -> list[tuple[str, dict[str, Any]]]:
        """Each operator with its parameters, once."""
        found: list[tuple[str, dict[str, Any]]] = []
        for layer in self.layers:
            if (layer.op, dict(layer.params)) not in found:
                found.append((layer.op, dict(layer.params)))
        return found


def run_in_numpy(network: Network, x: Array) -> Array:
    """What the network makes of its input, in double precision."""
    known: dict[str, Array] = {"input": x.astype(np.float64)}
    for layer in network.layers:
        task = make_task(layer.op, None, 1, layer.params)
        shapes = [spec.shape for spec in task.instantiate(task.default_config).inputs]
        names = [spec.name for spec in task.instantiate(task.default_config).inputs]
        arrays = []
        for name, given, shape in zip(names, layer.inputs, shapes, strict=True):
            array = known[given] if isinstance(given, str) else given.astype(np.float64)
            arrays.append(layer.views[name].of(array) if name in layer.views else array.reshape(shape))
        assert task.reference is not None
        result = np.asarray(task.reference(*arrays))
        if "y" in layer.views:  # heads side by side
            result = result[0].swapaxes(0, 1).reshape(result.shape[2], -1)
        known[layer.output] = result
    return known["output"]


def prepare(network: Network, x: Array, threads: int = 1) -> tuple[Callable[[], None], Array]:
    """A call that runs the network on the input by our kernels, and the array that the result is in.

    Kernels are built as ``tw.build`` does here and now; weights are bound, and all memory is there ahead.
    """
    known: dict[str, Array] = {"input": x}
    calls: list[tuple[Any, list[Array], Array]] = []
    for layer in network.layers:
        calls.append(_prepare_layer(network, layer, known, threads))

    def run() -> None:
        for kernel, arrays, out in calls:
            kernel(*arrays, out=out)

    return run, known["output"]


def _prepare_layer(
    network: Network, layer: Layer, known: dict[str, Array], threads: int
) -> tuple[Any, list[Array], Array]:
    plain = tw.build(layer.op, threads=threads, **layer.params)
    (result,) = plain.outputs
    shape = network.shapes.get(layer.output, result.shape)
    known[layer.output] = np.empty(shape, result.dtype)
    given = {spec.name: known.get(i, i) if isinstance(i, str) else i
             for spec, i in zip(plain.inputs, layer.inputs, strict=True)}  # fmt: skip
    arrays: dict[str, Array] = {}
    for spec in (*plain.inputs, result):
        array = known[layer.output] if spec is result else np.asarray(given[spec.name])
        view = layer.views.get(spec.name)
        arrays[spec.name] = array.reshape(spec.shape) if view is None else view.of(array)
    strides = {name: tuple(s // arrays[name].itemsize for s in arrays[name].strides) for name in layer.views}
    kernel = tw.build(layer.op, threads=threads, strides=strides, **layer.params) if strides else plain
    out = arrays.pop(result.name)
    if not kernel.constants:
        return kernel, list(arrays.values()), out
    bound, others = kernel.bind_among(list(arrays.values()))
    return bound, others, out
