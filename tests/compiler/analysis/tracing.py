"""What a nest does, found by walking every iteration: the oracle of its analysis."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tilewright.compiler.ir.loops import (
    Alloc,
    Assign,
    Block,
    Buffer,
    For,
    If,
    LoopNest,
    Stmt,
    Store,
)
from tilewright.compiler.ir.visit import walk
from tilewright.compiler.te.expr import ON_NUMBERS, Binary, Const, Expr, Load, Var


@dataclass
class Trace:
    """How often each store ran, and which elements of each buffer were touched."""

    runs: Counter[Store] = field(default_factory=Counter)
    elements: dict[Buffer, set[int]] = field(default_factory=dict)

    def lines(self, buffer: Buffer, line_elements: int) -> int:
        """Distinct blocks of so many elements."""
        return len({place // line_elements for place in self.elements[buffer]})


def trace(nest: LoopNest) -> Trace:
    """Run a nest whose indices depend on loops alone."""
    found = Trace()
    _run(nest.body, {}, found)
    return found


def value_of(expr: Expr, values: dict[Var, int]) -> int:
    """An index or a condition."""
    match expr:
        case Const():
            return int(expr.value)
        case Var():
            return values[expr]
        case Binary(op="and"):
            return int(bool(value_of(expr.a, values)) and bool(value_of(expr.b, values)))
        case Binary():
            return int(ON_NUMBERS[expr.op](value_of(expr.a, values), value_of(expr.b, values)))
        case _:
            raise TypeError(f"not an index: {expr}")


def _run(stmt: Stmt, values: dict[Var, int], found: Trace) -> None:
    match stmt:
        case Store():
            found.runs[stmt] += 1
            _touch(stmt.buffer, stmt.indices, values, found)
            for node in walk(stmt.value):
                if isinstance(node, Load) and isinstance(node.source, Buffer):
                    _touch(node.source, node.indices, values, found)
        case For():
            for place in range(value_of(stmt.begin, values), value_of(stmt.end, values)):
                _run(stmt.body, {**values, stmt.var: place}, found)
        case If():
            chosen = stmt.then if value_of(stmt.condition, values) else stmt.otherwise
            _run(chosen or Block([]), values, found)
        case Block() | Assign() | Alloc():
            for part in _parts(stmt):
                _run(part, values, found)
        case _:
            raise TypeError(type(stmt).__name__)


def _parts(stmt: Block | Assign | Alloc) -> tuple[Stmt, ...]:
    if isinstance(stmt, Alloc):
        return (stmt.body,)
    return stmt.body if isinstance(stmt, Block) else stmt.stores


def _touch(buffer: Buffer, indices: tuple[Expr, ...], values: dict[Var, int], found: Trace) -> None:
    places = [value_of(index, values) for index in indices]
    place = sum(p * stride for p, stride in zip(places, buffer.strides, strict=True))
    found.elements.setdefault(buffer, set()).add(place)
