"""Expressions to LLVM IR, scalar or in vector lanes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial

from tilewright.compiler.backends.llvm_function import FunctionText, Operand, constant
from tilewright.compiler.backends.llvm_halves import narrow_bits, widen_float16
from tilewright.compiler.backends.llvm_memory import Lanes, Memory, retyped
from tilewright.compiler.backends.llvm_types import VALUE, is_float, is_signed, suffix, vector
from tilewright.compiler.backends.llvm_words import write_dot, write_word
from tilewright.compiler.backends.vector_math.functions import FUNCTIONS, define_function, function_name
from tilewright.compiler.errors import CompileError
from tilewright.compiler.ir.affine import Ranges, bounds, key
from tilewright.compiler.ir.visit import walk
from tilewright.compiler.target import Target
from tilewright.compiler.te.expr import (
    COMPARISONS,
    INDEX,
    LOGICAL,
    ON_NUMBERS,
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
from tilewright.compiler.te.storage import SHORT_FLOATS
from tilewright.compiler.te.words import dot_dtypes

FLOAT_OPS = {"+": "fadd", "-": "fsub", "*": "fmul", "/": "fdiv"}
INT_OPS = {"+": "add", "-": "sub", "*": "mul"}
BITWISE = {"&": "and", "|": "or", "^": "xor"}
PREDICATES = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
INTRINSICS = {
    "exp": "exp",
    "exp2": "exp2",
    "log": "log",
    "sqrt": "sqrt",
    "sin": "sin",
    "cos": "cos",
    "floor": "floor",
    "ceil": "ceil",
    "round": "roundeven",
    "trunc": "trunc",
    "abs": "fabs",
    "pow": "pow",
}


@dataclass(slots=True)
class ExprWriter:
    """Writes expressions into a function."""

    text: FunctionText
    memory: Memory
    ranges: Ranges
    declare: Callable[[str], None]
    target: Target
    fast: str = "contract"

    def scalar(self, expr: Expr) -> Operand:
        """An expression that is the same in every lane."""
        operand = self.write(expr, None)
        return operand

    def write(self, expr: Expr, lanes: Lanes | None) -> Operand:
        """An expression; a vector only where it differs from lane to lane."""
        match expr:
            case Const():
                return constant(expr.value, expr.dtype)
            case Var():
                return self.variable(expr, lanes)
            case Load():
                return self.load(expr, lanes)
            case Binary():
                return self.binary(expr, lanes)
            case Select():
                return self.select(expr, lanes)
            case Cast():
                return self.cast(self.write(expr.value, lanes), expr.dtype)
            case Unary():
                return self.unary(expr, self.write(expr.value, lanes))
            case Call():
                return self.call(expr, lanes)
            case _:
                raise CompileError(f"cannot compile the expression {expr}")

    def variable(self, var: Var, lanes: Lanes | None) -> Operand:
        """A loop variable, or the lanes of a vectorized one."""
        if lanes is None or var is not lanes.var:
            return self.memory.variables[var]
        steps = ", ".join(f"i64 {n}" for n in range(lanes.count))
        base = self.splat(lanes.base, lanes.count)
        return self.text.pure(f"add {base.typed}, <{steps}>", INDEX, lanes.count, base)

    def load(self, expr: Load, lanes: Lanes | None) -> Operand:
        """A read, by the way its address changes from lane to lane."""
        return self.memory.load(expr, lanes, self)

    def splat(self, operand: Operand, lanes: int) -> Operand:
        """The value in every lane."""
        if operand.lanes or not lanes:
            return operand
        if not operand.text.startswith("%"):
            text = f"splat ({operand.type} {operand.text})"
            return Operand(text, operand.dtype, lanes, operand.depth)
        whole = vector(operand.type, lanes)
        one = self.text.pure(
            f"insertelement {whole} poison, {operand.typed}, i64 0", operand.dtype, lanes, operand
        )
        shuffle = f"shufflevector {one.typed}, {whole} poison, <{lanes} x i32> zeroinitializer"
        return self.text.pure(shuffle, operand.dtype, lanes, one)

    def match_lanes(self, a: Operand, b: Operand) -> tuple[Operand, Operand]:
        """Both operands as vectors where one of them is."""
        if a.lanes == b.lanes:
            return a, b
        return self.splat(a, b.lanes), self.splat(b, a.lanes)

    # -- arithmetic -----------------------------------------------------------------------------

    def binary(self, expr: Binary, lanes: Lanes | None) -> Operand:
        """Arithmetic, comparisons and connectives."""
        if expr.op == "+" and isinstance(expr.b, Call) and dot_dtypes(expr.b):
            return write_dot(self, expr.b, lanes, self.write(expr.a, lanes))
        if expr.op == "+" and is_float(expr.dtype) and isinstance(expr.b, Binary) and expr.b.op == "*":
            return self._multiply_add(expr, expr.b, lanes)
        a, b = self.match_lanes(self.write(expr.a, lanes), self.write(expr.b, lanes))
        return self.operate(expr.op, a, b, expr)

    def _multiply_add(self, expr: Binary, product: Binary, lanes: Lanes | None) -> Operand:
        """``a + b * c``, in one instruction where there is one: rounding once is allowed."""
        parts = [self.write(part, lanes) for part in (expr.a, product.a, product.b)]
        count = max(part.lanes for part in parts)
        addend, *factors = (self.splat(part, count) for part in parts)
        a = addend
        name = f"llvm.fmuladd.{suffix(VALUE[a.dtype], a.lanes)}"
        self.declare(f"declare {a.type} @{name}({a.type}, {a.type}, {a.type})")
        arguments = ", ".join(part.typed for part in (*factors, addend))
        return self.text.pure(
            f"call {self.fast} {a.type} @{name}({arguments})", a.dtype, a.lanes, *factors, addend
        )

    def operate(self, op: str, a: Operand, b: Operand, expr: Binary | None = None) -> Operand:
        """``a op b`` on operands of one type."""
        known = _fold(op, a, b)
        if known is not None:
            return known
        pure = self.text.pure
        if op in COMPARISONS:
            return pure(f"{self._comparison(op, a.dtype)} {a.typed}, {b.text}", "bool", a.lanes, a, b)
        if op in LOGICAL:
            return pure(f"{op} {a.typed}, {b.text}", "bool", a.lanes, a, b)
        if op in BITWISE:
            return pure(f"{BITWISE[op]} {a.typed}, {b.text}", a.dtype, a.lanes, a, b)
        if op in ("min", "max"):
            return self._extremum(op, a, b)
        if is_float(a.dtype):
            if op not in FLOAT_OPS:
                raise CompileError(f"{op} on {a.dtype} is not supported by the llvm backend")
            return pure(f"{FLOAT_OPS[op]} {self.fast} {a.typed}, {b.text}", a.dtype, a.lanes, a, b)
        if op in INT_OPS:
            return pure(f"{INT_OPS[op]} {a.typed}, {b.text}", a.dtype, a.lanes, a, b)
        return self._divide(op, a, b, expr)

    def _comparison(self, op: str, dtype: str) -> str:
        name = PREDICATES[op]
        if is_float(dtype):
            return f"fcmp {'une' if op == '!=' else 'o' + name}"
        sign = "" if op in ("==", "!=") else "s" if is_signed(dtype) else "u"
        return f"icmp {sign}{name}"

    def _extremum(self, op: str, a: Operand, b: Operand) -> Operand:
        if is_float(a.dtype):
            name = f"llvm.{op}imum.{suffix(VALUE[a.dtype], a.lanes)}"
        else:
            name = f"llvm.{'s' if is_signed(a.dtype) else 'u'}{op}.{suffix(VALUE[a.dtype], a.lanes)}"
        # Which of two zeros is the greater is as open as it is in NumPy; to order them costs instructions.
        flags = "nsz " if is_float(a.dtype) else ""
        self.declare(f"declare {a.type} @{name}({a.type}, {a.type})")
        return self.text.pure(f"call {flags}{a.type} @{name}({a.typed}, {b.typed})", a.dtype, a.lanes, a, b)

    def _divide(self, op: str, a: Operand, b: Operand, expr: Binary | None) -> Operand:
        """Division rounding down, as Python's; by zero it gives 0, as NumPy's.

        The processor faults where a divisor is zero, or -1 with the least integer, and a division may be
        computed where its result is not used: such divisors are replaced.
        """
        if expr is not None and self._is_ordinary(expr.b):
            return self._divide_ordinary(op, a, b, expr)
        pure = self.text.pure
        zero, one = (self.splat(constant(n, a.dtype), a.lanes) for n in (0, 1))
        special = pure(f"icmp eq {b.typed}, {zero.text}", "bool", a.lanes, b)
        if is_signed(a.dtype):
            minus = self.splat(constant(-1, a.dtype), a.lanes)
            is_minus = pure(f"icmp eq {b.typed}, {minus.text}", "bool", a.lanes, b)
            special = pure(f"or {special.typed}, {is_minus.text}", "bool", a.lanes, special, is_minus)
        result = self._divide_ordinary(op, a, self.choose(special, one, b), expr)
        if op == "%":
            return result
        return self.choose(special, self.operate("*", a, b), result)

    def _divide_ordinary(self, op: str, a: Operand, b: Operand, expr: Binary | None) -> Operand:
        """Division by what is not zero, and -1 only where that cannot overflow; cheaper without signs."""
        pure = self.text.pure
        plain = not is_signed(a.dtype) or (
            expr is not None and self._nonnegative(expr.a) and self._positive(expr.b)
        )
        if plain:
            return pure(f"{'udiv' if op == '//' else 'urem'} {a.typed}, {b.text}", a.dtype, a.lanes, a, b)
        zero = self.splat(constant(0, a.dtype), a.lanes)
        rest = pure(f"srem {a.typed}, {b.text}", a.dtype, a.lanes, a, b)
        mixed = pure(f"xor {rest.typed}, {b.text}", a.dtype, a.lanes, rest, b)
        signs = pure(f"icmp slt {mixed.typed}, {zero.text}", "bool", a.lanes, mixed)
        uneven = pure(f"icmp ne {rest.typed}, {zero.text}", "bool", a.lanes, rest)
        wrong = pure(f"and {signs.typed}, {uneven.text}", "bool", a.lanes, signs, uneven)
        if op == "%":
            fixed = pure(f"add {rest.typed}, {b.text}", a.dtype, a.lanes, rest, b)
            return self.choose(wrong, fixed, rest)
        quotient = pure(f"sdiv {a.typed}, {b.text}", a.dtype, a.lanes, a, b)
        wide = pure(f"sext {wrong.typed} to {a.type}", a.dtype, a.lanes, wrong)
        return pure(f"add {quotient.typed}, {wide.text}", a.dtype, a.lanes, quotient, wide)

    def _nonnegative(self, expr: Expr) -> bool:
        return expr.dtype == INDEX and bounds(expr, self.ranges)[0] >= 0

    def _is_ordinary(self, expr: Expr) -> bool:
        if isinstance(expr, Const):
            return expr.value not in (0, -1)
        return expr.dtype == INDEX and bounds(expr, self.ranges)[0] > 0

    def _positive(self, expr: Expr) -> bool:
        return isinstance(expr, Const) and expr.value > 0

    def unary(self, expr: Unary, a: Operand) -> Operand:
        """Negation."""
        if expr.op == "not":
            text = f"xor {a.typed}, {'splat (i1 true)' if a.lanes else 'true'}"
        elif is_float(a.dtype):
            text = f"fneg {a.typed}"
        else:
            text = f"sub {a.type} {'zeroinitializer' if a.lanes else 0}, {a.text}"
        return self.text.pure(text, a.dtype, a.lanes, a)

    def choose(self, condition: Operand, then: Operand, otherwise: Operand) -> Operand:
        """``then`` where the condition holds; both sides are computed."""
        then, otherwise = self.match_lanes(then, otherwise)
        if condition.lanes and not then.lanes:
            then, otherwise = self.splat(then, condition.lanes), self.splat(otherwise, condition.lanes)
        text = f"select {condition.typed}, {then.typed}, {otherwise.typed}"
        return self.text.pure(text, then.dtype, then.lanes, condition, then, otherwise)

    def cast(self, a: Operand, dtype: str) -> Operand:
        """Convert a value."""
        source, target = VALUE[a.dtype], vector(VALUE[dtype], a.lanes)
        if dtype == "bool":
            zero = self.splat(constant(0, a.dtype), a.lanes)
            kind = "fcmp une" if is_float(a.dtype) else "icmp ne"
            return self.text.pure(f"{kind} {a.typed}, {zero.text}", "bool", a.lanes, a)
        if dtype in SHORT_FLOATS:
            return self._round_half(self.cast(a, "float32") if a.dtype != "float32" else a, dtype)
        if source == VALUE[dtype]:
            return Operand(a.text, dtype, a.lanes, a.depth)
        name = _conversion(a.dtype, dtype)
        return self.text.pure(f"{name} {a.typed} to {target}", dtype, a.lanes, a)

    def _round_half(self, a: Operand, dtype: str) -> Operand:
        half = vector("half" if dtype == "float16" else "bfloat", a.lanes)
        if dtype in self.memory.emulated:
            raw = narrow_bits(self.text, a, dtype)
            if dtype == "float16":
                return retyped(widen_float16(self.text, raw), dtype)
            return self.text.pure(f"fpext {half} {raw.text} to {a.type}", dtype, a.lanes, raw)
        short = self.text.pure(f"fptrunc {a.typed} to {half}", dtype, a.lanes, a)
        return self.text.pure(f"fpext {half} {short.text} to {a.type}", dtype, a.lanes, short)

    # -- choice and functions -------------------------------------------------------------------

    def select(self, expr: Select, lanes: Lanes | None) -> Operand:
        """A choice: lanes mask their reads; a scalar condition that guards a read becomes a branch.

        What the condition reads is there in all lanes.
        """
        condition = self.write(expr.condition, lanes)
        if condition.text in ("true", "false"):
            return self.write(expr.then if condition.text == "true" else expr.otherwise, lanes)
        if condition.lanes and lanes is not None:
            read = {key(node) for node in walk(expr.condition) if isinstance(node, Load)}
            if _reads_only(read, expr.then) and _reads_only(read, expr.otherwise):
                return self.choose(condition, self.write(expr.then, lanes), self.write(expr.otherwise, lanes))
            negated = self.unary(Unary("not", expr.condition), condition)
            then = self.write(expr.then, self.masked(lanes, condition))
            otherwise = self.write(expr.otherwise, self.masked(lanes, negated))
            return self.choose(condition, then, otherwise)
        if not (_reads(expr.then) or _reads(expr.otherwise)):
            return self.choose(condition, self.write(expr.then, lanes), self.write(expr.otherwise, lanes))
        return self._branch(condition, expr, lanes)

    def masked(self, lanes: Lanes, condition: Operand) -> Lanes:
        """The lanes in which a condition holds too."""
        mask = condition if lanes.mask is None else self.operate("and", lanes.mask, condition)
        return Lanes(lanes.var, lanes.base, lanes.count, mask)

    def _varies(self, expr: Expr, var: Var) -> bool:
        """Whether a value differs by lane: by the variable, or by memory that is each lane's own."""
        if expr is var or (isinstance(expr, Load) and expr.source in self.memory.spread):
            return True
        return any(self._varies(child, var) for child in children(expr))

    def _branch(self, condition: Operand, expr: Select, lanes: Lanes | None) -> Operand:
        differs = lanes is not None and (lanes.may_be_idle or self._varies(expr, lanes.var))
        count = lanes.count if lanes is not None and differs else 0

        def side(chosen: Expr) -> Operand:
            return self.splat(self.write(chosen, lanes), count)

        sides = [partial(side, expr.then), partial(side, expr.otherwise)]
        (a, from_a), (b, from_b) = self.text.branch(condition, sides)
        assert a is not None
        assert b is not None
        return self.text.value(
            f"phi {a.type} [ {a.text}, %{from_a} ], [ {b.text}, %{from_b} ]", a.dtype, a.lanes
        )

    def call(self, expr: Call, lanes: Lanes | None) -> Operand:
        """A mathematical function, or a word."""
        if expr.name == "word":
            return write_word(self, expr, lanes)
        if dot_dtypes(expr):
            return write_dot(self, expr, lanes)
        args = [self.write(arg, lanes) for arg in expr.args]
        count = max(a.lanes for a in args)
        args = [self.splat(a, count) for a in args]
        a = args[0]
        if expr.name in FUNCTIONS and VALUE[a.dtype] == "float":
            return self._vector_function(expr.name, args)
        if expr.name == "abs" and not is_float(a.dtype):
            zero = self.splat(constant(0, a.dtype), a.lanes)
            return self._extremum("max", a, self.operate("-", zero, a))
        one = self.splat(constant(1.0, a.dtype), a.lanes) if is_float(a.dtype) else a
        if expr.name == "rsqrt":
            return self.operate("/", one, self._intrinsic("sqrt", [a]))
        if expr.name == "sigmoid":
            negated = self.text.pure(f"fneg {a.typed}", a.dtype, a.lanes, a)
            return self.operate("/", one, self.operate("+", one, self._intrinsic("exp", [negated])))
        if expr.name in ("erf", "tanh"):
            return self._library(expr.name, a)
        return self._intrinsic(INTRINSICS[expr.name], args)

    def _vector_function(self, name: str, args: list[Operand]) -> Operand:
        """A function that the module defines, once for so many lanes."""
        a = args[0]
        for text in define_function(name, a.lanes, self.target):
            self.declare(text)
        call = f"call {a.type} @{function_name(name, a.lanes)}({', '.join(x.typed for x in args)})"
        return self.text.pure(call, a.dtype, a.lanes, *args)

    def _intrinsic(self, name: str, args: list[Operand]) -> Operand:
        a = args[0]
        full = f"llvm.{name}.{suffix(VALUE[a.dtype], a.lanes)}"
        self.declare(f"declare {a.type} @{full}({', '.join(x.type for x in args)})")
        call = f"call {self.fast} {a.type} @{full}({', '.join(x.typed for x in args)})"
        return self.text.pure(call, a.dtype, a.lanes, *args)

    def _library(self, name: str, a: Operand) -> Operand:
        """A function of the C library, lane by lane."""
        element = VALUE[a.dtype]
        full = name + ("f" if element == "float" else "")
        self.declare(f"declare {element} @{full}({element}) memory(none)")
        if not a.lanes:
            return self.text.pure(f"call {element} @{full}({a.typed})", a.dtype, 0, a)
        result = Operand("poison", a.dtype, a.lanes, 0)
        for lane in range(a.lanes):
            part = self.text.pure(f"extractelement {a.typed}, i64 {lane}", a.dtype, 0, a)
            value = self.text.pure(f"call {element} @{full}({part.typed})", a.dtype, 0, part)
            insert = f"insertelement {result.typed}, {value.typed}, i64 {lane}"
            result = self.text.pure(insert, a.dtype, a.lanes, result, value)
        return result


def _fold(op: str, a: Operand, b: Operand) -> Operand | None:
    """What is known of an operation already: on literal indices, and where one condition is known."""
    if op == "and":
        for one, other in ((a, b), (b, a)):
            if one.text == "true":
                return other
            if one.text == "false" and not other.lanes:
                return one
    if a.dtype != INDEX or b.dtype != INDEX or a.lanes or b.lanes or "%" in a.text + b.text:
        return None
    function = ON_NUMBERS.get(op)
    if function is None or (op in ("//", "%") and int(b.text) <= 0):
        return None
    result = function(int(a.text), int(b.text))
    if isinstance(result, bool):
        return Operand("true" if result else "false", "bool", 0, 0)
    return Operand(str(result), INDEX, 0, 0)


def _conversion(source: str, target: str) -> str:
    if is_float(source) and is_float(target):
        return "fpext" if VALUE[target] == "double" else "fptrunc"
    if is_float(source):
        return "fptosi" if is_signed(target) else "fptoui"
    signed = is_signed(source)
    if is_float(target):
        return "sitofp" if signed else "uitofp"
    order = ["i1", "i8", "i32", "i64"]
    if order.index(VALUE[target]) < order.index(VALUE[source]):
        return "trunc"
    return "sext" if signed else "zext"


def _reads_only(known: set[Hashable], expr: Expr) -> bool:
    """Whether an expression reads nothing but what is known."""
    return all(key(node) in known for node in walk(expr) if isinstance(node, Load))


def _reads(expr: Expr) -> bool:
    return isinstance(expr, Load) or any(_reads(c) for c in children(expr))
