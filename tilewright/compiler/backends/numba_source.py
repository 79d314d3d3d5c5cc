"""Loop nests as readable Python under ``@njit``: for reading, debugging and a second opinion."""

from __future__ import annotations

import builtins
import keyword
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt

from tilewright.compiler.errors import CompileError
from tilewright.compiler.ir.loops import (
    Alloc,
    Assign,
    Block,
    Buffer,
    For,
    If,
    Intrinsic,
    LoopNest,
    Prefetch,
    Stmt,
    Store,
    allocated,
)
from tilewright.compiler.ir.visit import parts
from tilewright.compiler.te.expr import FLOATS, Binary, Call, Cast, Const, Expr, Load, Select, Unary, Var
from tilewright.compiler.te.storage import SHORT_FLOATS
from tilewright.compiler.te.words import dot_dtypes

Array = npt.NDArray[Any]
MATH = {
    "exp": "math.exp({})",
    "exp2": "np.exp2({})",
    "log": "math.log({})",
    "sqrt": "math.sqrt({})",
    "rsqrt": "(1 / math.sqrt({}))",
    "tanh": "math.tanh({})",
    "sigmoid": "(1 / (1 + math.exp(-({}))))",
    "erf": "math.erf({})",
    "sin": "math.sin({})",
    "cos": "math.cos({})",
    "floor": "np.floor({})",
    "ceil": "np.ceil({})",
    "round": "np.rint({})",
    "trunc": "np.trunc({})",
    "abs": "abs({})",
    "pow": "({}) ** ({})",
}


class _SourceWriter:
    """Writes a nest as Python source; names become identifiers, each used once."""

    def __init__(self, nest: LoopNest) -> None:
        self.nest = nest
        self.names: dict[Buffer | Var, str] = {}
        self.taken: set[str] = {"np", "math", "numba", "kernel", *dir(builtins)}

    def name(self, item: Buffer | Var) -> str:
        if item not in self.names:
            base = re.sub(r"\W", "_", item.name)
            base = f"{base}_" if keyword.iskeyword(base) else base
            unique, number = base, 1
            while unique in self.taken:
                unique, number = f"{base}_{number}", number + 1
            self.taken.add(unique)
            self.names[item] = unique
        return self.names[item]

    def write(self) -> str:
        arguments = ", ".join(self.name(b) for b in (*self.nest.inputs, *self.nest.outputs))
        body = self.lines(self.nest.body, 1)
        head = ["import math", "", "import numba", "import numpy as np", "", ""]
        return "\n".join([*head, '@numba.njit(error_model="numpy")', f"def kernel({arguments}):", *body, ""])

    def lines(self, stmt: Stmt, depth: int) -> list[str]:
        pad = "    " * depth
        match stmt:
            case Store():
                return [f"{pad}{self.element(stmt.buffer, stmt.indices)} = {self.stored(stmt)}"]
            case Assign():
                targets = ", ".join(self.element(s.buffer, s.indices) for s in stmt.stores)
                return [f"{pad}{targets} = {', '.join(self.stored(s) for s in stmt.stores)}"]
            case Block() | Intrinsic():
                return [line for part in parts(stmt) for line in self.lines(part, depth)]
            case For():
                limits = f"{self.expr(stmt.begin)}, {self.expr(stmt.end)}"
                return [
                    f"{pad}for {self.name(stmt.var)} in range({limits}):",
                    *self.lines(stmt.body, depth + 1),
                ]
            case If():
                lines = [f"{pad}if {self.expr(stmt.condition)}:", *self.lines(stmt.then, depth + 1)]
                if stmt.otherwise is not None:
                    lines += [f"{pad}else:", *self.lines(stmt.otherwise, depth + 1)]
                return lines
            case Prefetch():
                return [f"{pad}pass"]
            case Alloc():
                buffers, body = allocated(stmt)
                made = [
                    f"{pad}{self.name(b)} = np.empty({b.shape}, np.{_numpy_name(b.dtype)})" for b in buffers
                ]
                return [*made, *self.lines(body, depth)]
            case _:
                raise TypeError(f"not a statement: {type(stmt).__name__}")

    def element(self, buffer: Buffer, indices: Sequence[Expr]) -> str:
        return f"{self.name(buffer)}[{', '.join(self.expr(i) for i in indices)}]"

    def stored(self, store: Store) -> str:
        return f"np.{_numpy_name(store.buffer.dtype)}({self.expr(store.value)})"

    def expr(self, expr: Expr) -> str:
        match expr:
            case Const():
                return _literal(expr)
            case Var():
                return self.name(expr)
            case Load():
                assert isinstance(expr.source, Buffer)
                return self.element(expr.source, expr.indices)
            case Binary():
                return self.narrow(self.binary(expr), expr.dtype)
            case Select():
                parts = (expr.then, expr.condition, expr.otherwise)
                then, condition, otherwise = (self.expr(part) for part in parts)
                return f"({then} if {condition} else {otherwise})"
            case Cast():
                return f"np.{_numpy_name(expr.dtype)}({self.expr(expr.value)})"
            case Unary():
                sign = "not " if expr.op == "not" else "-"
                return self.narrow(f"({sign}{self.expr(expr.value)})", expr.dtype)
            case Call() if expr.name == "word" or dot_dtypes(expr):
                return self.words(expr)
            case Call():
                text = MATH[expr.name].format(*(self.expr(arg) for arg in expr.args))
                return self.narrow(text, expr.dtype)
            case _:
                raise TypeError(f"not a scalar expression: {expr}")

    def binary(self, expr: Binary) -> str:
        a, b = self.expr(expr.a), self.expr(expr.b)
        if expr.op in ("min", "max"):
            return f"{expr.op}({a}, {b})" if expr.dtype not in FLOATS else f"np.{expr.op}imum({a}, {b})"
        return f"({a} {expr.op} {b})"

    def words(self, expr: Call) -> str:
        """Parts joined to a word by shifts, or taken out of two words and multiplied."""
        dtypes = dot_dtypes(expr)
        for dtype in dtypes or (expr.args[0].dtype,):
            _numpy_name(dtype)
        args = [self.expr(arg) for arg in expr.args]
        places = range(0, 32, 8)
        if dtypes is None:
            parts = [f"(np.int64(np.uint8({a})) << {n})" for a, n in zip(args, places, strict=True)]
            return f"np.int32({' | '.join(parts)})"
        a, b = (
            [f"np.int64(np.{dtype}({text} >> {n}))" for n in places]
            for text, dtype in zip(args, dtypes, strict=True)
        )
        return f"np.int32({' + '.join(f'{x} * {y}' for x, y in zip(a, b, strict=True))})"

    def narrow(self, text: str, dtype: str) -> str:
        """An integer of the type's own width, which Numba's arithmetic widens."""
        return f"np.{dtype}({text})" if dtype in ("int8", "uint8", "int32") else text


def _numpy_name(dtype: str) -> str:
    if dtype in SHORT_FLOATS:
        raise CompileError(f"the numba backend has no {dtype}: use backend='llvm'")
    return "bool_" if dtype == "bool" else dtype


def _literal(expr: Const) -> str:
    if expr.dtype in ("int64", "bool"):
        return repr(expr.value)
    value = float(expr.value)
    if expr.dtype in FLOATS and not math.isfinite(value):
        text = "np.nan" if math.isnan(value) else "np.inf" if value > 0 else "-np.inf"
        return f"np.{_numpy_name(expr.dtype)}({text})"
    return f"np.{_numpy_name(expr.dtype)}({expr.value!r})"


def write_source(nest: LoopNest) -> str:
    """The nest as a Python module with one function, ``kernel(inputs..., outputs...)``."""
    return _SourceWriter(nest).write()


def compile_source(nest: LoopNest) -> Callable[[list[Array], list[Array]], None]:
    """A runner of the nest, compiled by Numba."""
    namespace: dict[str, Any] = {}
    exec(compile(write_source(nest), "<tilewright kernel>", "exec"), namespace)
    kernel = namespace["kernel"]

    def run(inputs: list[Array], outputs: list[Array]) -> None:
        given = zip((*nest.inputs, *nest.outputs), (*inputs, *outputs), strict=True)
        kernel(*(array.reshape(buffer.shape) for buffer, array in given))

    return run
