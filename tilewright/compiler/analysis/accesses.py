"""Where in memory a store reads and writes: addresses as sums of strides times loop variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tilewright.compiler.ir.loops import Buffer, Store
from tilewright.compiler.ir.visit import variables
from tilewright.compiler.te.expr import BYTES, Binary, Const, Expr, Load, Unary, Var

IN_REGISTERS = ("register", "stack")
Term = tuple[int, Expr]
Trips = Mapping[Var, float]


@dataclass(slots=True, eq=False)
class Access:
    """An element that a store reads or writes.

    Attributes:
        terms: the element's place in its buffer, as elements to step times a variable or another index.
        steps: the terms of variables, in bytes; ``parts``: the others.
        offset: elements from the first one, where all variables are 0.
        variables: those that the place depends on.
        size_bytes: of an element.
        buffer_bytes: of the whole buffer.
    """

    buffer: Buffer
    terms: tuple[Term, ...]
    variables: frozenset[Var]
    is_write: bool
    size_bytes: int
    buffer_bytes: int
    steps: tuple[tuple[Var, int], ...]
    parts: tuple[tuple[Expr, int], ...]
    offset: int

    def stride(self, var: Var) -> int | None:
        """Elements between two iterations of a loop; None where they are not always as many."""
        total = 0
        for step, atom in self.terms:
            if atom is var:
                total += step
            elif not isinstance(atom, Var) and var in variables(atom):
                return None
        return total

    def pairs(self, trips: Trips) -> list[tuple[int, float]]:
        """Steps in bytes and how many places each has while loops run so often, the shortest step first."""
        found: dict[int, float] = {}
        for var, stride in self.steps:
            if var in trips and trips[var] > 1:
                found[stride] = found.get(stride, 1.0) + trips[var] - 1
        for part, stride in self.parts:
            count = values_of(part, trips)
            if count > 1:
                found[stride] = found.get(stride, 1.0) + count - 1
        return sorted(found.items())


def values_of(index: Expr, trips: Trips) -> float:
    """About how many values an index takes while loops run so often; other variables stand still."""
    match index:
        case Var():
            return trips.get(index, 1.0)
        case Const():
            return 1.0
        case Binary(op="+" | "-"):
            return values_of(index.a, trips) + values_of(index.b, trips) - 1
        case Binary(op="*", b=Const()):
            return values_of(index.a, trips)
        case Binary(op="//", b=Const(value=divisor)):
            return max(1.0, _span(index.a, trips) / int(divisor))
        case Binary(op="%", b=Const(value=divisor)):
            return min(values_of(index.a, trips), float(int(divisor)))
        case _:
            count = 1.0
            for var in variables(index):
                count *= trips.get(var, 1.0)
            return count


def _span(index: Expr, trips: Trips) -> float:
    """How far an index moves, the first and the last value included."""
    match index:
        case Binary(op="+" | "-"):
            return _span(index.a, trips) + _span(index.b, trips) - 1
        case Binary(op="*", b=Const(value=factor)):
            return (_span(index.a, trips) - 1) * abs(int(factor)) + 1
        case _:
            return values_of(index, trips)


class AddressBook:
    """The accesses of stores; what is read or written at the same place again is the same object."""

    def __init__(self) -> None:
        self._shapes: dict[Buffer, tuple[tuple[int, ...], int, int]] = {}

    def write(self, store: Store) -> Access:
        """What a store writes."""
        return self._access(store.buffer, store.indices, True)

    def read(self, load: Load) -> Access:
        """What is read of a buffer."""
        assert isinstance(load.source, Buffer)
        return self._access(load.source, load.indices, False)

    def _access(self, buffer: Buffer, indices: tuple[Expr, ...], is_write: bool) -> Access:
        if buffer not in self._shapes:
            size = BYTES[buffer.dtype]
            self._shapes[buffer] = buffer.strides, size, buffer.size * size
        strides, size, total = self._shapes[buffer]
        terms: list[Term] = []
        offset = 0
        for index, stride in zip(indices, strides, strict=True):
            offset += _collect(index, stride, terms)
        steps = tuple((atom, abs(step) * size) for step, atom in terms if isinstance(atom, Var))
        parts = tuple((atom, abs(step) * size) for step, atom in terms if not isinstance(atom, Var))
        used = {var for var, _ in steps}.union(*(variables(part) for part, _ in parts))
        return Access(buffer, tuple(terms), frozenset(used), is_write, size, total, steps, parts, offset)


def _collect(index: Expr, scale: int, terms: list[Term]) -> int:
    """Add the terms of a multiple of an index, and return its constant.

    A bound that an index is clamped to leaves it as it is.
    """
    match index:
        case Const():
            return scale * int(index.value)
        case Binary(op="+"):
            return _collect(index.a, scale, terms) + _collect(index.b, scale, terms)
        case Binary(op="-"):
            return _collect(index.a, scale, terms) + _collect(index.b, -scale, terms)
        case Unary(op="neg"):
            return _collect(index.value, -scale, terms)
        case Binary(op="*", b=Const(value=factor)):
            return _collect(index.a, scale * int(factor), terms)
        case Binary(op="*", a=Const(value=factor)):
            return _collect(index.b, scale * int(factor), terms)
        case Binary(op="min" | "max", b=Const()):
            return _collect(index.a, scale, terms)
        case Binary(op="min" | "max", a=Const()):
            return _collect(index.b, scale, terms)
        case _:
            terms.append((scale, index))
            return 0
