"""Functions of single elements, each once as an expression and once in NumPy.

Epilogues and the chains of ``elementwise`` are made of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.te.expr import ExprLike

Array = npt.NDArray[Any]

_ERF = np.vectorize(math.erf, otypes=[np.float64])
# gelu's approximation by a tangent is x * sigmoid(x * (x * x * GELU_CUBE + GELU_SCALE)): Hendrycks and
# Gimpel, "Gaussian Error Linear Units", 2016, with 0.5 * (1 + tanh(t)) = sigmoid(2 * t).
_GELU_SCALE = 2 * math.sqrt(2 / math.pi)
_GELU_CUBE = 0.044715 * _GELU_SCALE
_LOG2_E = math.log2(math.e)


@dataclass(frozen=True, slots=True)
class Function:
    """A function of elements.

    Attributes:
        express: makes the expression from those of the arguments, which may also be numbers.
        compute: the same of arrays and numbers.
        is_costly: whether it takes tens of instructions.
        arguments: how many it has.
        positive: the place of an argument that ought to be above zero.
    """

    express: Callable[..., te.Expr]
    compute: Callable[..., Array]
    is_costly: bool = False
    arguments: int = 1
    positive: int | None = None


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _ramp(x: te.Expr) -> te.Expr:
    return te.minimum(te.maximum(x * (1 / 6) + 0.5, 0), 1)


def _gate(x: te.Expr, negated: te.Expr) -> te.Expr:
    """``x / (1 + 2**negated)``, by one division: less than the steps that make a sigmoid exact."""
    return x / (te.exp2(negated) + 1)


def _gelu_tanh(x: Array) -> Array:
    return np.asarray(x * _sigmoid(x * (x * x * _GELU_CUBE + _GELU_SCALE)))


def _power(x: ExprLike, y: ExprLike) -> te.Expr:
    """``x`` to the power of ``y``; squares and cubes, of any type, by multiplication."""
    if isinstance(x, te.Expr) and isinstance(y, int | float) and y in (2, 3):
        return x * x if y == 2 else x * x * x
    return te.power(x, y)


FUNCTIONS = {
    "relu": Function(lambda x: te.maximum(x, 0), lambda x: np.maximum(x, 0)),
    "relu6": Function(lambda x: te.minimum(te.maximum(x, 0), 6), lambda x: np.clip(x, 0, 6)),
    "sigmoid": Function(te.sigmoid, _sigmoid, is_costly=True),
    "tanh": Function(te.tanh, np.tanh, is_costly=True),
    "gelu": Function(
        lambda x: x * 0.5 + x * 0.5 * te.erf(x * math.sqrt(0.5)),
        lambda x: 0.5 * x * (1 + _ERF(x * math.sqrt(0.5))),
        is_costly=True,
    ),
    "gelu_tanh": Function(
        lambda x: _gate(x, x * (-_LOG2_E * _GELU_SCALE + x * x * (-_LOG2_E * _GELU_CUBE))),
        _gelu_tanh,
        is_costly=True,
    ),
    "silu": Function(lambda x: _gate(x, x * -_LOG2_E), lambda x: x * _sigmoid(x), is_costly=True),
    "hardsigmoid": Function(lambda x: _ramp(x), lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    "hardswish": Function(lambda x: x * _ramp(x), lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "abs": Function(te.abs, np.abs),
    "sqrt": Function(te.sqrt, np.sqrt, positive=0),
    "rsqrt": Function(te.rsqrt, lambda x: 1 / np.sqrt(x), positive=0),
    "floor": Function(te.floor, np.floor),
    "ceil": Function(te.ceil, np.ceil),
    "round": Function(te.round, np.round),
    "trunc": Function(te.trunc, np.trunc),
    "exp": Function(te.exp, np.exp, is_costly=True),
    "log": Function(te.log, np.log, is_costly=True, positive=0),
    "sin": Function(te.sin, np.sin, is_costly=True),
    "cos": Function(te.cos, np.cos, is_costly=True),
    "erf": Function(te.erf, _ERF, is_costly=True),
}
CLIP = Function(
    lambda x, low, high: te.minimum(te.maximum(x, low), high),
    lambda x, low, high: np.clip(x, low, high),
    arguments=3,
)
# A choice between expressions would write the code of x twice, one of bounds shares it.
LEAKY_RELU = Function(
    lambda x, slope: te.maximum(x, 0) + te.minimum(x, 0) * slope,
    lambda x, slope: np.where(x >= 0, x, x * slope),
    arguments=2,
)
FUNCTIONS_OF_SEVERAL = {
    "min": Function(te.minimum, np.minimum, arguments=2),
    "max": Function(te.maximum, np.maximum, arguments=2),
    "pow": Function(_power, np.power, is_costly=True, arguments=2, positive=0),
    "where": Function(te.if_then_else, np.where, arguments=3),
    "clip": CLIP,
    "leaky_relu": LEAKY_RELU,
}
