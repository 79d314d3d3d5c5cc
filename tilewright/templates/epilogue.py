"""Epilogues: what is done with each element of an operator's result before it is stored.

An epilogue is plain data, a tuple of names such as ``("bias", "relu")``, and part of the workload. Nothing in
it is evaluated: a name is one of the list below, or has its numbers with it, as in ``clip:-1:1``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.errors import ExpressionError
from tilewright.compiler.te import Tensor
from tilewright.compiler.te.expr import FLOATS
from tilewright.templates.errors import WorkloadError
from tilewright.templates.expression_size import check_size
from tilewright.templates.functions import CLIP, FUNCTIONS, LEAKY_RELU, Function
from tilewright.templates.requantize import Requantize, parse_requantize

Array = npt.NDArray[Any]

_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+))"
_CLIP = re.compile(f"clip:{_NUMBER}:{_NUMBER}", re.ASCII)
_LEAKY = re.compile(f"leaky_relu:{_NUMBER}", re.ASCII)
_BYTES = ("int8", "uint8")


@dataclass(frozen=True, slots=True)
class Operand:
    """A function of the element and of one more operand: a vector over the channels, or a whole tensor."""

    name: str
    join: Callable[[Any, Any], Any]
    is_vector: bool


Step = Function | Operand | Requantize


@dataclass(frozen=True, slots=True)
class Finished:
    """A result with its epilogue: ``output`` is the last stage, ``operands`` are what a call takes beside."""

    output: Tensor
    operands: tuple[Tensor, ...]


OPERANDS = {
    "bias": Operand("bias", lambda x, y: x + y, is_vector=True),
    "scale": Operand("scale", lambda x, y: x * y, is_vector=True),
    "add": Operand("residual", lambda x, y: x + y, is_vector=False),
    "mul": Operand("factor", lambda x, y: x * y, is_vector=False),
}
NAMES = (
    *OPERANDS,
    *FUNCTIONS,
    "leaky_relu:SLOPE",
    "clip:LOW:HIGH",
    "requantize:DTYPE",
    "requantize:DTYPE:tensor",
)


def parse_epilogue(epilogue: Sequence[str]) -> tuple[Step, ...]:
    """The steps that names stand for.

    Raises:
        WorkloadError: one of them is no such name, or follows what makes bytes of the element.
    """
    steps = tuple(_step(name) for name in epilogue)
    if any(isinstance(step, Requantize) for step in steps[:-1]):
        raise WorkloadError(f"epilogue: {', '.join(epilogue)}: nothing can follow requantize")
    return steps


def is_costly(epilogue: Sequence[str]) -> bool:
    """Whether an element takes tens of instructions, too many to write out for each of a register tile."""
    return any(isinstance(step, Function) and step.is_costly for step in parse_epilogue(epilogue))


def apply_epilogue(
    tensor: Tensor, epilogue: Sequence[str], channel: int = -1, dtype: str | None = None
) -> Finished:
    """Extend a tensor by its epilogue, all of it one more stage.

    ``channel`` is the axis of its vectors, ``dtype`` the type of the result and of the operands, which is the
    tensor's own unless it is given.

    Raises:
        WorkloadError: the epilogue is none, too long, or makes floats of integers.
    """
    steps = parse_epilogue(epilogue)
    dtype = dtype or tensor.dtype
    if not steps and dtype == tensor.dtype:
        return Finished(tensor, ())
    places, seen = channel % tensor.ndim, tensor.op.argument_shape
    operands = [_placeholders(step, tensor, places, dtype) for step in steps]

    def element(*index: te.IterVar) -> te.Expr:
        value: te.Expr = tensor[index]
        for label, step, given in zip(epilogue, steps, operands, strict=True):
            read = [_read(operand, index, places) for operand in given]
            if isinstance(step, Function):
                value = _express(label, step, value)
            elif isinstance(step, Operand):
                value = step.join(value, te.cast(tensor.dtype, read[0]))
            else:
                value = step.express(value, *read)
        check_size(value, f"epilogue: {_brief(epilogue)}")
        return value if value.dtype in _BYTES else te.cast(dtype, value)

    name = f"{tensor.name}.finished"
    output = te.compute(tensor.shape, element, name=name, argument_shape=seen)
    return Finished(output, tuple(operand for given in operands for operand in given))


def _express(label: str, step: Function, value: te.Expr) -> te.Expr:
    """A function of a value; integers are to stay such, or the result would be what a cast leaves of it.

    Raises:
        WorkloadError: they do not.
    """
    if value.dtype in FLOATS:
        return step.express(value)
    try:
        found = step.express(value)
    except ExpressionError:
        found = None
    if found is None or found.dtype != value.dtype:
        raise WorkloadError(
            f"epilogue: {label}: it makes floats of {value.dtype}; leave it out, and compute it of the result"
            " with elementwise, or of what requantize has made"
        )
    return found


def _placeholders(step: Step, tensor: Tensor, channel: int, dtype: str) -> tuple[Tensor, ...]:
    """What a step takes beside the element."""
    if isinstance(step, Function):
        return ()
    if isinstance(step, Requantize):
        return step.placeholders(tensor.shape[channel])
    if step.is_vector:
        return (te.placeholder(tensor.shape[channel : channel + 1], dtype, name=step.name),)
    return (te.placeholder(tensor.shape, dtype, name=step.name, argument_shape=tensor.op.argument_shape),)


def _read(operand: Tensor, index: Sequence[te.IterVar], channel: int) -> te.Expr:
    """The element of an operand: of its channel, at the same place, or the only one."""
    if operand.ndim == len(index) and operand.ndim > 1:
        return te.Load(operand, index)
    return te.Load(operand, [index[channel] if operand.shape[0] > 1 else te.const(0)])


def finish(result: Array, epilogue: Sequence[str], operands: Sequence[Array], channel: int = -1) -> Array:
    """The epilogue in NumPy."""
    left = iter(operands)
    shape = [1] * result.ndim
    shape[channel] = -1
    for step in parse_epilogue(epilogue):
        if isinstance(step, Function):
            result = step.compute(result)
        elif isinstance(step, Requantize):
            result = step.compute(result, next(left).reshape(shape), next(left))
        else:
            operand = next(left)
            result = step.join(result, operand.reshape(shape) if step.is_vector else operand)
    return np.asarray(result)


def _brief(epilogue: Sequence[str]) -> str:
    """The names, the first ones of many."""
    return ", ".join((*epilogue[:8], "...") if len(epilogue) > 8 else epilogue)


def _step(name: str) -> Step:
    step = FUNCTIONS.get(name) or OPERANDS.get(name) or parse_requantize(name)
    if step is not None:
        return step
    leaky = _LEAKY.fullmatch(name)
    if leaky is not None:
        return _fix(LEAKY_RELU, float(leaky[1]))
    match = _CLIP.fullmatch(name)
    if match is None:
        raise WorkloadError(f"epilogue: {name!r} is none of {', '.join(NAMES)}")
    low, high = float(match[1]), float(match[2])
    if low > high:
        raise WorkloadError(f"epilogue: {name!r}: the lower bound comes first")
    return _fix(CLIP, *(int(bound) if bound.is_integer() else bound for bound in (low, high)))


def _fix(function: Function, *numbers: float) -> Function:
    """A function of one argument: the others are the numbers."""
    return Function(lambda x: function.express(x, *numbers), lambda x: function.compute(x, *numbers))
