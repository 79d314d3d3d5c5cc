"""The loop nest: what lowering makes of a schedule and what backends read.

Nodes are immutable by rule and compared by identity, as expressions are.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from tilewright.compiler.te.expr import Expr, Var


class LoopKind(StrEnum):
    """How a loop's iterations are run; vectorize and unroll stay marks until code is emitted."""

    SERIAL = "serial"
    PARALLEL = "parallel"
    VECTORIZE = "vectorize"
    UNROLL = "unroll"


class Buffer:
    """A dense row-major block of memory.

    ``scope`` is ``global`` for an argument, else where it lives: ``register``, ``stack``, ``thread`` or
    ``call``. ``shape`` is the stored shape, padding and tile order included.
    """

    __slots__ = ("dtype", "name", "scope", "shape")

    def __init__(self, name: str, shape: Sequence[int], dtype: str, scope: str = "global") -> None:
        self.name = name
        self.shape = tuple(shape)
        self.dtype = dtype
        self.scope = scope

    @property
    def size(self) -> int:
        """The number of elements."""
        total = 1
        for extent in self.shape:
            total *= extent
        return total

    @property
    def strides(self) -> tuple[int, ...]:
        """Elements between neighbours along each dimension."""
        result = [1] * len(self.shape)
        for d in range(len(self.shape) - 2, -1, -1):
            result[d] = result[d + 1] * self.shape[d + 1]
        return tuple(result)

    def __repr__(self) -> str:
        return f"Buffer({self.name}, {self.shape}, {self.dtype}, {self.scope})"


class Stmt:
    """A step of a loop nest."""

    __slots__ = ()

    def __repr__(self) -> str:
        from tilewright.compiler.ir.printer import format_stmt

        return format_stmt(self)


class Store(Stmt):
    """``buffer[indices] = value``; ``update`` marks the step of a reduction, whose sums may be reordered."""

    __slots__ = ("buffer", "indices", "update", "value")

    def __init__(self, buffer: Buffer, indices: Sequence[Expr], value: Expr, update: bool = False) -> None:
        self.buffer = buffer
        self.indices = tuple(indices)
        self.value = value
        self.update = update


class Assign(Stmt):
    """Several stores at once: every value is computed before the first is written."""

    __slots__ = ("stores",)

    def __init__(self, stores: Sequence[Store]) -> None:
        self.stores = tuple(stores)


class Block(Stmt):
    """Statements in order."""

    __slots__ = ("body",)

    def __init__(self, body: Sequence[Stmt]) -> None:
        self.body = tuple(body)


class For(Stmt):
    """``for var in [begin, end)``.

    ``factor`` is the number of copies of an unrolled loop's body (0: all; 1: rolled, never undone).
    ``outline`` asks for the body to become a function shared by all bodies of the same structure;
    ``partition`` for the tail to be peeled.
    """

    __slots__ = ("begin", "body", "end", "factor", "kind", "outline", "partition", "var")

    def __init__(
        self,
        var: Var,
        begin: Expr,
        end: Expr,
        body: Stmt,
        kind: LoopKind = LoopKind.SERIAL,
        factor: int = 0,
        outline: bool = False,
        partition: bool = False,
    ) -> None:
        self.var = var
        self.begin = begin
        self.end = end
        self.body = body
        self.kind = kind
        self.factor = factor
        self.outline = outline
        self.partition = partition

    def replace(self, *, begin: Expr | None = None, end: Expr | None = None, body: Stmt | None = None) -> For:
        """The same loop with other bounds or another body."""
        begin = self.begin if begin is None else begin
        end = self.end if end is None else end
        body = self.body if body is None else body
        if begin is self.begin and end is self.end and body is self.body:
            return self
        return For(self.var, begin, end, body, self.kind, self.factor, self.outline, self.partition)


class If(Stmt):
    """``then`` where the condition holds, else ``otherwise``."""

    __slots__ = ("condition", "otherwise", "then")

    def __init__(self, condition: Expr, then: Stmt, otherwise: Stmt | None = None) -> None:
        self.condition = condition
        self.then = then
        self.otherwise = otherwise


class Alloc(Stmt):
    """Memory for ``buffer`` while ``body`` runs; its contents are undefined at first."""

    __slots__ = ("body", "buffer")

    def __init__(self, buffer: Buffer, body: Stmt) -> None:
        self.buffer = buffer
        self.body = body


class LoopNest:
    """A lowered program: its argument buffers, inputs first and outputs last, and its body.

    ``ranges`` holds the inclusive range of every loop variable.
    """

    __slots__ = ("body", "inputs", "outputs", "ranges")

    def __init__(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer], body: Stmt) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.body = body
        self.ranges: dict[Var, tuple[int, int]] = {}

    def __str__(self) -> str:
        from tilewright.compiler.ir.printer import format_nest

        return format_nest(self)

    __repr__ = __str__


def block(statements: Sequence[Stmt]) -> Stmt:
    """The statements in order, nested blocks flattened."""
    flat: list[Stmt] = []
    for statement in statements:
        flat.extend(statement.body if isinstance(statement, Block) else (statement,))
    return flat[0] if len(flat) == 1 else Block(flat)
