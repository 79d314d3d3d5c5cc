"""Index arithmetic in canonical form: a sum of integer multiples of atoms, and interval bounds.

An atom is a variable, or a quotient, remainder, minimum or other part that is not linear.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from math import gcd

from tilewright.compiler.ir.visit import substitute, variables
from tilewright.compiler.te.expr import INDEX, Binary, Const, Expr, Unary, Var, children

FAR = 1 << 60
Ranges = Mapping[Var, tuple[int, int]]
NO_RANGES: dict[Var, tuple[int, int]] = {}


class Linear:
    """``sum(coefficient * atom) + const``; ``terms`` maps an atom's key to the atom and its coefficient."""

    __slots__ = ("const", "terms")

    def __init__(self, terms: dict[Hashable, tuple[Expr, int]], const: int) -> None:
        self.terms = terms
        self.const = const

    def add(self, other: Linear, scale: int = 1) -> Linear:
        """``self + scale * other``."""
        terms = dict(self.terms)
        for key, (atom, coefficient) in other.terms.items():
            total = terms[key][1] + scale * coefficient if key in terms else scale * coefficient
            if total:
                terms[key] = (atom, total)
            else:
                terms.pop(key, None)
        return Linear(terms, self.const + scale * other.const)

    def scale(self, factor: int) -> Linear:
        """``factor * self``."""
        return ZERO.add(self, factor)

    def coefficient(self, var: Var) -> int:
        """How often the variable occurs as an atom."""
        return self.terms[id(var)][1] if id(var) in self.terms else 0

    def without(self, var: Var) -> Linear:
        """The form with the variable's own term left out."""
        return Linear({k: t for k, t in self.terms.items() if k != id(var)}, self.const)

    def to_expr(self) -> Expr:
        """The expression, positive terms first."""
        result: Expr | None = None
        for atom, coefficient in sorted(self.terms.values(), key=lambda t: t[1] < 0):
            size = abs(coefficient)
            part = atom if size == 1 else Binary("*", atom, Const(size, INDEX))
            if result is None:
                result = part if coefficient > 0 else Binary("*", atom, Const(coefficient, INDEX))
            else:
                result = Binary("+" if coefficient > 0 else "-", result, part)
        if result is None:
            return Const(self.const, INDEX)
        if self.const:
            result = Binary("+" if self.const > 0 else "-", result, Const(abs(self.const), INDEX))
        return result


ZERO = Linear({}, 0)


def key(expr: Expr) -> Hashable:
    """A structural key: equal for expressions that are written alike."""
    match expr:
        case Var():
            return id(expr)
        case Const():
            return (expr.dtype, expr.value)
        case Binary() | Unary():
            return (expr.op, *(key(c) for c in children(expr)))
        case _:
            name = getattr(expr, "name", None) or id(getattr(expr, "source", None))
            return (type(expr).__name__, expr.dtype, name, *(key(c) for c in children(expr)))


def linear(expr: Expr, ranges: Ranges = NO_RANGES) -> Linear:
    """The canonical form of an index; ``ranges`` (inclusive) help to resolve quotients and remainders."""
    match expr:
        case Const():
            return Linear({}, int(expr.value))
        case Var():
            low, high = ranges.get(expr, (0, 1))
            return Linear({}, low) if low == high else Linear({id(expr): (expr, 1)}, 0)
        case Unary(op="neg"):
            return linear(expr.value, ranges).scale(-1)
        case Binary():
            return _linear_binary(expr, ranges)
        case _:
            return _atom(_settle(expr, ranges))


def _settle(expr: Expr, ranges: Ranges) -> Expr:
    """What is not linear, without variables that have one value: such have no loop."""
    known = {var: ranges[var] for var in variables(expr) if var in ranges}
    return substitute(expr, {v: Const(low, v.dtype) for v, (low, high) in known.items() if low == high})


def _atom(expr: Expr) -> Linear:
    return Linear({key(expr): (expr, 1)}, 0)


def _linear_binary(expr: Binary, ranges: Ranges) -> Linear:
    a, b = linear(expr.a, ranges), linear(expr.b, ranges)
    match expr.op:
        case "+":
            return recombine(a.add(b), ranges)
        case "-":
            return a.add(b, -1)
        case "*" if not b.terms:
            return a.scale(b.const)
        case "*" if not a.terms:
            return b.scale(a.const)
        case "//" if not b.terms and b.const > 0:
            return _floordiv(a, b.const, ranges)
        case "%" if not b.terms and b.const > 0:
            return _floormod(a, b.const, ranges)
        case "min" | "max":
            return _extremum(expr.op, a, b, ranges)
        case _:
            return _atom(Binary(expr.op, a.to_expr(), b.to_expr()))


def _extremum(op: str, a: Linear, b: Linear, ranges: Ranges) -> Linear:
    low, high = bounds(a.add(b, -1), ranges)
    if low >= 0:
        return a if op == "max" else b
    if high <= 0:
        return b if op == "max" else a
    return _atom(_join(op, a.to_expr(), b.to_expr(), ranges))


def _join(op: str, a: Expr, b: Expr, ranges: Ranges) -> Expr:
    """The extremum of nested extrema, without the parts that another part covers."""
    parts: list[Expr] = []
    for part in (*_parts(op, a), *_parts(op, b)):
        forms = [linear(part, ranges).add(linear(other, ranges), -1) for other in parts]
        limits = [bounds(form, ranges) for form in forms]
        if any((low >= 0) if op == "min" else (high <= 0) for low, high in limits):
            continue
        parts = [
            p for p, (low, high) in zip(parts, limits, strict=True) if (high > 0 if op == "min" else low < 0)
        ]
        parts.append(part)
    result = parts[0]
    for part in parts[1:]:
        result = Binary(op, result, part)
    return result


def _parts(op: str, expr: Expr) -> list[Expr]:
    if isinstance(expr, Binary) and expr.op == op:
        return _parts(op, expr.a) + _parts(op, expr.b)
    return [expr]


def _split(form: Linear, divisor: int) -> tuple[Linear, Linear]:
    """Whole multiples of the divisor (divided by it), and the rest."""
    whole = {k: (x, c // divisor) for k, (x, c) in form.terms.items() if c % divisor == 0}
    rest = {k: t for k, t in form.terms.items() if k not in whole}
    return Linear(whole, form.const // divisor), Linear(rest, form.const % divisor)


def _common_part(form: Linear, divisor: int, ranges: Ranges) -> tuple[int, Linear, Linear] | None:
    """``form = g * big + small`` with ``g`` dividing the divisor and ``small`` in ``[0, g)``."""
    for g in sorted({gcd(divisor, c) for _, c in form.terms.values()} - {1}, reverse=True):
        big, small = _split(form, g)
        low, high = bounds(small, ranges)
        if low >= 0 and high < g:
            return g, big, small
    return None


def _floordiv(form: Linear, divisor: int, ranges: Ranges) -> Linear:
    whole, rest = _split(form, divisor)
    low, high = bounds(rest, ranges)
    if low // divisor == high // divisor:
        return Linear(whole.terms, whole.const + low // divisor)
    common = _common_part(rest, divisor, ranges)
    if common is not None and common[0] < divisor:
        g, big, _ = common
        return whole.add(_floordiv(big, divisor // g, ranges))
    return whole.add(_atom(Binary("//", rest.to_expr(), Const(divisor, INDEX))))


def _floormod(form: Linear, divisor: int, ranges: Ranges) -> Linear:
    _, rest = _split(form, divisor)
    low, high = bounds(rest, ranges)
    if low // divisor == high // divisor:
        return Linear(rest.terms, rest.const - divisor * (low // divisor))
    common = _common_part(rest, divisor, ranges)
    if common is not None and common[0] < divisor:
        g, big, small = common
        return small.add(_floormod(big, divisor // g, ranges), g)
    return _atom(Binary("%", rest.to_expr(), Const(divisor, INDEX)))


def recombine(form: Linear, ranges: Ranges) -> Linear:
    """``c * (x // c) + x % c`` is ``x``."""
    for atom, coefficient in list(form.terms.values()):
        if isinstance(atom, Binary) and atom.op == "%" and isinstance(atom.b, Const):
            divisor = int(atom.b.value)
            quotient = _floordiv(linear(atom.a, ranges), divisor, ranges)
            if len(quotient.terms) == 1 and not quotient.const:
                (k, (_, scale)), *_ = quotient.terms.items()
                if k in form.terms and form.terms[k][1] == coefficient * divisor * scale:
                    form = form.add(quotient, -coefficient * divisor)
                    form = form.add(_atom(atom), -coefficient).add(linear(atom.a, ranges), coefficient)
    return form


def bounds(value: Expr | Linear, ranges: Ranges) -> tuple[int, int]:
    """Inclusive limits of an index, ``(-FAR, FAR)`` where nothing is known."""
    if isinstance(value, Linear):
        low = high = value.const
        for atom, coefficient in value.terms.values():
            a, b = _atom_bounds(atom, ranges)
            low += coefficient * (a if coefficient > 0 else b)
            high += coefficient * (b if coefficient > 0 else a)
        return max(low, -FAR), min(high, FAR)
    return bounds(linear(value, ranges), ranges)


def _atom_bounds(atom: Expr, ranges: Ranges) -> tuple[int, int]:
    if isinstance(atom, Var):
        return ranges.get(atom, (-FAR, FAR))
    if not isinstance(atom, Binary):
        return (0, 1) if atom.dtype == "bool" else (-FAR, FAR)
    a, b = bounds(atom.a, ranges), bounds(atom.b, ranges)
    match atom.op:
        case "min":
            return min(a[0], b[0]), min(a[1], b[1])
        case "max":
            return max(a[0], b[0]), max(a[1], b[1])
        case "//" if b[0] == b[1] > 0:
            return _far(a[0], a[0] // b[0]), _far(a[1], a[1] // b[0])
        case "%" if b[0] == b[1] > 0:
            return (a[0], a[1]) if a[0] >= 0 and a[1] < b[0] else (0, b[0] - 1)
        case "*":
            corners = [x * y for x in a for y in b]
            return max(min(corners), -FAR), min(max(corners), FAR)
        case _:
            return -FAR, FAR


def _far(original: int, divided: int) -> int:
    return original if abs(original) >= FAR else divided


def simplify_index(expr: Expr, ranges: Ranges) -> Expr:
    """The canonical expression of an index."""
    return linear(expr, ranges).to_expr()


def ceildiv(a: Expr, b: int) -> Expr:
    """``a / b`` rounded up."""
    return a if b == 1 else (a + (b - 1)) // b
