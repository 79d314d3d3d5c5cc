"""What a row computes, as other libraries see it: plain arrays and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler.errors import TilewrightError
from tilewright.templates.task import Task

Array = npt.NDArray[Any]
Pair = tuple[int, int]
OF_OTHER_KINDS = ("matmul", "batch_matmul", "dense", "conv2d", "depthwise_conv2d", "max_pool2d")


class ProblemError(TilewrightError):
    """A workload has no description for other libraries."""


@dataclass(frozen=True, slots=True)
class Product:
    """``a @ b``, of matrices or of a batch of them.

    Attributes:
        a: ``(..., m, k)``.
        b: ``(..., k, n)``, or ``(n, k)`` where it is transposed.
        is_transposed: as the weight of a dense layer is.
        is_constant: b is the same in all calls, and may be packed ahead.
    """

    a: Array
    b: Array
    is_transposed: bool
    is_constant: bool

    @property
    def is_narrow(self) -> bool:
        """Whether the operands are bytes or 16-bit floats, which few libraries multiply as such."""
        return self.a.dtype.itemsize < 4


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution of an NCHW image with a constant weight.

    Attributes:
        x: ``(n, c, h, w)``.
        weight: ``(o, c / groups, kh, kw)``.
        stride: down and across.
        padding: above and below, left and right.
        groups: of channels.
        bias: added to each channel, where there is one.
        has_relu: negative results become zero.
    """

    x: Array
    weight: Array
    stride: Pair
    padding: Pair
    groups: int
    bias: Array | None
    has_relu: bool

    @property
    def is_narrow(self) -> bool:
        """Whether the operands are bytes or 16-bit floats, which few libraries multiply as such."""
        return self.x.dtype.itemsize < 4

    @property
    def kernel(self) -> Pair:
        """The weight's height and width."""
        return self.weight.shape[2], self.weight.shape[3]

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel has a kernel of its own."""
        return self.groups > 1 and self.groups == self.weight.shape[0] == self.x.shape[1]

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Of the NCHW result."""
        height, width = _windows(self.x, self.kernel, self.stride, self.padding)
        return self.x.shape[0], self.weight.shape[0], height, width


@dataclass(frozen=True, slots=True)
class MaxPool:
    """The maximum of each window of an NCHW image."""

    x: Array
    kernel: Pair
    stride: Pair
    padding: Pair

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Of the NCHW result."""
        height, width = _windows(self.x, self.kernel, self.stride, self.padding)
        return self.x.shape[0], self.x.shape[1], height, width


@dataclass(frozen=True, slots=True)
class Other:
    """Any other operator: as it is named, with its parameters.

    Attributes:
        op: its name.
        arguments: its parameters.
        arrays: its inputs.
        result: shape and type of what it computes.
    """

    op: str
    arguments: Mapping[str, Any]
    arrays: tuple[Array, ...]
    result: tuple[tuple[int, ...], np.dtype[Any]]


Problem = Product | Convolution | MaxPool | Other


def describe(task: Task, arrays: Sequence[Array], expected: Array) -> Problem:
    """The problem of a task on its arrays, and what it should compute.

    Raises:
        ProblemError: no library is compared on such a workload.
    """
    op, arguments = task.workload.op, dict(task.workload.arguments)
    if op in ("matmul", "batch_matmul", "dense") and not arguments.get("epilogue"):
        is_transposed = op == "dense" or bool(arguments["transpose_b"])
        if not arguments.get("transpose_a"):
            return Product(arrays[0], arrays[1], is_transposed, "weight" in task.constants)
    if op in ("conv2d", "depthwise_conv2d", "max_pool2d") and np.all(np.array(arguments["dilation"]) == 1):
        x, *others = arrays
        image = images_first(task, x)
        if op != "max_pool2d":
            return _convolution(arguments, [image, *others], op == "depthwise_conv2d")
        sizes = (_pair(arguments[name]) for name in ("kernel", "stride", "padding"))
        return MaxPool(image, *sizes)
    if arguments.get("epilogue") or task.reference is None or op in OF_OTHER_KINDS:
        raise ProblemError(f"no library is compared on {task.workload}")
    dtype = arrays[0].dtype if expected.dtype.kind == "f" else expected.dtype
    return Other(op, arguments, tuple(arrays), (expected.shape, dtype))


def images_first(task: Task, array: Array) -> Array:
    """An array of a task's layout with each channel's image contiguous, as problems have it."""
    is_last = task.workload.op in OF_OTHER_KINDS and task.workload.arguments.get("layout") == "NHWC"
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if is_last else array


def _convolution(arguments: dict[str, Any], arrays: Sequence[Array], is_depthwise: bool) -> Convolution:
    epilogue = tuple(arguments["epilogue"])
    if epilogue not in ((), ("bias",), ("relu",), ("bias", "relu")):
        raise ProblemError(f"no library is compared with the epilogue {epilogue}")
    x, weight, *operands = arrays
    return Convolution(
        x,
        weight[:, None] if is_depthwise else weight,
        _pair(arguments["stride"]),
        _pair(arguments["padding"]),
        x.shape[1] if is_depthwise else arguments["groups"],
        operands[0] if operands else None,
        "relu" in epilogue,
    )


def _pair(value: Any) -> Pair:
    if isinstance(value, int):
        return value, value
    if len(value) != 2:
        raise ProblemError(f"no library is compared with the padding {value}")
    return value[0], value[1]


def _windows(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    height, width = (
        (size + 2 * pad - span) // step + 1
        for size, pad, span, step in zip(x.shape[2:], padding, kernel, stride, strict=True)
    )
    return height, width
