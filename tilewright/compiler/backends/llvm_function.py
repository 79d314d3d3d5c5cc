"""The text of one LLVM function, written straight into SSA form.

Code is written into scopes: the function's entry, and inside it one for each loop's preheader and body and
for each branch. A computation without side effects goes once to the outermost scope that defines its
operands: that is loop-invariant code motion and common subexpression elimination, done while writing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from tilewright.compiler.backends.llvm_types import VALUE, literal, vector
from tilewright.compiler.te.expr import INDEX, Scalar


class Operand:
    """An SSA value: its text, its type, and the depth of the scope that defines it."""

    __slots__ = ("depth", "dtype", "lanes", "text")

    def __init__(self, text: str, dtype: str, lanes: int, depth: int) -> None:
        self.text = text
        self.dtype = dtype
        self.lanes = lanes
        self.depth = depth

    @property
    def type(self) -> str:
        """The LLVM type."""
        return "ptr" if self.dtype == "ptr" else vector(VALUE[self.dtype], self.lanes)

    @property
    def typed(self) -> str:
        """Type and text, as an argument is written."""
        return f"{self.type} {self.text}"


def index(value: int) -> Operand:
    """A literal index."""
    return Operand(str(value), INDEX, 0, 0)


def constant(value: Scalar, dtype: str, lanes: int = 0) -> Operand:
    """A literal, in every lane."""
    text = literal(value, dtype)
    return Operand(f"splat ({VALUE[dtype]} {text})" if lanes else text, dtype, lanes, 0)


@dataclass(slots=True)
class Scope:
    """Lines under way, and the values already computed in them."""

    lines: list[str] = field(default_factory=list)
    known: dict[Hashable, Operand] = field(default_factory=dict)
    conditional: bool = False


class FunctionText:
    """A function being written."""

    def __init__(self) -> None:
        self.scopes = [Scope()]
        self.allocas: list[str] = []
        self.block = "entry"
        self.lines_written = 0
        self.epoch = 0
        self._count = 0

    @property
    def depth(self) -> int:
        """The depth of the innermost scope."""
        return len(self.scopes) - 1

    def fresh(self, prefix: str = "v") -> str:
        """A name that is not taken."""
        self._count += 1
        return f"{prefix}{self._count}"

    def line(self, text: str) -> None:
        """Write a line into the innermost scope."""
        self.scopes[-1].lines.append(text)
        self.lines_written += 1

    def label(self, name: str) -> None:
        """Begin a block."""
        self.line(f"{name}:")
        self.block = name

    def value(self, text: str, dtype: str, lanes: int = 0) -> Operand:
        """Write a computation into the innermost scope."""
        name = f"%{self.fresh()}"
        self.line(f"  {name} = {text}")
        return Operand(name, dtype, lanes, self.depth)

    def pure(
        self, text: str, dtype: str, lanes: int, *operands: Operand, floor: int = 0, is_read: bool = False
    ) -> Operand:
        """Write a computation without side effects as far out as its operands (and ``floor``) allow.

        A read is not shared across a fence.
        """
        depth = floor
        for operand in operands:
            if operand.depth > depth:
                depth = operand.depth
        scope = self.scopes[depth]
        key: Hashable = (text, self.epoch) if is_read else text
        found = scope.known.get(key)
        if found is not None:
            return found
        self._count += 1
        name = f"%v{self._count}"
        scope.lines.append(f"  {name} = {text}")
        self.lines_written += 1
        result = scope.known[key] = Operand(name, dtype, lanes, depth)
        return result

    def fence(self) -> None:
        """Let nothing that is read ahead of this place be kept for what follows."""
        self.line('  call void asm sideeffect "", "~{memory}"()')
        self.epoch += 1

    def remember(self, key: Hashable, operand: Operand) -> Operand:
        """Keep a value for :meth:`recall`, as long as its scope lasts."""
        self.scopes[operand.depth].known[key] = operand
        return operand

    def recall(self, key: Hashable) -> Operand | None:
        """A value kept under the key."""
        for scope in reversed(self.scopes):
            found = scope.known.get(key)
            if found is not None:
                return found
        return None

    def conditional_depth(self) -> int:
        """The innermost scope that may not be reached: nothing that can fault moves out of it."""
        for depth in range(self.depth, 0, -1):
            if self.scopes[depth].conditional:
                return depth
        return 0

    def push(self, conditional: bool = False) -> None:
        """Open a scope."""
        self.scopes.append(Scope(conditional=conditional))

    def pop(self) -> list[str]:
        """Close the innermost scope; its lines."""
        return self.scopes.pop().lines

    def extend(self, lines: list[str]) -> None:
        """Append lines that are already counted."""
        self.scopes[-1].lines.extend(lines)

    def branch(
        self, condition: Operand, sides: Sequence[Callable[[], Operand | None]]
    ) -> list[tuple[Operand | None, str]]:
        """Write one or two sides under a condition; the value of each, and the block that it comes from.

        The test is written last: what the sides compute ahead of it may move out in front of it.
        """
        names = [self.fresh("then"), self.fresh("else")][: len(sides)]
        end = self.fresh("end")
        written: list[str] = []
        results: list[tuple[Operand | None, str]] = []
        for name, side in zip(names, sides, strict=True):
            self.push(conditional=True)
            self.label(name)
            value = side()
            self.line(f"  br label %{end}")
            results.append((value, self.block))
            written += self.pop()
        self.line(f"  br i1 {condition.text}, label %{names[0]}, label %{(*names, end)[1]}")
        self.extend(written)
        self.label(end)
        return results
