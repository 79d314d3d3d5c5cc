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
from tilewright.compiler.te import Tensor
from tilewright.templates.errors import WorkloadError
from tilewright.templates.functions import CLIP, FUNCTIONS, LEAKY_RELU, Function

Array = npt.NDArray[Any]

_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+))"
_CLIP = re.compile(f"clip:{_NUMBER}:{_NUMBER}", re.ASCII)
_LEAKY = re.compile(f"leaky_relu:{_NUMBER}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Operand:
    """A function of the element and of one more operand: a vector over the channels, or a whole tensor."""

    name: str
    join: Callable[[Any, Any], Any]
    is_vector: bool


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
NAMES = (*OPERANDS, *FUNCTIONS, "leaky_relu:SLOPE", "clip:LOW:HIGH")


def parse_epilogue(epilogue: Sequence[str]) -> tuple[Function | Operand, ...]:
    """The steps that names stand for.

    Raises:
        WorkloadError: one of them is no such name.
    """
    return tuple(_step(name) for name in epilogue)


def is_costly(epilogue: Sequence[str]) -> bool:
    """Whether an element takes tens of instructions, too many to write out for each of a register tile."""
    return any(isinstance(step, Function) and step.is_costly for step in parse_epilogue(epilogue))


def apply_epilogue(tensor: Tensor, epilogue: Sequence[str], channel: int = -1) -> Finished:
    """Extend a tensor by its epilogue, all of it one more stage; ``channel`` is the axis of its vectors."""
    steps = parse_epilogue(epilogue)
    if not steps:
        return Finished(tensor, ())
    places = channel % tensor.ndim
    vector, seen = tensor.shape[places : places + 1], tensor.op.argument_shape
    operands = tuple(
        te.placeholder(vector, tensor.dtype, name=step.name)
        if step.is_vector
        else te.placeholder(tensor.shape, tensor.dtype, name=step.name, argument_shape=seen)
        for step in steps
        if isinstance(step, Operand)
    )

    def element(*index: te.IterVar) -> te.Expr:
        value: te.Expr = tensor[index]
        left = iter(operands)
        for step in steps:
            if isinstance(step, Function):
                value = step.express(value)
            else:
                value = step.join(value, next(left)[index[places] if step.is_vector else index])
        return value

    name = f"{tensor.name}.finished"
    return Finished(te.compute(tensor.shape, element, name=name, argument_shape=seen), operands)


def finish(result: Array, epilogue: Sequence[str], operands: Sequence[Array], channel: int = -1) -> Array:
    """The epilogue in NumPy."""
    left = iter(operands)
    shape = [1] * result.ndim
    shape[channel] = -1
    for step in parse_epilogue(epilogue):
        if isinstance(step, Function):
            result = step.compute(result)
        else:
            operand = next(left)
            result = step.join(result, operand.reshape(shape) if step.is_vector else operand)
    return np.asarray(result)


def _step(name: str) -> Function | Operand:
    step = FUNCTIONS.get(name) or OPERANDS.get(name)
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
    return _fix(CLIP, low, high)


def _fix(function: Function, *numbers: float) -> Function:
    """A function of one argument: the others are the numbers."""
    return Function(lambda x: function.express(x, *numbers), lambda x: function.compute(x, *numbers))
