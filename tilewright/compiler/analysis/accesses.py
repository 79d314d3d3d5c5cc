"""Where in memory a store reads and writes: addresses as sums of strides times loop variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from tilewright.compiler.ir.loops import Buffer, Store
from tilewright.compiler.ir.visit import variables, walk
from tilewright.compiler.te.expr import BYTES, Binary, Const, Expr, Load, Unary, Var

IN_REGISTERS = ("register", "stack")
Term = tuple[int, Expr]
Trips = Mapping[Var, float]


@dataclass(slots=True, eq=False)
class Access:
    """An element that a store reads or writes.

    Attributes:
        terms: the element's place in its buffer, as elements to step times a variable or another index.
        variables: those that the place depends on.
    """

    buffer: Buffer
    terms: tuple[Term, ...]
    variables: frozenset[Var]
    is_write: bool

    @property
    def size_bytes(self) -> int:
        """Bytes of an element."""
        return BYTES[self.buffer.dtype]

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
        size = self.size_bytes
        found: dict[int, float] = {}
        for step, atom in self.terms:
            count = trips.get(atom, 1.0) if isinstance(atom, Var) else values_of(atom, trips)
            if count > 1:
                stride = abs(step) * size
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
        case Binary(op="//", b=Const()):
            return max(1.0, _span(index.a, trips) / int(index.b.value))
        case Binary(op="%", b=Const()):
            return min(values_of(index.a, trips), float(int(index.b.value)))
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
        case Binary(op="*", b=Const()):
            return (_span(index.a, trips) - 1) * abs(int(index.b.value)) + 1
        case _:
            return values_of(index, trips)


class AddressBook:
    """The accesses of stores; what is read or written at the same place again is the same object."""

    def __init__(self) -> None:
        self._strides: dict[Buffer, tuple[int, ...]] = {}

    def write(self, store: Store) -> Access:
        """What a store writes."""
        return self._access(store.buffer, store.indices, True)

    def read(self, load: Load) -> Access:
        """What is read of a buffer."""
        assert isinstance(load.source, Buffer)
        return self._access(load.source, load.indices, False)

    def _access(self, buffer: Buffer, indices: tuple[Expr, ...], is_write: bool) -> Access:
        strides = self._strides.get(buffer)
        if strides is None:
            strides = self._strides[buffer] = buffer.strides
        terms: list[Term] = []
        for index, stride in zip(indices, strides, strict=True):
            _collect(index, stride, terms)
        used = {v for _, atom in terms for v in ((atom,) if isinstance(atom, Var) else variables(atom))}
        return Access(buffer, tuple(terms), frozenset(used), is_write)


def _collect(index: Expr, scale: int, terms: list[Term]) -> None:
    """Add the terms of a multiple of an index; a bound that an index is clamped to leaves it as it is."""
    match index:
        case Const():
            return
        case Binary(op="+"):
            _collect(index.a, scale, terms)
            _collect(index.b, scale, terms)
        case Binary(op="-"):
            _collect(index.a, scale, terms)
            _collect(index.b, -scale, terms)
        case Unary(op="neg"):
            _collect(index.value, -scale, terms)
        case Binary(op="*", b=Const()):
            _collect(index.a, scale * int(index.b.value), terms)
        case Binary(op="*", a=Const()):
            _collect(index.b, scale * int(index.a.value), terms)
        case Binary(op="min" | "max", b=Const()):
            _collect(index.a, scale, terms)
        case Binary(op="min" | "max", a=Const()):
            _collect(index.b, scale, terms)
        case _:
            terms.append((scale, index))


def is_indirect(access: Access) -> bool:
    """Whether a place is read from memory."""
    return any(isinstance(node, Load) for _, atom in access.terms for node in walk(atom))


@dataclass(frozen=True, slots=True)
class Footprint:
    """What an access touches while some loops run.

    Attributes:
        lines: distinct blocks of memory, such as cache lines.
        run_bytes: how long a stretch without a gap is.
        stride_bytes: from one stretch to the next, 0 of a single one.
        stretches: how many there are.
    """

    lines: float
    run_bytes: float
    stride_bytes: float
    stretches: float


def footprint(access: Access, trips: Trips, line_bytes: int = 64) -> Footprint:
    """What an access touches while the loops in ``trips`` run as often as it says.

    Steps are joined from the shortest on: one that is no longer than what is covered lengthens it, another
    one repeats it.
    """
    size = access.size_bytes
    run, pieces, unit, count = float(size), 1.0, 0.0, 1.0
    aligned = True
    for stride, values in access.pairs(trips):
        if unit == 0 and stride <= max(run, line_bytes):
            run += stride * (values - 1)
            continue
        aligned = aligned and stride % line_bytes == 0
        if unit and stride <= unit * count:
            count += stride / unit * (values - 1)
        else:
            pieces, unit, count = pieces * count, float(stride), values
    pieces *= count
    whole = run / line_bytes
    if aligned and whole >= 1:
        each = float(ceil(whole)) if pieces > 1 else whole
    else:
        each = 1 + (run - size) / line_bytes if not aligned else max(1.0, whole)
    most = access.buffer.size * size / line_bytes + 1
    return Footprint(min(pieces * each, most), run, unit, pieces)
