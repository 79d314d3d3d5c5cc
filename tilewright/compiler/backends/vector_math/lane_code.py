"""Code that does the same in every lane, written as LLVM IR by Python's operators.

No instruction carries fast-math flags: these functions compensate rounding errors, step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tilewright.compiler.backends.llvm_types import literal, suffix, vector
from tilewright.compiler.target import Target

INTEGER = {"float": "i32", "double": "i64"}
SIGN_BIT = -(2**31)


@dataclass(frozen=True, slots=True, eq=False)
class LaneValue:
    """A value of each lane (0 lanes: a scalar) of an LLVM type; what stands beside it may be a number."""

    code: LaneCode
    text: str
    element: str
    lanes: int

    @property
    def type(self) -> str:
        """The LLVM type."""
        return vector(self.element, self.lanes)

    @property
    def typed(self) -> str:
        """Type and text, as an argument is written."""
        return f"{self.type} {self.text}"

    def __add__(self, other: LaneValue | float) -> LaneValue:
        return self._binary("add", other)

    def __sub__(self, other: LaneValue | float) -> LaneValue:
        return self._binary("sub", other)

    def __mul__(self, other: LaneValue | float) -> LaneValue:
        return self._binary("mul", other)

    def __truediv__(self, other: LaneValue | float) -> LaneValue:
        return self._binary("div", other)

    def __neg__(self) -> LaneValue:
        return self.code.emit(f"fneg {self.typed}", self.element, self.lanes)

    def __and__(self, other: LaneValue | int) -> LaneValue:
        return self._instruction("and", other)

    def __or__(self, other: LaneValue | int) -> LaneValue:
        return self._instruction("or", other)

    def __xor__(self, other: LaneValue | int) -> LaneValue:
        return self._instruction("xor", other)

    def __lshift__(self, count: int) -> LaneValue:
        return self._instruction("shl", count)

    def __rshift__(self, count: int) -> LaneValue:
        return self._instruction("ashr", count)

    def __lt__(self, other: LaneValue | float) -> LaneValue:
        return self._compare("lt", other)

    def __gt__(self, other: LaneValue | float) -> LaneValue:
        return self._compare("gt", other)

    def equals(self, other: LaneValue | float) -> LaneValue:
        """Whether two values are equal; NaN equals nothing."""
        return self._compare("eq", other)

    def negated(self) -> LaneValue:
        """Whether a condition does not hold."""
        return self ^ True

    def settled(self) -> LaneValue:
        """The value, or any one where it is undefined, as in lanes that are masked: fit to address memory."""
        return self.code.emit(f"freeze {self.typed}", self.element, self.lanes)

    def bits(self) -> LaneValue:
        """A float's bits, as an integer."""
        return self.convert("bitcast", INTEGER[self.element])

    def as_float(self) -> LaneValue:
        """The float that has these bits."""
        return self.convert("bitcast", "float")

    def convert(self, how: str, element: str) -> LaneValue:
        """By one of LLVM's instructions of conversion."""
        return self.code.emit(f"{how} {self.typed} to {vector(element, self.lanes)}", element, self.lanes)

    def magnitude(self) -> LaneValue:
        """The value without its sign."""
        return self.code.intrinsic("fabs", self)

    def _binary(self, name: str, other: LaneValue | float) -> LaneValue:
        return self._instruction(f"f{name}" if self.element in INTEGER else name, other)

    def _compare(self, name: str, other: LaneValue | float) -> LaneValue:
        order = "" if name == "eq" else "s"
        kind = f"fcmp o{name}" if self.element in INTEGER else f"icmp {order}{name}"
        return self._instruction(kind, other, "i1")

    def _instruction(self, name: str, other: LaneValue | float, element: str | None = None) -> LaneValue:
        b = self.code.match(other, self)
        return self.code.emit(f"{name} {self.typed}, {b.text}", element or self.element, self.lanes)


class LaneCode:
    """The body of a function under way, for a target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.lines: list[str] = []
        self.globals: set[str] = set()

    def parameter(self, number: int, lanes: int) -> LaneValue:
        """A float32 argument of the function."""
        return LaneValue(self, f"%x{number}", "float", lanes)

    def emit(self, text: str, element: str, lanes: int) -> LaneValue:
        """Write an instruction."""
        name = f"%v{len(self.lines)}"
        self.lines.append(f"  {name} = {text}")
        return LaneValue(self, name, element, lanes)

    def match(self, value: LaneValue | float, like: LaneValue) -> LaneValue:
        """A number as a constant of another value's type; a value as it is."""
        if isinstance(value, LaneValue):
            return value
        dtype = {"float": "float32", "double": "float64", "i1": "bool"}.get(like.element, "int64")
        text = literal(value, dtype)
        text = f"splat ({like.element} {text})" if like.lanes else text
        return LaneValue(self, text, like.element, like.lanes)

    def multiply_add(self, a: LaneValue, b: LaneValue | float, c: LaneValue | float) -> LaneValue:
        """``a * b + c``, rounded once where the target has an instruction for it."""
        if not self.target.has_fma:
            return a * b + c
        return self.intrinsic("fma", a, self.match(b, a), self.match(c, a))

    def polynomial(self, x: LaneValue, coefficients: Sequence[LaneValue | float]) -> LaneValue:
        """``c[0] + c[1] * x + ...`` by Horner's rule."""
        *rest, last = coefficients
        result = self.match(last, x)
        for coefficient in reversed(rest):
            result = self.multiply_add(result, x, coefficient)
        return result

    def choose(self, condition: LaneValue, a: LaneValue | float, b: LaneValue | float) -> LaneValue:
        """``a`` where the condition holds, else ``b``; one of them at least is no number."""
        like = a if isinstance(a, LaneValue) else b
        assert isinstance(like, LaneValue)
        then, otherwise = self.match(a, like), self.match(b, like)
        text = f"select {condition.typed}, {then.typed}, {otherwise.typed}"
        return self.emit(text, like.element, like.lanes)

    def at_most(self, x: LaneValue, limit: float) -> LaneValue:
        """The lesser of two; NaN stays NaN."""
        return self.choose(x > limit, limit, x)

    def at_least(self, x: LaneValue, limit: float) -> LaneValue:
        """The greater of two; NaN stays NaN."""
        return self.choose(x < limit, limit, x)

    def intrinsic(self, name: str, *arguments: LaneValue) -> LaneValue:
        """One of LLVM's own functions, of arguments and a result of one type."""
        a = arguments[0]
        full = f"llvm.{name}.{suffix(a.element, a.lanes)}"
        return self.call(full, [(x.type, x.text) for x in arguments], a.element, a.lanes)

    def call(
        self, name: str, arguments: Sequence[tuple[str, str]], element: str, lanes: int = 0
    ) -> LaneValue:
        """A call of a function that the module declares; arguments are types and texts."""
        result = vector(element, lanes)
        self.globals.add(f"declare {result} @{name}({', '.join(kind for kind, _ in arguments)})")
        written = ", ".join(f"{kind} {text}" for kind, text in arguments)
        return self.emit(f"call {result} @{name}({written})", element, lanes)

    # -- groups of lanes ------------------------------------------------------------------------

    def in_groups(
        self, size: int, values: Sequence[LaneValue], write: Callable[..., list[LaneValue]]
    ) -> list[LaneValue]:
        """What ``write`` makes of vectors of ``size`` lanes, for vectors of another number of lanes.

        More lanes are taken group by group; the lanes of a group that is not full hold anything.
        """
        lanes = values[0].lanes
        if lanes == size:
            return write(*values)
        groups = []
        for first in range(0, lanes, size):
            places = [first + n if first + n < lanes else None for n in range(size)]
            groups.append(write(*(self.shuffle(value, value, places) for value in values)))
        return [self._join(parts, lanes) for parts in zip(*groups, strict=True)]

    def _join(self, parts: Sequence[LaneValue], lanes: int) -> LaneValue:
        joined = list(parts)
        while len(joined) > 1:
            joined = [
                self.shuffle(a, b, range(2 * a.lanes)) for a, b in zip(joined[::2], joined[1::2], strict=True)
            ]
        whole = joined[0]
        return whole if whole.lanes == lanes else self.shuffle(whole, whole, range(lanes))

    def shuffle(self, a: LaneValue, b: LaneValue, places: Iterable[int | None]) -> LaneValue:
        """The lanes at these places of ``a`` and ``b``, one behind the other; None is anything."""
        mask = ["i32 poison" if place is None else f"i32 {place}" for place in places]
        text = f"shufflevector {a.typed}, {b.typed}, <{len(mask)} x i32> <{', '.join(mask)}>"
        return self.emit(text, a.element, len(mask))
