"""Graphs of tensors as JSON: what :class:`Program` and intrinsics are stored as."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tilewright.compiler.errors import ExpressionError
from tilewright.compiler.te.expr import (
    FLOATS,
    Binary,
    Call,
    Cast,
    Const,
    Expr,
    IterVar,
    Load,
    Reduce,
    Select,
    Unary,
    Var,
)
from tilewright.compiler.te.tensor import ComputeOp, PlaceholderOp, Tensor, check_name, placeholder

Json = Any
# What reading a damaged text raises.
MALFORMED = (
    msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError, AssertionError, RecursionError,
)  # fmt: skip


def encode_graph(tensors: Sequence[Tensor]) -> list[Json]:
    """Tensors, each after those that it reads."""
    names = _Names()
    return [names.encode_op(tensor) for tensor in tensors]


class _Names:
    """Numbers the variables of a graph."""

    def __init__(self) -> None:
        self.numbers: dict[Var, int] = {}

    def variable(self, var: Var) -> Json:
        number = self.numbers.setdefault(var, len(self.numbers))
        if isinstance(var, IterVar):
            return [number, var.name, var.extent, var.kind]
        return [number, var.name, var.dtype]

    def encode_op(self, tensor: Tensor) -> Json:
        op = tensor.op
        seen = {"argument": list(op.argument_shape)} if op.argument_shape != op.shape else {}
        if isinstance(op, PlaceholderOp):
            values = {} if op.values is None else {"values": list(op.values)}
            return {"name": op.name, "shape": list(op.shape), "dtype": op.dtype, **seen, **values}
        axes = [self.variable(axis) for axis in op.axis]
        return {"name": op.name, "axes": axes, "body": self.encode(op.body), **seen}

    def encode(self, expr: Expr) -> Json:
        match expr:
            case Const():
                value = float(expr.value).hex() if expr.dtype in FLOATS else expr.value
                return ["const", value, expr.dtype]
            case Var():
                return ["var", self.variable(expr)]
            case Binary():
                return ["binary", expr.op, self.encode(expr.a), self.encode(expr.b)]
            case Unary():
                return ["unary", expr.op, self.encode(expr.value)]
            case Cast():
                return ["cast", expr.dtype, self.encode(expr.value)]
            case Load():
                return ["load", expr.source.name, self._all(expr.indices)]
            case Call():
                return ["call", expr.name, expr.dtype, self._all(expr.args)]
            case Select():
                return ["select", *self._all((expr.condition, expr.then, expr.otherwise))]
            case Reduce():
                return self._encode_reduce(expr)
            case _:
                raise ExpressionError(f"cannot store the expression {expr}")

    def _all(self, exprs: Sequence[Expr]) -> list[Json]:
        return [self.encode(expr) for expr in exprs]

    def _encode_reduce(self, expr: Reduce) -> Json:
        axes = [self.variable(axis) for axis in expr.axes]
        state = [self.variable(var) for var in expr.state]
        finish = None if expr.finish is None else self.encode(expr.finish)
        merge = None
        if expr.merge is not None:
            merge = [[self.variable(var) for var in expr.merge[0]], self._all(expr.merge[1])]
        return ["reduce", expr.kind, axes, self._all(expr.init), self._all(expr.update), state, finish, merge]


def decode_graph(ops: list[Json]) -> dict[str, Tensor]:
    """The tensors of :func:`encode_graph`, by name."""
    tensors: dict[str, Tensor] = {}
    reader = _Reader(tensors)
    for op in ops:
        name = check_name(op["name"])
        seen = tuple(op["argument"]) if "argument" in op else None
        if "shape" in op:
            values = tuple(op["values"]) if "values" in op else None
            tensors[name] = placeholder(op["shape"], op["dtype"], name, seen, values)
        else:
            axes = [reader.axis(item) for item in op["axes"]]
            tensors[name] = Tensor(ComputeOp(name, axes, reader.decode(op["body"]), argument_shape=seen))
    return tensors


class _Reader:
    """Rebuilds expressions from JSON."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors
        self.variables: dict[int, Var] = {}

    def variable(self, item: Json) -> Var:
        number = item[0]
        if number not in self.variables:
            check_name(item[1])
            made = IterVar(item[1], item[2], item[3]) if len(item) == 4 else Var(item[1], item[2])
            self.variables[number] = made
        return self.variables[number]

    def axis(self, item: Json) -> IterVar:
        var = self.variable(item)
        assert isinstance(var, IterVar)
        return var

    def decode(self, item: Json) -> Expr:
        kind, *rest = item
        match kind:
            case "const":
                value = float.fromhex(rest[0]) if rest[1] in FLOATS else rest[0]
                return Const(value, rest[1])
            case "var":
                return self.variable(rest[0])
            case "binary":
                return Binary(rest[0], self.decode(rest[1]), self.decode(rest[2]))
            case "unary":
                return Unary(rest[0], self.decode(rest[1]))
            case "cast":
                return Cast(rest[0], self.decode(rest[1]))
            case "load":
                return Load(self.tensors[rest[0]], self._all(rest[1]))
            case "call":
                return Call(rest[0], self._all(rest[2]), rest[1])
            case "select":
                return Select(*self._all(rest))
            case "reduce":
                return self._decode_reduce(rest)
            case _:
                raise ExpressionError(f"unknown expression {kind!r} in a stored program")

    def _all(self, items: list[Json]) -> list[Expr]:
        return [self.decode(item) for item in items]

    def _decode_reduce(self, rest: list[Json]) -> Reduce:
        kind, axes, init, update, state, finish, merge = rest
        variables = [self.variable(item) for item in state]
        merged = None
        if merge is not None:
            merged = (tuple(self.variable(item) for item in merge[0]), tuple(self._all(merge[1])))
        return Reduce(
            kind,
            [self.axis(item) for item in axes],
            self._all(init),
            self._all(update),
            variables,
            None if finish is None else self.decode(finish),
            merged,
        )
