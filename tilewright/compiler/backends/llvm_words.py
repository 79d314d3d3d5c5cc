"""Words of narrow numbers: read whole where their parts lie side by side, and multiplied by the processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tilewright.compiler.backends.llvm_function import Operand, constant
from tilewright.compiler.backends.llvm_shuffle import shuffle
from tilewright.compiler.backends.llvm_types import vector
from tilewright.compiler.dot_instructions import Dtypes, find_instruction
from tilewright.compiler.ir.affine import Linear
from tilewright.compiler.ir.loops import Buffer
from tilewright.compiler.te.expr import Call, Load
from tilewright.compiler.te.words import WORD, dot_dtypes, parts_of

if TYPE_CHECKING:
    from tilewright.compiler.backends.llvm_expr import ExprWriter
    from tilewright.compiler.backends.llvm_memory import Lanes, Memory
    from tilewright.compiler.target import Target

FEWEST_BITS = 128
# Products of 16-bit integers, the neighbours added: exact for bytes of either sign.
_PAIRS = {512: "llvm.x86.avx512.pmaddw.d.512", 256: "llvm.x86.avx2.pmadd.wd", 128: "llvm.x86.sse2.pmadd.wd"}
_PAIR_FEATURES = {512: "avx512bw", 256: "avx2", 128: "sse2"}


# -- words ------------------------------------------------------------------------------------------


def write_word(writer: ExprWriter, expr: Call, lanes: Lanes | None) -> Operand:
    """A word of its parts: one read where they lie side by side in an argument, else put together."""
    first = _first_neighbour(writer.memory, expr)
    if first is not None:
        whole = _read_whole(writer, first, len(expr.args), lanes)
        if whole is not None:
            return whole
    parts = [writer.write(part, lanes) for part in expr.args]
    count = max(part.lanes for part in parts)
    bits = [
        _place(writer, writer.splat(part, count), number, len(parts)) for number, part in enumerate(parts)
    ]
    total = bits[0]
    for part in bits[1:]:
        total = writer.text.pure(f"or {total.typed}, {part.text}", WORD, count, total, part)
    return total


def _place(writer: ExprWriter, part: Operand, number: int, count: int) -> Operand:
    """The bits of a part where a word has them."""
    kind = vector("i32", part.lanes)
    if part.dtype != "bfloat16":
        wide = writer.text.pure(f"zext {part.typed} to {kind}", WORD, part.lanes, part)
        return _bits(writer, "shl", wide, number * 32 // count)
    # A value is held as float32, of which a bfloat16 is the upper half.
    raw = writer.text.pure(f"bitcast {part.typed} to {kind}", WORD, part.lanes, part)
    return _bits(writer, "lshr", raw, 16) if number == 0 else _bits(writer, "and", raw, -1 << 16)


def _bits(writer: ExprWriter, operation: str, value: Operand, number: int) -> Operand:
    if operation != "and" and number == 0:
        return value
    other = constant(number, WORD, value.lanes)
    return writer.text.pure(f"{operation} {value.typed}, {other.text}", WORD, value.lanes, value)


def _first_neighbour(memory: Memory, expr: Call) -> Load | None:
    """The first part, where all parts are neighbours in an array that never changes."""
    first = expr.args[0]
    if not isinstance(first, Load) or first.source not in memory.read_only:
        return None
    buffer = first.source
    assert isinstance(buffer, Buffer)
    base = memory.form(first, buffer)
    for place, part in enumerate(expr.args):
        if not isinstance(part, Load) or part.source is not buffer:
            return None
        rest = memory.form(part, buffer).add(base, -1)
        if rest.terms or rest.const != place:
            return None
    return first


def _read_whole(writer: ExprWriter, first: Load, parts: int, lanes: Lanes | None) -> Operand | None:
    """Words as memory holds them: side by side from any element on, else at even places."""
    found = writer.memory.load_words(first, parts, lanes, writer)
    if found is not None:
        return found
    assert isinstance(first.source, Buffer)
    base = writer.memory.form(first, first.source)
    if base.const % parts or any(scale % parts for _, scale in base.terms.values()):
        return None
    terms = {key: (atom, scale // parts) for key, (atom, scale) in base.terms.items()}
    words = writer.memory.as_words(first.source, parts)
    return writer.load(Load(words, (Linear(terms, base.const // parts).to_expr(),)), lanes)


# -- products ---------------------------------------------------------------------------------------


def write_dot(writer: ExprWriter, expr: Call, lanes: Lanes | None, addend: Operand | None = None) -> Operand:
    """A sum of products of words' parts, added to what there is."""
    dtypes = dot_dtypes(expr)
    assert dtypes is not None
    a, b = (writer.write(arg, lanes) for arg in expr.args)
    return multiply_add(writer, dtypes, constant(0, expr.dtype) if addend is None else addend, a, b)


def multiply_add(writer: ExprWriter, dtypes: Dtypes, addend: Operand, a: Operand, b: Operand) -> Operand:
    """The sum of the products of the parts of ``a`` and ``b``, and the addend."""
    count = max(value.lanes for value in (a, b, addend))
    width, step = _Dot(writer, dtypes).choose(count)
    return _in_pieces(writer, width, [writer.splat(value, count) for value in (addend, a, b)], step)


Step = Callable[[Operand, Operand, Operand], Operand]


@dataclass(slots=True)
class _Dot:
    """The ways to multiply words of two types."""

    writer: ExprWriter
    dtypes: Dtypes

    def choose(self, count: int) -> tuple[int, Step]:
        """The best way for so many lanes, and the lanes that it takes at a time."""
        target = self.writer.target
        for order in (self.dtypes, self.dtypes[::-1]):
            found = find_instruction(target, order)
            width = _widest(found.bits, count, target) if found is not None else 0
            if found is not None and width:
                name = found.name.format(bits=32 * width, lanes=width, parts=width * parts_of(order[0]))
                return width, partial(self.instruction, name, order != self.dtypes)
        if "bfloat16" in self.dtypes:
            return count, self.halves
        known = [bits for bits, name in _PAIR_FEATURES.items() if target.has(name)]
        width = _widest(known, count, target) if target.architecture == "x86_64" else 0
        return (width, self.pairs) if width else (count, self.parts)

    def instruction(self, name: str, is_swapped: bool, addend: Operand, a: Operand, b: Operand) -> Operand:
        """One instruction, which may ask for the factors the other way round."""
        element = "bfloat" if "bfloat16" in self.dtypes else "i8"
        kind = vector(element, a.lanes * parts_of(self.dtypes[0]))
        a, b = (self.recast(value, kind) for value in ((b, a) if is_swapped else (a, b)))
        self.writer.declare(f"declare {addend.type} @{name}({addend.type}, {kind}, {kind})")
        call = f"call {addend.type} @{name}({addend.typed}, {kind} {a.text}, {kind} {b.text})"
        return self.writer.text.pure(call, addend.dtype, addend.lanes, addend, a, b)

    def recast(self, value: Operand, kind: str) -> Operand:
        """The same bits as another type; the operand is to be used by its text alone."""
        return self.writer.text.pure(f"bitcast {value.typed} to {kind}", value.dtype, value.lanes, value)

    def halves(self, addend: Operand, a: Operand, b: Operand) -> Operand:
        """Two multiply-adds of bfloat16 numbers as the float32 that they are the upper halves of."""
        name = f"llvm.fmuladd.{'v' + str(addend.lanes) if addend.lanes else ''}f32"
        kind = addend.type
        self.writer.declare(f"declare {kind} @{name}({kind}, {kind}, {kind})")
        for operation, number in (("shl", 16), ("and", -1 << 16)):
            x, y = (self.recast(_bits(self.writer, operation, value, number), kind) for value in (a, b))
            call = f"call contract {kind} @{name}({kind} {x.text}, {kind} {y.text}, {addend.typed})"
            addend = self.writer.text.pure(call, addend.dtype, addend.lanes, x, y, addend)
        return addend

    def pairs(self, addend: Operand, a: Operand, b: Operand) -> Operand:
        """Even and odd bytes as 16-bit integers, multiplied and added by pairs."""
        lanes, pure = addend.lanes, self.writer.text.pure
        kind, name = vector("i16", 2 * lanes), _PAIRS[32 * lanes]
        self.writer.declare(f"declare {addend.type} @{name}({kind}, {kind})")
        for is_odd in (False, True):
            x, y = (
                self.bytes(value, dtype, kind, is_odd)
                for value, dtype in zip((a, b), self.dtypes, strict=True)
            )
            call = f"call {addend.type} @{name}({kind} {x.text}, {kind} {y.text})"
            product = pure(call, WORD, lanes, x, y)
            addend = pure(f"add {addend.typed}, {product.text}", WORD, lanes, addend, product)
        return addend

    def bytes(self, value: Operand, dtype: str, kind: str, is_odd: bool) -> Operand:
        """Every second byte, in the lanes of 16 bits in which it lies."""
        wide, pure = self.recast(value, kind), self.writer.text.pure
        if dtype == "uint8":
            operation, number = ("lshr", 8) if is_odd else ("and", 255)
            return pure(f"{operation} {kind} {wide.text}, splat (i16 {number})", WORD, value.lanes, wide)
        if not is_odd:
            wide = pure(f"shl {kind} {wide.text}, splat (i16 8)", WORD, value.lanes, wide)
        return pure(f"ashr {kind} {wide.text}, splat (i16 8)", WORD, value.lanes, wide)

    def parts(self, addend: Operand, a: Operand, b: Operand) -> Operand:
        """Byte by byte, where there is no instruction."""
        pure = self.writer.text.pure
        for number in range(parts_of(self.dtypes[0])):
            x, y = (self.part(value, dtype, number) for value, dtype in zip((a, b), self.dtypes, strict=True))
            product = pure(f"mul {x.typed}, {y.text}", WORD, x.lanes, x, y)
            addend = pure(f"add {addend.typed}, {product.text}", WORD, addend.lanes, addend, product)
        return addend

    def part(self, value: Operand, dtype: str, number: int) -> Operand:
        """A byte of a word, as an int32."""
        high = _bits(self.writer, "shl", value, 24 - 8 * number)
        return _bits(self.writer, "ashr" if dtype == "int8" else "lshr", high, 24)


def _widest(bits: Sequence[int], count: int, target: Target) -> int:
    """The lanes of the instruction's largest vectors that so many fill, or that hold few; 0 for none."""
    most = min(target.vector_bits, max(32 * count, FEWEST_BITS))
    fitting = [size // 32 for size in bits if size <= most]
    return max(fitting, default=0)


def _in_pieces(writer: ExprWriter, width: int, operands: Sequence[Operand], step: Step) -> Operand:
    """The step on ``width`` lanes at a time."""
    count, text = operands[0].lanes, writer.text
    if count == width:
        return step(*operands)
    if count < width:
        result = step(*(_fill(writer, value, width) for value in operands))
        if count:
            return shuffle(text, result, result, range(count))
        return text.pure(f"extractelement {result.typed}, i64 0", result.dtype, 0, result)
    pieces = [
        step(*(shuffle(text, value, value, range(begin, begin + width)) for value in operands))
        for begin in range(0, count, width)
    ]
    while len(pieces) > 1:
        both = 2 * pieces[0].lanes
        pieces = [shuffle(text, a, b, range(both)) for a, b in zip(pieces[::2], pieces[1::2], strict=True)]
    return pieces[0]


def _fill(writer: ExprWriter, value: Operand, width: int) -> Operand:
    """A vector that begins with the lanes there are, which are repeated."""
    if not value.lanes:
        return writer.splat(value, width)
    return shuffle(writer.text, value, value, [lane % value.lanes for lane in range(width)])
