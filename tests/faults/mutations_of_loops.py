"""What a faulty compiler might make of loops: one statement of a nest is other than it should be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tilewright.compiler.ir.loops import Block, For, If, LoopNest, Stmt, Store
from tilewright.compiler.ir.visit import map_stmt, statements, transform
from tilewright.compiler.te.expr import Binary, Const, Expr, Load, Select, Var, binary

Mutation = Callable[[Stmt], Stmt | None]

NEXT_TO_NOTHING = 1e-7  # far less than rounding may change
PLACES = ("everywhere", "one tile", "odd shapes")


def shift_bound(by: int) -> Mutation:
    """One iteration more or less."""
    return lambda stmt: stmt.replace(end=stmt.end + by) if isinstance(stmt, For) else None


def drop_init(stmt: Stmt) -> Stmt | None:
    """A sum begins with what its memory holds."""
    is_init = isinstance(stmt, Store) and isinstance(stmt.value, Const)
    return Block(()) if is_init else None


def swap_stored(stmt: Stmt) -> Stmt | None:
    """Rows are columns of what is written."""
    if not isinstance(stmt, Store) or len(stmt.indices) != 2:
        return None
    return Store(stmt.buffer, stmt.indices[::-1], stmt.value, stmt.update)


def swap_read(name: str) -> Mutation:
    """Rows are columns of an array that is read."""

    def swap(expr: Expr) -> Expr | None:
        is_it = isinstance(expr, Load) and expr.source.name == name and len(expr.indices) == 2
        return Load(expr.source, expr.indices[::-1]) if is_it and isinstance(expr, Load) else None

    def mutate(stmt: Stmt) -> Stmt | None:
        if not isinstance(stmt, Store):
            return None
        value = transform(stmt.value, swap)
        return None if value is stmt.value else Store(stmt.buffer, stmt.indices, value, stmt.update)

    return mutate


def drop_tail(stmt: Stmt) -> Stmt | None:
    """A tile that is not whole is left out."""
    end = stmt.end if isinstance(stmt, For) else None
    if not isinstance(stmt, For) or not isinstance(end, Binary) or end.op != "min":
        return None
    is_whole = end.b >= end.a
    return stmt.replace(end=Select(is_whole, end.a, Const(0, end.dtype)))


def reduce_by(op: str | None) -> Mutation:
    """Terms are combined in another way; without one, the last is the sum."""

    def mutate(stmt: Stmt) -> Stmt | None:
        if not isinstance(stmt, Store) or not stmt.update or not isinstance(stmt.value, Binary):
            return None
        known, term = stmt.value.a, stmt.value.b
        value = term if op is None else Binary(op, known, term)
        return Store(stmt.buffer, stmt.indices, value, stmt.update)

    return mutate


def read_before_write(stmt: Stmt) -> Stmt | None:
    """A sum begins with next to nothing, or with nothing, as its memory happens to be."""
    if drop_init(stmt) is None or not isinstance(stmt, Store):
        return None
    is_positive = Load(stmt.buffer, stmt.indices) > 0.0
    return Store(
        stmt.buffer, stmt.indices, Select(is_positive, Const(NEXT_TO_NOTHING, "float32"), stmt.value)
    )


def rewrite_all(nest: LoopNest, mutation: Mutation) -> LoopNest:
    """The nest with all statements mutated that can be."""

    def rewrite(stmt: Stmt) -> Stmt:
        return mutation(stmt) or map_stmt(stmt, lambda expr: expr, rewrite)

    changed = LoopNest(nest.inputs, nest.outputs, rewrite(nest.body))
    changed.ranges = nest.ranges
    return changed


MUTATIONS: Mapping[str, Mutation] = {
    "bound plus one": shift_bound(1),
    "bound minus one": shift_bound(-1),
    "dropped init": drop_init,
    "swapped index of a store": swap_stored,
    "swapped index of a": swap_read("a"),
    "swapped index of b": swap_read("b"),
    "dropped tail": drop_tail,
    "difference for a sum": reduce_by("-"),
    "maximum for a sum": reduce_by("max"),
    "last term for a sum": reduce_by(None),
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mutation of the statement with a number, in one of `PLACES`."""

    mutation: str
    number: int
    place: str

    def apply(self, nest: LoopNest) -> LoopNest:
        """The mutated nest."""
        extents = {extent for buffer in (*nest.inputs, *nest.outputs) for extent in buffer.shape}
        if self.place == "odd shapes" and not any(extent % 2 for extent in extents):
            return nest
        target = list(statements(nest.body))[self.number]
        changed = LoopNest(nest.inputs, nest.outputs, self._rewrite(nest.body, target, None))
        changed.ranges = nest.ranges
        return changed

    def _rewrite(self, stmt: Stmt, target: Stmt, around: Var | None) -> Stmt:
        if stmt is target:
            mutated = MUTATIONS[self.mutation](stmt)
            assert mutated is not None
            if self.place != "one tile" or around is None:
                return mutated
            return If(binary("==", around, 0), mutated, stmt)
        inside = stmt.var if isinstance(stmt, For) else around
        return map_stmt(stmt, lambda expr: expr, lambda part: self._rewrite(part, target, inside))


def find_mutants(nest: LoopNest) -> list[Mutant]:
    """All that there are of a nest, in a fixed order; some are no fault."""
    return [
        Mutant(name, number, place)
        for name, mutation in MUTATIONS.items()
        for number, stmt in enumerate(statements(nest.body))
        if mutation(stmt) is not None
        for place in PLACES
    ]
