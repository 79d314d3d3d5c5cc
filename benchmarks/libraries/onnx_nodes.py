"""Operators as nodes of ONNX, by the name that they have here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from libraries.problem import Array

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Node:
    """A node that has the operator's inputs, and after them constants.

    Attributes:
        kind: its type.
        attributes: of it.
        constants: further inputs.
    """

    kind: str
    attributes: Mapping[str, Any]
    constants: list[Array] = field(default_factory=list)


def _along(kind: str) -> Callable[[Arguments], Node]:
    return lambda arguments: Node(kind, {"axis": arguments["axis"]})


def _norm(kind: str) -> Callable[[Arguments], Node | None]:
    """Norms run along an axis and all those after it."""

    def node(arguments: Arguments) -> Node | None:
        rank, axis = len(arguments["shape"]), arguments["axis"]
        axes = sorted(one % rank for one in ((axis,) if isinstance(axis, int) else axis))
        if axes != list(range(axes[0], rank)):
            return None
        return Node(kind, {"axis": axes[0], "epsilon": arguments["epsilon"]})

    return node


def _reduction(kind: str) -> Callable[[Arguments], Node]:
    def node(arguments: Arguments) -> Node:
        axis = arguments["axis"]
        axes = range(len(arguments["shape"])) if axis is None else (axis,) if isinstance(axis, int) else axis
        keepdims = int(arguments["keepdims"])
        return Node(kind, {"keepdims": keepdims}, [np.array(axes, np.int64)])

    return node


def _place(kind: str) -> Callable[[Arguments], Node | None]:
    def node(arguments: Arguments) -> Node | None:
        if arguments["axis"] is None:
            return None
        return Node(kind, {"axis": arguments["axis"], "keepdims": int(arguments["keepdims"])})

    return node


def _attention(arguments: Arguments) -> Node:
    scale = {} if arguments["scale"] is None else {"scale": arguments["scale"]}
    return Node("Attention", {"is_causal": int(arguments["causal"]), **scale})


def _elementwise(arguments: Arguments) -> Node | None:
    """A chain of one function that ONNX has as a node."""
    kinds = {"gelu(x)": "none", "gelu_tanh(x)": "tanh"}
    chain = arguments["chain"].replace(" ", "")
    return Node("Gelu", {"approximate": kinds[chain]}) if chain in kinds else None


def _transpose(arguments: Arguments) -> Node:
    perm = arguments["perm"]
    return Node("Transpose", {} if perm is None else {"perm": list(perm)})


def _resize(arguments: Arguments) -> Node | None:
    """An image with its channels first: the node has no other layout."""
    if arguments["layout"] != "NCHW":
        return None
    size = arguments["size"]
    extents = [arguments["n"], arguments["c"], *((size, size) if isinstance(size, int) else size)]
    attributes = {
        "mode": {"bilinear": "linear", "nearest": "nearest"}[arguments["mode"]],
        "coordinate_transformation_mode": arguments["coordinate_mode"],
        "nearest_mode": arguments["nearest_mode"],
    }
    # Neither a region nor scales: empty inputs.
    none = np.array([], np.float32)
    return Node("Resize", attributes, [none, none, np.array(extents, np.int64)])


def _pad(arguments: Arguments) -> Node:
    value = np.array(arguments["value"], arguments["dtype"])
    return Node("Pad", {"mode": arguments["mode"]}, [np.array(arguments["padding"], np.int64), value])


def _slice(arguments: Arguments) -> Node:
    shape = arguments["shape"]
    stop, step = arguments["stop"] or shape, arguments["step"] or (1,) * len(shape)
    numbers = (arguments["start"], stop, range(len(shape)), step)
    return Node("Slice", {}, [np.array(given, np.int64) for given in numbers])


NODES: dict[str, Callable[[Arguments], Node | None]] = {
    "softmax": _along("Softmax"),
    "log_softmax": _along("LogSoftmax"),
    "layer_norm": _norm("LayerNormalization"),
    "rms_norm": _norm("RMSNormalization"),
    **{
        f"reduce_{kind}": _reduction(f"Reduce{kind.title()}")
        for kind in ("sum", "mean", "prod", "max", "min")
    },
    "attention": _attention,
    "elementwise": _elementwise,
    "transpose": _transpose,
    "concatenate": _along("Concat"),
    "gather": _along("Gather"),
    "pad": _pad,
    "slice": _slice,
    "resize": _resize,
    "argmax": _place("ArgMax"),
    "argmin": _place("ArgMin"),
}
