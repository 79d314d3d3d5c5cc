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
Action = Callable[[], None]
Evaluation = Callable[[], Scalar]


def interpret(nest: LoopNest, inputs: Sequence[Array]) -> list[Array]:
    """Run a nest on arrays; the outputs, as new arrays."""
    shaped = [array.reshape(b.shape) for b, array in zip(nest.inputs, inputs, strict=True)]
    arrays: dict[Buffer, Array] = dict(zip(nest.inputs, shaped, strict=True))
    for buffer in nest.outputs:
        arrays[buffer] = _poisoned(buffer)
    with np.errstate(all="ignore"):
        _Interpreter(arrays).statement(nest.body)()
    return [arrays[buffer] for buffer in nest.outputs]


def _poisoned(buffer: Buffer) -> Array:
    """Memory in which an element that was never written shows."""
    dtype = storage_dtype(buffer.dtype)
    value = math.nan if buffer.dtype in FLOATS else True if buffer.dtype == "bool" else 77
    return np.full(buffer.shape, value, dtype)


class _Interpreter:
    """Makes a function of each statement and expression once, since a loop asks for it many times."""

    def __init__(self, arrays: dict[Buffer, Array]) -> None:
        self.arrays = arrays
        self.values: dict[Var, list[int]] = {}

    def statement(self, stmt: Stmt) -> Action:
        """What runs a statement; a prefetch does nothing."""
        match stmt:
            case Store():
                return self.assign([stmt])
            case Assign():
                return self.assign(stmt.stores)
            case Block() | Intrinsic():
                return self.sequence(parts(stmt))
            case For():
                return self.loop(stmt)
            case If():
                return self.choice(stmt)
            case Alloc():
                return self.allocation(stmt)
            case _:
                return _nothing

    def assign(self, stores: Sequence[Store]) -> Action:
        """All values are known before the first is stored."""
        values = [self.value(store.value) for store in stores]
        places = [(store.buffer, self.position(store.buffer, store.indices)) for store in stores]

        def run() -> None:
            known = [value() for value in values]
            for (buffer, position), value in zip(places, known, strict=True):
                self.arrays[buffer][position()] = value

        return run

    def sequence(self, stmts: Sequence[Stmt]) -> Action:
        actions = [self.statement(stmt) for stmt in stmts]

        def run() -> None:
            for action in actions:
                action()

        return run

    def loop(self, stmt: For) -> Action:
        begin, end, body = self.value(stmt.begin), self.value(stmt.end), self.statement(stmt.body)
        value = self.values.setdefault(stmt.var, [0])

        def run() -> None:
            for value[0] in range(begin(), end()):
                body()

        return run

    def choice(self, stmt: If) -> Action:
        condition, then = self.value(stmt.condition), self.statement(stmt.then)
        otherwise = _nothing if stmt.otherwise is None else self.statement(stmt.otherwise)
        return lambda: then() if condition() else otherwise()

    def allocation(self, stmt: Alloc) -> Action:
        buffers, inside = allocated(stmt)
        body = self.statement(inside)

        def run() -> None:
            self.arrays |= {buffer: _poisoned(buffer) for buffer in buffers}
            body()

        return run

    def position(self, buffer: Buffer, indices: Sequence[Expr]) -> Callable[[], tuple[int, ...]]:
        values, shape = [self.value(index) for index in indices], buffer.shape

        def run() -> tuple[int, ...]:
            position = tuple([value() for value in values])
            for at, extent in zip(position, shape, strict=True):
                if not 0 <= at < extent:
                    raise IndexError(f"{buffer.name}{list(position)} lies outside its shape {shape}")
            return position

        return run

    def value(self, expr: Expr) -> Evaluation:
        """What evaluates an expression."""
        match expr:
            case Const():
                return lambda: expr.value
            case Var():
                cell = self.values.setdefault(expr, [0])
                return lambda: cell[0]
            case Load():
                return self.load(expr)
            case Binary():
                return self.binary(expr)
            case Select():
                condition, then, otherwise = map(self.value, (expr.condition, expr.then, expr.otherwise))
                return lambda: then() if condition() else otherwise()
            case Cast():
                value = self.value(expr.value)
                return lambda: cast_scalar(value(), expr.dtype)
            case Unary():
                value = self.value(expr.value)
                return (lambda: not value()) if expr.op == "not" else lambda: wrap(-value(), expr.dtype)
            case Call():
                return self.call(expr)
            case _:
                raise TypeError(f"not a scalar expression: {expr}")

    def load(self, expr: Load) -> Evaluation:
        assert isinstance(expr.source, Buffer)
        buffer, position = expr.source, self.position(expr.source, expr.indices)
        if expr.dtype in FLOATS:
            return lambda: float(self.arrays[buffer][position()])
        return lambda: self.arrays[buffer][position()].item()

    def call(self, expr: Call) -> Evaluation:
        values = [self.value(arg) for arg in expr.args]
        dtypes = dot_dtypes(expr)
        if expr.name == "word":
            return lambda: join_parts([value() for value in values], expr.args[0].dtype)
        if dtypes is not None:
            a, b = values
            return lambda: wrap(multiply_words(a(), b(), dtypes), expr.dtype)
        return lambda: wrap(call_math(expr.name, *[value() for value in values]), expr.dtype)

    def binary(self, expr: Binary) -> Evaluation:
        a, b = self.value(expr.a), self.value(expr.b)
        if expr.op == "and":
            return lambda: a() and b()
        if expr.op == "or":
            return lambda: a() or b()
        operation, dtype = BINARY[expr.op], expr.dtype
        if dtype in INTEGER_LIMITS:
            return lambda: wrap(operation(a(), b()), dtype)
        return lambda: operation(a(), b())


def _nothing() -> None:
    """What a prefetch, or a missing branch, does."""


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
