"""Match loops with the computation of an intrinsic, and make one call of them.

The loops' accesses are compared in the memory that they touch: each step along an axis of the pattern must
move an access as the pattern says, by strides that the intrinsic is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.ir.affine import Linear, Ranges, linear
from tilewright.compiler.ir.loops import Buffer, Intrinsic, IntrinsicArgument, Stmt
from tilewright.compiler.ir.visit import variables
from tilewright.compiler.lower.regions import Limit
from tilewright.compiler.te.expr import (
    INDEX,
    Binary,
    Call,
    Cast,
    Const,
    Expr,
    IterVar,
    Load,
    Reduce,
    Unary,
    Var,
    children,
)
from tilewright.compiler.te.tensor import ComputeOp, loads
from tilewright.compiler.te.tensor_intrin import TensorIntrin

Steps = tuple[int, ...]


class _MismatchError(Exception):
    """How a stage differs from the pattern, said in the stage's own terms."""


@dataclass(frozen=True, slots=True)
class TensorizedLoops:
    """The innermost loops of a stage: what they compute, in terms of buffers."""

    stage: str
    loops: Sequence[IterVar]
    extents: Mapping[IterVar, int]
    kind: str
    target: Load
    value: Expr
    limits: Sequence[Limit]
    ranges: Ranges


def write_call(inner: TensorizedLoops, intrin: TensorIntrin, loops: Stmt) -> Stmt:
    """The call that takes the place of ``loops``.

    Raises:
        ScheduleError: the loops are not what the intrinsic computes; it says what differs.
    """
    op = intrin.op
    try:
        _check_loops(inner, op)
        arguments = _arguments(inner, op)
    except _MismatchError as problem:
        raise ScheduleError(
            f"tensorize({inner.loops[0].name}, {intrin.name}) of {inner.stage}: {problem}"
        ) from None
    return Intrinsic(intrin, arguments, loops)


def _running(inner: TensorizedLoops) -> list[IterVar]:
    return [loop for loop in inner.loops if inner.extents[loop] > 1]


def _check_loops(inner: TensorizedLoops, op: ComputeOp) -> None:
    kind = op.body.kind if isinstance(op.body, Reduce) else ""
    if kind != inner.kind:
        words = [f"a {k}" if k else "no reduction" for k in (inner.kind, kind)]
        raise _MismatchError(f"the stage is {words[0]}, the intrinsic is {words[1]}")
    if op.body.dtype != inner.target.dtype:
        raise _MismatchError(f"the stage is {inner.target.dtype}, the intrinsic is {op.body.dtype}")
    own = set(_running(inner))
    for limit in inner.limits:
        if limit.is_loose:
            continue
        cut = variables(limit.value) & own
        if cut:
            names = ", ".join(sorted(v.name for v in cut))
            raise _MismatchError(f"{names} has a tail; split by factors that divide")
    for what in ("data", "reduce"):
        has = [loop for loop in _running(inner) if loop.kind == what]
        wants = [axis for axis in (*op.axis, *op.reduce_axis) if axis.kind == what and axis.extent > 1]
        if sorted(inner.extents[a] for a in has) != sorted(a.extent for a in wants):
            mine = ", ".join(f"{a.name} ({inner.extents[a]})" for a in has) or "none"
            theirs = ", ".join(f"{a.name} ({a.extent})" for a in wants) or "none"
            kinds = {"data": "loops over the output", "reduce": "reduction loops"}
            raise _MismatchError(
                f"its {kinds[what]} from there inwards are {mine}, the intrinsic has {theirs}"
            )


def _arguments(inner: TensorizedLoops, op: ComputeOp) -> list[IntrinsicArgument]:
    """The arguments, by the first correspondence of loops and axes that fits."""
    problem: _MismatchError | None = None
    for chosen in _correspondences(inner, op):
        try:
            return _Match(inner, chosen).arguments(op)
        except _MismatchError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _correspondences(inner: TensorizedLoops, op: ComputeOp) -> Iterator[dict[Var, IterVar | None]]:
    """The ways to take the pattern's axes for loops of the same kind and extent."""
    has = _running(inner)
    data, reduced = ([loop for loop in has if loop.kind == kind] for kind in ("data", "reduce"))
    wanted = [axis for axis in (*op.axis, *op.reduce_axis) if axis.extent > 1]
    idle: dict[Var, IterVar | None] = dict.fromkeys((*op.axis, *op.reduce_axis))
    for first in permutations(data):
        for second in permutations(reduced):
            order = [*first, *second]
            if all(inner.extents[a] == b.extent for a, b in zip(order, wanted, strict=True)):
                yield {**idle, **dict(zip(wanted, order, strict=True))}


@dataclass(slots=True)
class _Match:
    """One correspondence of the pattern's axes with loops, and what follows for its tensors."""

    inner: TensorizedLoops
    chosen: dict[Var, IterVar | None]
    found: dict[str, IntrinsicArgument] = field(default_factory=dict)

    def arguments(self, op: ComputeOp) -> list[IntrinsicArgument]:
        body = op.body.update[0] if isinstance(op.body, Reduce) else op.body
        self.expr(body, self.inner.value)
        output = self.access(op.name, op.axis, self.inner.target)
        return [*(self.found[tensor.name] for tensor in op.inputs), output]

    def expr(self, pattern: Expr, mine: Expr) -> None:
        """Compare a part of the pattern with the same part of the stage."""
        if pattern.dtype == INDEX and next(loads(pattern), None) is None:
            self.index(pattern, mine)
            return
        if isinstance(pattern, Load) and isinstance(mine, Load):
            self.read(pattern, mine)
            return
        if _head(pattern) != _head(mine):
            raise _MismatchError(f"it computes {mine} where the intrinsic has {pattern}")
        for a, b in zip(children(pattern), children(mine), strict=True):
            self.expr(a, b)

    def index(self, pattern: Expr, mine: Expr) -> None:
        rest = self.form(pattern).add(linear(mine, self.inner.ranges), -1)
        if mine.dtype != INDEX or rest.terms or rest.const:
            raise _MismatchError(f"it computes {mine} where the intrinsic has {pattern}")

    def form(self, pattern: Expr) -> Linear:
        """A pattern's index, in terms of the loops."""
        result = Linear({}, 0)
        form = linear(pattern)
        for atom, scale in form.terms.values():
            if not isinstance(atom, Var):
                raise _MismatchError(f"the intrinsic's index {pattern} is not a sum of its axes")
            loop = self.chosen[atom]
            if loop is not None:
                result = result.add(Linear({id(loop): (loop, 1)}, 0), scale)
        return Linear(result.terms, form.const)

    def read(self, pattern: Load, mine: Load) -> None:
        name = pattern.source.name
        if pattern.dtype != mine.dtype:
            raise _MismatchError(
                f"{mine.source.name} is {mine.dtype}, the intrinsic's {name} is {pattern.dtype}"
            )
        argument = self.access(name, pattern.indices, mine)
        known = self.found.setdefault(name, argument)
        if not _is_same(known, argument, self.inner.ranges):
            raise _MismatchError(f"{mine} does not lie to {known.base} as the intrinsic's reads of {name} do")

    def access(self, name: str, indices: Sequence[Expr], mine: Load) -> IntrinsicArgument:
        """The strides, as steps in each stored dimension, and the element at the pattern's origin."""
        forms = [linear(index, self.inner.ranges) for index in mine.indices]
        moves = {loop: _steps(forms, loop, mine) for loop in _running(self.inner)}
        wanted = [self.form(index) for index in indices]
        strides = [self.stride(d, wanted, moves, f"{mine} against {name}") for d in range(len(wanted))]
        for loop, move in moves.items():
            scales = [form.coefficient(loop) for form in wanted]
            if move != _combine(scales, strides, len(forms)):
                raise _MismatchError(f"{mine} moves with {loop.name} as the intrinsic's {name} does not")
        shift = _combine([form.const for form in wanted], strides, len(forms))
        begins = [
            Linear({k: t for k, t in form.terms.items() if t[0] not in moves}, form.const - back).to_expr()
            for form, back in zip(forms, shift, strict=True)
        ]
        assert isinstance(mine.source, Buffer)
        return IntrinsicArgument(Load(mine.source, begins), tuple(strides))

    def stride(self, d: int, wanted: Sequence[Linear], moves: Mapping[IterVar, Steps], what: str) -> Steps:
        """How far a step along dimension ``d`` of the pattern's tensor goes, told by an axis of its own."""
        count = len(next(iter(moves.values()), ()))
        if not wanted[d].terms:
            return (0,) * count
        for loop, move in moves.items():
            scales = [form.coefficient(loop) for form in wanted]
            if scales[d] and not any(scales[:d] + scales[d + 1 :]):
                if any(step % scales[d] for step in move):
                    break
                return tuple(step // scales[d] for step in move)
        raise _MismatchError(f"{what}: no axis of the intrinsic tells the stride of dimension {d}")


def _steps(forms: Sequence[Linear], loop: IterVar, mine: Load) -> Steps:
    for form in forms:
        if loop in variables(form.without(loop).to_expr()):
            raise _MismatchError(f"{mine} is not read at even steps of {loop.name}")
    return tuple(form.coefficient(loop) for form in forms)


def _combine(scales: Sequence[int], strides: Sequence[Steps], count: int) -> Steps:
    return tuple(sum(s * steps[n] for s, steps in zip(scales, strides, strict=True)) for n in range(count))


def _is_same(a: IntrinsicArgument, b: IntrinsicArgument, ranges: Ranges) -> bool:
    if a.base.source is not b.base.source or a.steps != b.steps:
        return False
    pairs = zip(a.base.indices, b.base.indices, strict=True)
    differences = [linear(x, ranges).add(linear(y, ranges), -1) for x, y in pairs]
    return not any(form.terms or form.const for form in differences)


def _head(expr: Expr) -> tuple[object, ...]:
    """What a node is, without its operands."""
    match expr:
        case Const():
            return ("const", expr.value, expr.dtype)
        case Binary() | Unary():
            return (expr.op, expr.dtype)
        case Call():
            return (expr.name, expr.dtype)
        case Cast():
            return ("cast", expr.dtype)
        case _:
            return (type(expr).__name__, expr.dtype)
