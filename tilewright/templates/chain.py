"""Chains of elementwise functions, written as text: ``"relu(x * s + y)"``.

The text is read by Python's own parser and turned into nodes by a closed list; nothing in it is evaluated.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from tilewright.compiler import te
from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.te.expr import DTYPES
from tilewright.compiler.te.storage import SHORT_FLOATS, computed_dtype, storage_dtype
from tilewright.templates.errors import WorkloadError
from tilewright.templates.expression_size import check_size
from tilewright.templates.functions import FUNCTIONS, FUNCTIONS_OF_SEVERAL, Function

KNOWN = {**FUNCTIONS, **FUNCTIONS_OF_SEVERAL}
OPERATORS: dict[type[ast.AST], tuple[str, Function]] = {
    ast.Add: ("+", Function(operator.add, operator.add, arguments=2)),
    ast.Sub: ("-", Function(operator.sub, operator.sub, arguments=2)),
    ast.Mult: ("*", Function(operator.mul, operator.mul, arguments=2)),
    ast.Div: ("/", Function(operator.truediv, operator.truediv, arguments=2, positive=1)),
    ast.Pow: ("**", KNOWN["pow"]),
    ast.USub: ("-", Function(operator.neg, operator.neg)),
    ast.Lt: ("<", Function(operator.lt, operator.lt, arguments=2)),
    ast.LtE: ("<=", Function(operator.le, operator.le, arguments=2)),
    ast.Gt: (">", Function(operator.gt, operator.gt, arguments=2)),
    ast.GtE: (">=", Function(operator.ge, operator.ge, arguments=2)),
    ast.Eq: ("==", Function(operator.eq, operator.eq, arguments=2)),
    ast.NotEq: ("!=", Function(operator.ne, operator.ne, arguments=2)),
    ast.And: ("and", Function(te.all, np.logical_and, arguments=2)),
    ast.Or: ("or", Function(te.any, np.logical_or, arguments=2)),
    ast.Not: ("not", Function(te.logical_not, np.logical_not)),
}
MOST_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Name:
    """An operand."""

    name: str


@dataclass(frozen=True, slots=True)
class Number:
    """A literal."""

    value: float


@dataclass(frozen=True, slots=True)
class Apply:
    """A function of arguments; ``column`` is where it stands in the text."""

    label: str
    function: Function
    arguments: tuple[Node, ...]
    column: int


Node = Name | Number | Apply


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain.

    Attributes:
        text: as it was given.
        root: the outermost node.
        operands: the names in the order in which they first appear.
        positive: those that are arguments where a number above zero is expected.
        operations: how many functions and operators are applied to an element.
        is_costly: whether one of them takes tens of instructions.
    """

    text: str
    root: Node
    operands: tuple[str, ...]
    positive: frozenset[str]
    operations: int
    is_costly: bool

    def express(self, values: Mapping[str, te.Expr]) -> te.Expr:
        """The chain as an expression: that of 16-bit floats is computed in float32, and rounded once.

        Raises:
            WorkloadError: a function cannot take the types of its arguments, or the expression is too long.
        """
        found: te.Expr = self.evaluate(values, lambda apply: apply.function.express)
        check_size(found, f"chain {self.text!r}")
        if all(value.dtype not in SHORT_FLOATS for value in values.values()):
            return found
        wide = {name: te.cast(computed_dtype(value.dtype), value) for name, value in values.items()}
        return te.cast(found.dtype, self.evaluate(wide, lambda apply: apply.function.express))

    def compute(self, arrays: Mapping[str, Any]) -> Any:
        """The chain in NumPy."""
        with np.errstate(all="ignore"):
            return self.evaluate(arrays, lambda apply: apply.function.compute)

    def evaluate(self, values: Mapping[str, Any], choose: Callable[[Apply], Callable[..., Any]]) -> Any:
        """What comes of the operands' values, given what computes each function that is applied."""
        return self._evaluate(self.root, values, choose)

    def _evaluate(
        self, node: Node, values: Mapping[str, Any], choose: Callable[[Apply], Callable[..., Any]]
    ) -> Any:
        if isinstance(node, Name):
            return values[node.name]
        if isinstance(node, Number):
            return node.value
        arguments = [self._evaluate(argument, values, choose) for argument in node.arguments]
        try:
            return choose(node)(*arguments)
        except (TilewrightError, OverflowError) as error:
            raise WorkloadError(f"{_point(self.text, node.column)}: {node.label}: {error}") from None


def parse_chain(text: str) -> Chain:
    """Read a chain.

    Raises:
        WorkloadError: it is none; the message points at the place.
    """
    text = text.strip()
    if len(text) > MOST_CHARACTERS or not text.isascii():
        raise WorkloadError(f"chain: at most {MOST_CHARACTERS} characters, all of them ASCII")
    try:
        tree = ast.parse(text, mode="eval").body
        parser = _Parser(text, tree)
        root = parser.node(tree)
    except SyntaxError as error:
        raise WorkloadError(f"{_point(text, (error.offset or 1) - 1)}: {error.msg}") from None
    except WorkloadError:
        raise
    except (ValueError, RecursionError, MemoryError) as error:
        raise WorkloadError(f"chain {text!r} cannot be read: {error}") from None
    if not parser.operands:
        raise WorkloadError(f"chain {text!r} has no operand; name one, as in relu(x)")
    applied = parser.applied
    return Chain(
        text,
        root,
        tuple(parser.operands),
        frozenset(filter(None, map(_positive, applied))),
        len(applied),
        any(apply.function.is_costly for apply in applied),
    )


@dataclass(slots=True)
class _Parser:
    """Turns Python's tree into nodes; the order is that of the text."""

    text: str
    tree: ast.expr
    operands: dict[str, None] = field(default_factory=dict)
    applied: list[Apply] = field(default_factory=list)

    def node(self, tree: ast.expr) -> Node:
        match tree:
            case ast.Name(id=name):
                return self._operand(tree, name)
            case ast.Constant(value=bool() | int() | float() as value):
                return Number(value)
            case ast.UnaryOp() | ast.BinOp() | ast.BoolOp() | ast.Compare():
                return self._operation(tree)
            case ast.Call(func=ast.Name(id="cast"), args=[value, ast.Name(id=dtype)], keywords=[]):
                return self._cast(tree, value, dtype)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(tree, name, arguments)
        self._refuse(tree, f"known are + - * / ** comparisons, and, or, not, {_names()}")

    def _operation(self, tree: ast.UnaryOp | ast.BinOp | ast.BoolOp | ast.Compare) -> Node:
        match tree:
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return Number(-value)
            case ast.UnaryOp(op=op, operand=operand):
                return self._operate(tree, op, operand)
            case ast.BinOp(left=left, op=op, right=right):
                return self._operate(tree, op, left, right)
            case ast.BoolOp(op=op, values=[first, *others]):
                return self._join(tree, op, first, others)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._operate(tree, op, left, right)
        self._refuse(tree, "one comparison at a time; join two by and")

    def _operand(self, tree: ast.expr, name: str) -> Name:
        if name in KNOWN or name in DTYPES or name == "cast":
            self._refuse(tree, f"{name} is no operand: it is a function's name, or a type's")
        self.operands[name] = None
        return Name(name)

    def _operate(self, tree: ast.expr, op: ast.AST, *arguments: ast.expr) -> Apply:
        if type(op) not in OPERATORS:
            self._refuse(tree, "known operators are + - * / ** < <= > >= == != and or not")
        return self._apply(tree, *OPERATORS[type(op)], [self.node(argument) for argument in arguments])

    def _join(self, tree: ast.expr, op: ast.boolop, first: ast.expr, others: list[ast.expr]) -> Node:
        """``and`` and ``or`` of several, from the left."""
        joined = self.node(first)
        for other in others:
            joined = self._apply(tree, *OPERATORS[type(op)], [joined, self.node(other)])
        return joined

    def _call(self, tree: ast.expr, name: str, arguments: list[ast.expr]) -> Apply:
        function = KNOWN.get(name)
        if function is None:
            self._refuse(tree, f"{name} is none of {_names()}")
        if len(arguments) != function.arguments:
            self._refuse(tree, f"{name} has {function.arguments} arguments, not {len(arguments)}")
        return self._apply(tree, name, function, [self.node(argument) for argument in arguments])

    def _cast(self, tree: ast.expr, value: ast.expr, dtype: str) -> Apply:
        if dtype not in CASTS:
            self._refuse(tree, f"{dtype} is none of the types {', '.join(CASTS)}")
        if dtype in SHORT_FLOATS and tree is not self.tree:
            self._refuse(tree, f"a cast to {dtype} must be around all of the chain, which is rounded once")
        return self._apply(tree, f"cast to {dtype}", CASTS[dtype], [self.node(value)])

    def _apply(self, tree: ast.expr, label: str, function: Function, arguments: list[Node]) -> Apply:
        if all(isinstance(argument, Number) for argument in arguments):
            self._refuse(tree, f"{label} of numbers alone; write its value")
        made = Apply(label, function, tuple(arguments), tree.col_offset)
        self.applied.append(made)
        return made

    def _refuse(self, tree: ast.expr, why: str) -> NoReturn:
        raise WorkloadError(f"{_point(self.text, tree.col_offset)}: {why}")


def _casting(dtype: str) -> Function:
    return Function(lambda x: te.cast(dtype, x), lambda x: np.asarray(x).astype(storage_dtype(dtype)))


CASTS = {dtype: _casting(dtype) for dtype in DTYPES}


def _names() -> str:
    return ", ".join((*KNOWN, "cast(x, DTYPE)"))


def _positive(apply: Apply) -> str | None:
    """The operand that a function wants to be above zero."""
    place = apply.function.positive
    wanted = None if place is None else apply.arguments[place]
    return wanted.name if isinstance(wanted, Name) else None


def _point(text: str, column: int) -> str:
    """The chain with an arrow ahead of the place."""
    return f"chain {text[:column] + ' --> ' + text[column:]!r}"
