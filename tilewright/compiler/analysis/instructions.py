"""The instructions of a store's straight-line code, counted by what executes them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from math import log2

from tilewright.compiler.analysis.accesses import Access, AddressBook
from tilewright.compiler.analysis.machine import LINE_BYTES, Machine
from tilewright.compiler.analysis.tile import Tile
from tilewright.compiler.ir.loops import Store
from tilewright.compiler.ir.visit import walk
from tilewright.compiler.te.expr import (
    BYTES,
    FLOATS,
    INDEX,
    Binary,
    Call,
    Cast,
    Const,
    Expr,
    Load,
    Select,
    Unary,
    Var,
    children,
)
from tilewright.compiler.te.words import dot_dtypes

# Vector instructions that a function takes, and a division; all are about right for polynomials of float32.
FUNCTION_COSTS: Mapping[str, float] = {
    "exp": 14,
    "log": 18,
    "tanh": 18,
    "erf": 20,
    "sigmoid": 22,
    "sin": 24,
    "cos": 24,
    "pow": 40,
    "sqrt": 8,
    "rsqrt": 6,
    "abs": 1,
    "floor": 1,
    "ceil": 1,
    "round": 1,
    "trunc": 1,
    "dot": 1,
    "word": 3,
}
OTHER_FUNCTION_COST = 20.0
DIVISION_COST = 8.0
# A comparison of indices is one of scalars, or of lanes for a mask, which several vectors share.
CONDITION_COST = 0.5
# Of so many elements between lanes vectors are loaded and shuffled; more are gathered one by one.
MOST_SHUFFLED_STRIDE = 4


@dataclass(slots=True)
class Instructions:
    """Counts of instructions.

    Attributes:
        arithmetic, loads, stores, shuffles: in passes of the datapath, of which a wide vector may need two.
        issued: instructions of any kind.
    """

    arithmetic: float = 0.0
    loads: float = 0.0
    stores: float = 0.0
    shuffles: float = 0.0
    issued: float = 0.0

    def add(self, other: Instructions, times: float = 1.0) -> None:
        """Count those of another piece of code as well."""
        self.arithmetic += other.arithmetic * times
        self.loads += other.loads * times
        self.stores += other.stores * times
        self.shuffles += other.shuffles * times
        self.issued += other.issued * times


@dataclass(slots=True)
class Counter:
    """Counts the instructions of one store; what is written twice is computed once.

    After :meth:`count`, ``accesses`` has what it touches in memory or registers, the write last.
    """

    machine: Machine
    book: AddressBook
    tile: Tile
    found: Instructions = field(default_factory=Instructions)
    accesses: list[Access] = field(default_factory=list)
    _numbers: dict[Hashable, int] = field(default_factory=dict)
    _used: list[frozenset[Var]] = field(default_factory=list)

    def count(self, store: Store) -> Instructions:
        """The instructions of a store, for all of its straight-line iterations."""
        self._visit(store.value)
        target = self.book.write(store)
        self.accesses.append(target)
        self._memory(target)
        return self.found

    def _visit(self, expr: Expr) -> int:
        """The number of a value: equal for equal values. Its instructions are counted the first time."""
        match expr:
            case Load():
                access = self.book.read(expr)
                place = frozenset((step, id(var)) for var, step in access.steps)
                name = (id(access.buffer), access.offset, place, repr(expr) if access.parts else "")
                return self._known(name) or self._load(name, access)
            case Const():
                return self._number((expr.dtype, expr.value), frozenset())
            case Var():
                return self._number(id(expr), frozenset((expr,)))
            case _ if expr.dtype == INDEX and isinstance(expr, Binary):
                parts = [self._visit(child) for child in children(expr)]
                return self._number((expr.op, *parts), self._joined(parts))
            case _:
                return self._operation(expr)

    def _operation(self, expr: Expr) -> int:
        parts = [self._visit(child) for child in children(expr)]
        name = (type(expr).__name__, getattr(expr, "op", getattr(expr, "name", expr.dtype)), *parts)
        known = self._known(name)
        if known:
            return known
        used = self._joined(parts)
        self._execute(self._cost(expr, used), used, BYTES[_operand_dtype(expr)], _is_of_indices(expr))
        return self._number(name, used)

    def _execute(self, cost: float, used: frozenset[Var], size_bytes: int, is_index: bool) -> None:
        """Count an operation for all copies and lanes; that of an index alike in all lanes is a scalar's."""
        if not cost:
            return
        cost *= self.tile.repeats(used)
        is_vector = self.tile.lane is not None and self.tile.lane in used
        passes = self.tile.vectors(self.machine.slot_bits, size_bytes) if is_vector else 1.0
        vectors = self.tile.vectors(self.machine.vector_bits, size_bytes) if is_vector else 1.0
        self.found.issued += cost * vectors
        if is_vector or not is_index:
            self.found.arithmetic += cost * passes

    def _cost(self, expr: Expr, used: frozenset[Var]) -> float:
        """Vector instructions of one operation."""
        match expr:
            case Binary(op="and" | "or") | Unary(op="not"):
                return 0.0
            case Binary() if expr.a.dtype == INDEX:
                return CONDITION_COST * self._tested(used)
            case Binary(op="+" | "-") if _is_product(expr.b) or _is_product(expr.a):
                return 0.0  # one instruction with the product
            case Binary(op="/"):
                return DIVISION_COST
            case Call():
                return FUNCTION_COSTS.get(expr.name.split(".")[0], OTHER_FUNCTION_COST)
            case Select() if _is_of_indices(expr.condition):
                return self._tested(used)  # a mask, or a choice
            case Binary() | Unary() | Select() | Cast():
                return 1.0
            case _:
                return 0.0

    def _tested(self, used: frozenset[Var]) -> float:
        """The share of the iterations in which a condition on indices is tested: it may be known ahead."""
        if used & (self.tile.rolled - self.tile.peeled):
            return self.tile.border
        return 0.0 if self.tile.peeled or not used & self.tile.rolled else 1.0

    def _load(self, name: Hashable, access: Access) -> int:
        for part, _ in access.parts:
            for node in walk(part):
                if isinstance(node, Load):
                    self._visit(node)
        self.accesses.append(access)
        self._memory(access)
        return self._number(name, access.variables)

    def _memory(self, access: Access) -> None:
        """Count what moves an element of each lane and copy to or from where it lies."""
        copies, lane = self.tile.repeats(access.variables), self.tile.lane
        stride = 0 if lane is None else access.stride(lane)
        moves, shuffles = 1.0, 0.0
        if self.tile.is_in_registers(access):
            moves = 0.0
            if stride not in (0, 1):  # a tile whose rows become columns
                lanes = self.machine.vector_bits / 8 / access.size_bytes
                shuffles = self.tile.vectors(self.machine.slot_bits, access.size_bytes) * log2(
                    max(2.0, lanes)
                )
        elif lane is not None and stride != 0:
            moves, shuffles = self._vector_moves(access, stride)
        self.found.shuffles += copies * shuffles
        self.found.issued += copies * (moves + shuffles) * self.machine.slot_bits / self.machine.vector_bits
        if access.is_write:
            self.found.stores += copies * moves
        else:
            self.found.loads += copies * moves

    def _vector_moves(self, access: Access, stride: int | None) -> tuple[float, float]:
        """Accesses and shuffles for the lanes of one vector."""
        width = self.tile.width
        passes = self.tile.vectors(self.machine.slot_bits, access.size_bytes)
        if stride is None or abs(stride) > MOST_SHUFFLED_STRIDE:
            return width, width / 2
        if stride == 1:
            crossed = 0.0 if self._is_aligned(access) else width * access.size_bytes / LINE_BYTES
            return passes + crossed, 0.0
        return passes * abs(stride), passes * abs(stride)

    def _is_aligned(self, access: Access) -> bool:
        """Whether vectors begin where vectors may, so that none lies in two cache lines."""
        block = min(LINE_BYTES, self.machine.vector_bits // 8)
        steps = [step for step, atom in access.terms if atom is not self.tile.lane]
        return all(step * access.size_bytes % block == 0 for step in (*steps, access.offset))

    def _known(self, name: Hashable) -> int:
        return self._numbers.get(name, 0)

    def _number(self, name: Hashable, used: frozenset[Var]) -> int:
        number = self._numbers.get(name, 0)
        if not number:
            self._used.append(used)
            number = self._numbers[name] = len(self._used)
        return number

    def _joined(self, numbers: list[int]) -> frozenset[Var]:
        return frozenset().union(*(self._used[number - 1] for number in numbers))


def _operand_dtype(expr: Expr) -> str:
    """The type whose size says how many lanes fit a vector."""
    if isinstance(expr, Binary) and expr.dtype == "bool":
        return "float32" if expr.a.dtype == INDEX else expr.a.dtype
    return expr.dtype


def _is_product(expr: Expr) -> bool:
    """Whether an instruction exists that adds to a product of this kind."""
    if isinstance(expr, Call):
        return dot_dtypes(expr) is not None
    return isinstance(expr, Binary) and expr.op == "*" and expr.dtype in FLOATS


def _is_of_indices(expr: Expr) -> bool:
    """Whether a condition compares indices alone."""
    match expr:
        case Binary(op="and" | "or"):
            return _is_of_indices(expr.a) and _is_of_indices(expr.b)
        case Binary():
            return expr.a.dtype == INDEX
        case _:
            return False
