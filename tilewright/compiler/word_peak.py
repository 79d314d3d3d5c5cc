"""Calibration loops of words: the products of narrow numbers that a core does in registers alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from tilewright.compiler.backends.llvm_expr import ExprWriter
from tilewright.compiler.backends.llvm_function import FunctionText, Operand
from tilewright.compiler.backends.llvm_jit import Loaded, emit_object
from tilewright.compiler.backends.llvm_memory import Memory
from tilewright.compiler.backends.llvm_words import multiply_add
from tilewright.compiler.dot_instructions import Dtypes
from tilewright.compiler.target import Target
from tilewright.compiler.te.words import WORD, parts_of

TRIPS = 4096
_HEAD = """define void @word_loop(ptr %args, ptr %scratch, ptr %launch) #0 {{
entry:
  %xp = load ptr, ptr %args, align 8
  %x = load {words}, ptr %xp, align 4
  %yp = getelementptr i8, ptr %xp, i64 {offset}
  %y = load {words}, ptr %yp, align 4"""


def word_operations(target: Target, dtypes: Dtypes) -> int:
    """Multiplications and additions of one pass of :func:`word_loop`."""
    return 2 * parts_of(dtypes[0]) * target.lanes(4) * _accumulators(target) * TRIPS


@cache
def word_loop(target: Target, dtypes: Dtypes) -> Loaded:
    """A kernel, named ``word_loop``, that adds products of the two words at its first argument."""
    text = write_word_loop(target, dtypes)
    return Loaded(emit_object(text, target, full=False), ("word_loop",))


def write_word_loop(target: Target, dtypes: Dtypes) -> str:
    """The kernel as LLVM IR; for a target that multiplies words in one instruction."""
    text = FunctionText()
    memory = Memory(text, {})
    writer = ExprWriter(text, memory, {}, memory.declare, target)
    lanes = target.lanes(4)
    total = "float32" if "bfloat16" in dtypes else WORD
    text.push()
    x, y = (Operand(name, WORD, lanes, 0) for name in ("%x", "%y"))
    before = [Operand(f"%a{n}", total, lanes, 1) for n in range(_accumulators(target))]
    after = [multiply_add(writer, dtypes, value, x, y) for value in before]
    inside, outside = text.pop(), text.scopes[0].lines
    kind = before[0].type
    lines = [
        *_HEAD.format(words=x.type, offset=4 * lanes).splitlines(),
        *outside,
        "  br label %loop",
        "loop:",
    ]
    lines += ["  %i = phi i64 [ 0, %entry ], [ %n, %loop ]"]
    lines += [
        f"  {old.text} = phi {kind} [ zeroinitializer, %entry ], [ {new.text}, %loop ]"
        for old, new in zip(before, after, strict=True)
    ]
    lines += [*inside, "  %n = add nuw nsw i64 %i, 1", f"  %c = icmp slt i64 %n, {TRIPS}"]
    lines += ["  br i1 %c, label %loop, label %done", "done:"]
    lines += _join(after, "fadd" if total == "float32" else "xor")
    width = f'"prefer-vector-width"="{target.vector_bits}" "min-legal-vector-width"="{target.vector_bits}"'
    lines += [*sorted(memory.declarations), f"attributes #0 = {{ nounwind {width} }}", ""]
    return "\n".join(lines)


def _accumulators(target: Target) -> int:
    return target.vector_registers - 8


def _join(values: Sequence[Operand], operation: str) -> list[str]:
    """Everything that was computed stored as one vector, so that nothing is left out."""
    kind, result = values[0].type, values[0].text
    lines = []
    for number, value in enumerate(values[1:]):
        lines.append(f"  %s{number} = {operation} {kind} {result}, {value.text}")
        result = f"%s{number}"
    return [*lines, f"  store {kind} {result}, ptr %xp, align 4", "  ret void", "}"]
