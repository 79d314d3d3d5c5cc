"""The loop nest: what lowering makes of a schedule and what backends read.

Nodes are immutable by rule and compared by identity, as expressions are.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from tilewright.compiler.te.expr import Const, Expr, Load, Var
from tilewright.compiler.te.tensor_intrin import TensorIntrin


class LoopKind(StrEnum):
    """How a loop's iterations are run; vectorize and unroll stay marks until code is emitted."""

    SERIAL = "serial"
    PARALLEL = "parallel"
    VECTORIZE = "vectorize"
    UNROLL = "unroll"
    UNROLL_HINT = "unroll_hint"  # LLVM is to unroll it


class Buffer:
    """A dense row-major block of memory.

    ``scope`` is ``global`` for an argument, else where it lives: ``register``, ``stack``, ``thread`` or
    ``call``. ``shape`` is the stored shape, padding and tile order included. ``aligns`` spaces dimensions:
    ``(d, factor, offset)`` makes the stride of dimension ``d`` leave ``offset`` when divided by ``factor``.
    ``given``, where an argument is a view, are its strides. What is ``nontemporal`` is written past
    the caches.
    """

    __slots__ = ("aligns", "dtype", "given", "name", "nontemporal", "scope", "shape")

    def __init__(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        scope: str = "global",
        aligns: Sequence[tuple[int, int, int]] = (),
        given: Sequence[int] = (),
        nontemporal: bool = False,
    ) -> None:
        self.nontemporal = nontemporal
        self.given = tuple(given)
        self.name = name
        self.shape = tuple(shape)
        self.dtype = dtype
        self.scope = scope
        self.aligns = tuple(aligns)

    @property
    def size(self) -> int:
        """The number of elements that memory is needed for, gaps between them included."""
        return self.strides[0] * self.shape[0] if self.shape else 1

    @property
    def strides(self) -> tuple[int, ...]:
        """Elements between neighbours along each dimension."""
        if self.given:
            return self.given
        aligned = {d: (factor, offset) for d, factor, offset in self.aligns}
        result: list[int] = []
        stride = 1
        for d in reversed(range(len(self.shape))):
            factor, offset = aligned.get(d, (1, 0))
            stride += (offset - stride) % factor
            result.insert(0, stride)
            stride *= self.shape[d]
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
    ``partition`` for the tail to be peeled. ``pragmas`` say how the loops inside are unrolled
    and joined.
    """

    __slots__ = ("begin", "body", "end", "factor", "kind", "outline", "partition", "pragmas", "var")

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
        pragmas: tuple[tuple[str, int], ...] = (),
    ) -> None:
        self.var = var
        self.begin = begin
        self.end = end
        self.body = body
        self.kind = kind
        self.factor = factor
        self.outline = outline
        self.partition = partition
        self.pragmas = pragmas

    def replace(
        self,
        *,
        begin: Expr | None = None,
        end: Expr | None = None,
        body: Stmt | None = None,
        kind: LoopKind | None = None,
    ) -> For:
        """The same loop with other bounds, another body or run in another way."""
        begin = self.begin if begin is None else begin
        end = self.end if end is None else end
        body = self.body if body is None else body
        kind = self.kind if kind is None else kind
        if begin is self.begin and end is self.end and body is self.body and kind is self.kind:
            return self
        marks = (self.factor, self.outline, self.partition, self.pragmas)
        return For(self.var, begin, end, body, kind, *marks)


class If(Stmt):
    """``then`` where the condition holds, else ``otherwise``."""

    __slots__ = ("condition", "otherwise", "then")

    def __init__(self, condition: Expr, then: Stmt, otherwise: Stmt | None = None) -> None:
        self.condition = condition
        self.then = then
        self.otherwise = otherwise


class Prefetch(Stmt):
    """Bring the cache line of an element, which may lie outside its buffer, to the cache of a level."""

    __slots__ = ("element", "level")

    def __init__(self, element: Expr, level: int = 1) -> None:
        self.element = element
        self.level = level


class IntrinsicArgument:
    """A tensor that an intrinsic is given: its first element, and for each dimension how it is walked.

    ``steps`` says for each of the intrinsic's dimensions how far a step goes in each stored dimension.
    """

    __slots__ = ("base", "steps")

    def __init__(self, base: Load, steps: Sequence[tuple[int, ...]]) -> None:
        self.base = base
        self.steps = tuple(steps)


class Intrinsic(Stmt):
    """A call of an intrinsic's function; ``body`` are the loops that it stands for.

    ``meanwhile``, if there is such, runs between the steps of the call, a share of it at each turn. Neither
    needs what the other writes: one after the other they do the same.
    """

    __slots__ = ("arguments", "body", "intrin", "meanwhile")

    def __init__(
        self,
        intrin: TensorIntrin,
        arguments: Sequence[IntrinsicArgument],
        body: Stmt,
        meanwhile: Stmt | None = None,
    ) -> None:
        self.intrin = intrin
        self.arguments = tuple(arguments)
        self.body = body
        self.meanwhile = meanwhile

    @property
    def parts(self) -> tuple[Stmt, ...]:
        """What it stands for, and what runs meanwhile."""
        return (self.body,) if self.meanwhile is None else (self.body, self.meanwhile)


class Alloc(Stmt):
    """Memory for ``buffer`` while ``body`` runs; its contents are undefined at first."""

    __slots__ = ("body", "buffer")

    def __init__(self, buffer: Buffer, body: Stmt) -> None:
        self.buffer = buffer
        self.body = body


def allocated(stmt: Stmt) -> tuple[list[Buffer], Stmt]:
    """The buffers that a statement has memory for before anything else, and what runs in it.

    A program has one for each of its stages: whoever goes through them does it in a loop.
    """
    buffers: list[Buffer] = []
    while isinstance(stmt, Alloc):
        buffers.append(stmt.buffer)
        stmt = stmt.body
    return buffers, stmt


def allocate(buffers: Sequence[Buffer], body: Stmt) -> Stmt:
    """Memory for buffers, the first outermost, while ``body`` runs."""
    for buffer in reversed(buffers):
        body = Alloc(buffer, body)
    return body


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


def nest_loops(loops: Sequence[For], body: Stmt) -> Stmt:
    """The loops one inside the other, outermost first, around a body."""
    for loop in reversed(loops):
        body = loop.replace(body=body)
    return body


def constant_extent(loop: For) -> int | None:
    """The iterations of a loop that runs from 0 to a constant; None of any other."""
    if not (isinstance(loop.begin, Const) and loop.begin.value == 0 and isinstance(loop.end, Const)):
        return None
    return int(loop.end.value)
