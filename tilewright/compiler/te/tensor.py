"""Tensors and the operations that define them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from tilewright.compiler.errors import ExpressionError
from tilewright.compiler.te.depth import refused_depth
from tilewright.compiler.te.expr import (
    DTYPES,
    Expr,
    ExprLike,
    IterVar,
    Load,
    Reduce,
    as_expr,
    children,
    dtype_name,
)

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")


class PlaceholderOp:
    """An input of the program."""

    __slots__ = ("argument_shape", "dtype", "name", "shape", "tag", "values")

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        argument_shape: tuple[int, ...] | None = None,
        values: tuple[float, float] | None = None,
    ) -> None:
        self.values = values  # what an element may be, where not all is meant
        # That of the array that a caller passes.
        self.argument_shape = shape if argument_shape is None else argument_shape
        self.name = name
        self.tag = ""
        self.shape = shape
        self.dtype = dtype

    @property
    def axis(self) -> tuple[IterVar, ...]:
        """A placeholder has no axes of its own."""
        return ()

    reduce_axis = axis
    input_tensors = axis

    def output(self, number: int = 0) -> Tensor:
        """The tensor that it defines."""
        return _only_output(self, number)


class ComputeOp:
    """A tensor defined element by element: ``body`` at every point of ``axis``."""

    __slots__ = ("argument_shape", "axis", "body", "flops", "name", "tag")

    def __init__(
        self,
        name: str,
        axis: Sequence[IterVar],
        body: Expr,
        flops: float | None = None,
        tag: str = "",
        argument_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.name = name
        self.tag = tag
        self.flops = flops  # what the author says that it costs
        self.axis = tuple(axis)
        self.body = body
        # That of the array that a caller gets.
        self.argument_shape = self.shape if argument_shape is None else argument_shape

    @property
    def reduce_axis(self) -> tuple[IterVar, ...]:
        """The axes that the body reduces over."""
        return self.body.axes if isinstance(self.body, Reduce) else ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the output."""
        return tuple(axis.extent for axis in self.axis)

    @property
    def dtype(self) -> str:
        """Element type of the output."""
        return self.body.dtype

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that the body reads, each once, in order of first appearance."""
        return tuple(dict.fromkeys(load.source for load in loads(self.body)))  # type: ignore[misc]

    @property
    def input_tensors(self) -> tuple[Tensor, ...]:
        """The same under TVM's name."""
        return self.inputs

    def output(self, number: int = 0) -> Tensor:
        """The tensor that it defines."""
        return _only_output(self, number)


Operation = PlaceholderOp | ComputeOp


def _only_output(op: Operation, number: int) -> Tensor:
    if number != 0:
        raise ExpressionError(f"{op.name}.output({number}): an operation defines one tensor, output(0)")
    return Tensor(op)


class Tensor:
    """A dense array in a program; indexing it in a computation reads an element."""

    __slots__ = ("dtype", "op", "shape")

    def __init__(self, op: Operation) -> None:
        self.op = op
        self.shape = op.shape
        self.dtype = op.dtype

    @property
    def name(self) -> str:
        """The name of the operation that defines it."""
        return self.op.name

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def __getitem__(self, indices: ExprLike | tuple[ExprLike, ...]) -> Any:
        index = indices if isinstance(indices, tuple) else (indices,)
        if len(index) < len(self.shape):
            return TensorSlice(self, index)
        if len(index) != len(self.shape):
            raise ExpressionError(f"{self.name} has {len(self.shape)} dimensions, {len(index)} indices given")
        exprs = tuple(as_expr(i) for i in index)
        for expr in exprs:
            if expr.dtype not in ("int64", "int32", "int8", "uint8"):
                raise ExpressionError(f"{self.name}[{expr}]: an index must be an integer, not {expr.dtype}")
        return Load(self, tuple(e.astype("int64") for e in exprs))

    def __call__(self, *indices: ExprLike) -> Any:
        """The element at the indices, as indexing gives it."""
        return self[indices]

    def __repr__(self) -> str:
        return f"Tensor({self.name}, shape={self.shape}, dtype={self.dtype})"


class TensorSlice:
    """A tensor with its first indices given; indexing goes on: ``A[i][j]`` is ``A[i, j]``."""

    __slots__ = ("indices", "tensor")

    def __init__(self, tensor: Tensor, indices: tuple[ExprLike, ...]) -> None:
        self.tensor = tensor
        self.indices = indices

    def __getitem__(self, indices: ExprLike | tuple[ExprLike, ...]) -> Any:
        return self.tensor[(*self.indices, *(indices if isinstance(indices, tuple) else (indices,)))]


def loads(expr: Expr) -> Iterator[Load]:
    """Every read in an expression, outer before inner."""
    if isinstance(expr, Load):
        yield expr
    for child in children(expr):
        yield from loads(child)


def _check_shape(name: str, shape: Sequence[object]) -> tuple[int, ...]:
    if not isinstance(shape, Iterable):
        raise ExpressionError(f"{name}: shape must be a list of extents, such as (4, 8), not {shape!r}")
    extents: list[int] = []
    for extent in shape:
        if isinstance(extent, Expr):
            raise ExpressionError(f"{name}: extent {extent} is symbolic; shapes are static, give integers")
        if isinstance(extent, bool) or not isinstance(extent, (int, np.integer)) or extent < 1:
            raise ExpressionError(f"{name}: extent {extent!r} must be a positive integer")
        extents.append(int(extent))
    return tuple(extents)


def check_name(name: str) -> str:
    """Refuse a name that could not stand in source code.

    Raises:
        ExpressionError: naming it.
    """
    if not NAME.match(name):
        raise ExpressionError(f"name {name!r}: use letters, digits, '_' and '.', starting with a letter")
    return name


def placeholder(
    shape: Sequence[int],
    dtype: str = "float32",
    name: str = "placeholder",
    argument_shape: Sequence[int] | None = None,
    values: tuple[float, float] | None = None,
) -> Tensor:
    """An input tensor of a static shape.

    Args:
        shape: its extents.
        dtype: of its elements.
        name: for messages, schedules and printed nests.
        argument_shape: that of the array that a kernel is called with, of the same elements in the same
            order; ``shape`` unless given.
        values: the least element that is meant, and one that is above all, as ``(0, n)`` for indices; what
            is measured gets such elements. A kernel does not check them.
    """
    dtype = dtype_name(dtype)
    if dtype not in DTYPES:
        raise ExpressionError(f"{name}: unknown dtype {dtype!r}: choose one of {', '.join(DTYPES)}")
    extents = _check_shape(name, shape)
    seen = _check_argument_shape(name, extents, argument_shape)
    if values is not None and not values[0] < values[1]:
        raise ExpressionError(f"{name}: values={values}: the least element comes first, and is less")
    return Tensor(PlaceholderOp(check_name(name), extents, dtype, seen, values))


def _check_argument_shape(
    name: str, shape: tuple[int, ...], argument_shape: Sequence[int] | None
) -> tuple[int, ...] | None:
    if argument_shape is None:
        return None
    seen = _check_shape(name, argument_shape)
    if prod(seen) != prod(shape):
        raise ExpressionError(f"{name}: an argument of shape {seen} has not as many elements as {shape}")
    return seen


def compute(
    shape: Sequence[int],
    fcompute: Callable[..., ExprLike],
    name: str = "compute",
    tag: str = "",
    attrs: Mapping[str, Any] | None = None,
    argument_shape: Sequence[int] | None = None,
) -> Tensor:
    """A tensor whose element at ``(i, j, ...)`` is ``fcompute(i, j, ...)``.

    The function may return a reduction (``te.sum``, ``te.fold``), but only as the whole of its result.

    Args:
        shape: its extents.
        fcompute: makes the element from the indices.
        name: for messages, schedules and printed nests.
        tag: a remark, kept as ``op.tag``.
        attrs: ``{"FLOP": n}`` states the operations of the whole tensor; other entries have no effect.
        argument_shape: that of the array that a kernel returns, of the same elements in the same order;
            ``shape`` unless given.
    """
    extents = _check_shape(name, shape)
    check_name(name)
    if not callable(fcompute):
        raise ExpressionError(f"{name}: fcompute must be a function of the indices, not {fcompute!r}")
    axes = tuple(IterVar(n, e) for n, e in zip(_axis_names(fcompute, len(extents)), extents, strict=True))
    body = as_expr(fcompute(*axes))
    parts = children(body) if isinstance(body, Reduce) else (body,)
    with refused_depth([name]):
        is_reduced_inside = any(_contains_reduce(part) for part in parts)
    if is_reduced_inside:
        raise ExpressionError(f"{name}: a reduction must be the whole body; compute it in a stage of its own")
    seen = _check_argument_shape(name, extents, argument_shape)
    return Tensor(ComputeOp(name, axes, body, (attrs or {}).get("FLOP"), tag, seen))


def _contains_reduce(expr: Expr) -> bool:
    return isinstance(expr, Reduce) or any(_contains_reduce(c) for c in children(expr))


def _axis_names(fcompute: Callable[..., ExprLike], count: int) -> list[str]:
    """The function's own parameter names, so that a printed nest reads like the source."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(fcompute).parameters.values()
    names = [p.name for p in parameters if p.kind in kinds]
    variadic = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
    if variadic:
        names += [f"i{n}" for n in range(len(names), count)]
    required = [p for p in parameters if p.kind in kinds and p.default is inspect.Parameter.empty]
    if not len(required) <= count <= len(names):
        raise ExpressionError(f"compute: the function takes {len(required)} indices, the shape has {count}")
    return names[:count]


def reduce_axis(dom: tuple[int, int], name: str = "k") -> IterVar:
    """An axis to reduce over, ``dom = (0, extent)``."""
    try:
        begin, end = dom
    except (TypeError, ValueError):
        raise ExpressionError(f"reduce_axis {name}: dom must be (0, extent), not {dom!r}") from None
    if begin != 0:
        raise ExpressionError(f"reduce_axis {name}: the domain must begin at 0, not {begin}; shift the index")
    return IterVar(check_name(name), _check_shape(name, (end,))[0], "reduce")
