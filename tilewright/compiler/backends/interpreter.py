"""A slow, obvious evaluator of loop nests: the oracle of the compiled backends.

Arithmetic is Python's own, floats in double precision; storing rounds to the buffer's type. Every index is
checked, so a nest that would read or write outside a buffer raises instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler.ir.loops import (
    Alloc,
    Assign,
    Block,
    Buffer,
    For,
    If,
    Intrinsic,
    LoopNest,
    Stmt,
    Store,
    allocated,
)
from tilewright.compiler.ir.visit import parts
from tilewright.compiler.te.expr import (
    FLOATS,
    INTEGER_LIMITS,
    Binary,
    Call,
    Cast,
    Const,
    Expr,
    Load,
    Select,
    Unary,
    Var,
)
from tilewright.compiler.te.storage import storage_dtype
from tilewright.compiler.te.words import dot_dtypes, join_parts, multiply_words

Array = npt.NDArray[Any]
Scalar = Any


def interpret(nest: LoopNest, inputs: Sequence[Array]) -> list[Array]:
    """Run a nest on arrays; the outputs, as new arrays."""
    shaped = [array.reshape(b.shape) for b, array in zip(nest.inputs, inputs, strict=True)]
    arrays: dict[Buffer, Array] = dict(zip(nest.inputs, shaped, strict=True))
    for buffer in nest.outputs:
        arrays[buffer] = _poisoned(buffer)
    with np.errstate(all="ignore"):
        _Interpreter(arrays, {}).run(nest.body)
    return [arrays[buffer] for buffer in nest.outputs]


def _poisoned(buffer: Buffer) -> Array:
    """Memory in which an element that was never written shows."""
    dtype = storage_dtype(buffer.dtype)
    value = math.nan if buffer.dtype in FLOATS else True if buffer.dtype == "bool" else 77
    return np.full(buffer.shape, value, dtype)


class _Interpreter:
    def __init__(self, arrays: dict[Buffer, Array], values: dict[Var, int]) -> None:
        self.arrays = arrays
        self.values = values

    def run(self, stmt: Stmt) -> None:
        """Run a statement; a prefetch does nothing."""
        match stmt:
            case Store():
                self.store(stmt, self.evaluate(stmt.value))
            case Assign():
                self.assign(stmt)
            case Block() | Intrinsic():
                for part in parts(stmt):
                    self.run(part)
            case For():
                for value in range(self.evaluate(stmt.begin), self.evaluate(stmt.end)):
                    self.values[stmt.var] = value
                    self.run(stmt.body)
            case If():
                self.run_if(stmt)
            case Alloc():
                buffers, body = allocated(stmt)
                self.arrays |= {buffer: _poisoned(buffer) for buffer in buffers}
                self.run(body)

    def assign(self, stmt: Assign) -> None:
        values = [self.evaluate(store.value) for store in stmt.stores]
        for store, value in zip(stmt.stores, values, strict=True):
            self.store(store, value)

    def run_if(self, stmt: If) -> None:
        if self.evaluate(stmt.condition):
            self.run(stmt.then)
        elif stmt.otherwise is not None:
            self.run(stmt.otherwise)

    def position(self, buffer: Buffer, indices: Sequence[Expr]) -> tuple[int, ...]:
        position = tuple(self.evaluate(index) for index in indices)
        for at, extent in zip(position, buffer.shape, strict=True):
            if not 0 <= at < extent:
                raise IndexError(f"{buffer.name}{list(position)} lies outside its shape {buffer.shape}")
        return position

    def store(self, store: Store, value: Scalar) -> None:
        self.arrays[store.buffer][self.position(store.buffer, store.indices)] = value

    def evaluate(self, expr: Expr) -> Scalar:
        match expr:
            case Const():
                return expr.value
            case Var():
                return self.values[expr]
            case Load():
                assert isinstance(expr.source, Buffer)
                value = self.arrays[expr.source][self.position(expr.source, expr.indices)]
                return float(value) if expr.dtype in FLOATS else value.item()
            case Binary():
                return self.binary(expr)
            case Select():
                chosen = expr.then if self.evaluate(expr.condition) else expr.otherwise
                return self.evaluate(chosen)
            case Cast():
                return cast_scalar(self.evaluate(expr.value), expr.dtype)
            case Unary():
                value = self.evaluate(expr.value)
                return not value if expr.op == "not" else wrap(-value, expr.dtype)
            case Call():
                return self.call(expr)
            case _:
                raise TypeError(f"not a scalar expression: {expr}")

    def call(self, expr: Call) -> Scalar:
        values = [self.evaluate(arg) for arg in expr.args]
        dtypes = dot_dtypes(expr)
        if expr.name == "word":
            return join_parts(values, expr.args[0].dtype)
        if dtypes is not None:
            return wrap(multiply_words(values[0], values[1], dtypes), expr.dtype)
        return wrap(call_math(expr.name, *values), expr.dtype)

    def binary(self, expr: Binary) -> Scalar:
        a = self.evaluate(expr.a)
        if expr.op in ("and", "or"):
            return self.evaluate(expr.b) if bool(a) == (expr.op == "and") else a
        return wrap(BINARY[expr.op](a, self.evaluate(expr.b)), expr.dtype)


def wrap(value: Scalar, dtype: str) -> Scalar:
    """An integer as its type holds it: what is too large begins again from below."""
    if dtype not in INTEGER_LIMITS:
        return value
    low, high = INTEGER_LIMITS[dtype]
    return value if low <= value <= high else (value - low) % (high - low + 1) + low


def cast_scalar(value: Scalar, dtype: str) -> Scalar:
    """Convert as the compiled code does: floats to integers by truncation, integers by wrapping."""
    if dtype == "bool":
        return bool(value)
    if dtype in FLOATS:
        return float(np.asarray(value, storage_dtype(dtype)))
    return int(np.asarray(math.trunc(value)).astype(dtype))


def _divide(a: float, b: float) -> float:
    return float(np.divide(a, b))


def _extremum(pick: Callable[[Any, Any], Any]) -> Callable[[Scalar, Scalar], Scalar]:
    return lambda a, b: a if a != a else b if b != b else pick(a, b)


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "//": lambda a, b: a // b if b else 0,
    "%": lambda a, b: a % b if b else 0,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "min": _extremum(min),
    "max": _extremum(max),
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def call_math(name: str, *args: float) -> Scalar:
    """A mathematical function in double precision."""
    if name == "erf":
        return math.erf(args[0])
    return np.asarray(MATH[name](*args)).item()


MATH: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "log": np.log,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: np.divide(1.0, np.sqrt(x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: np.divide(1.0, 1.0 + np.exp(-x)),
    "sin": np.sin,
    "cos": np.cos,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "trunc": np.trunc,
    "abs": np.abs,
    "pow": np.power,
}
