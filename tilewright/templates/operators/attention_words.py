"""The operands of an attention as words of two bfloat16 numbers, which some processors multiply at once."""

from __future__ import annotations

from collections.abc import Callable

from tilewright.compiler import te
from tilewright.compiler.dot_instructions import Dtypes, find_instruction
from tilewright.compiler.target import Target
from tilewright.compiler.te import Expr, IterVar, Tensor
from tilewright.templates.operators.attention_workload import Attention
from tilewright.templates.operators.product_stages import join_word

DTYPE = "bfloat16"
DTYPES: Dtypes = (DTYPE, DTYPE)
PARTS = 2  # numbers in a word


def parts_at_once(attention: Attention, target: Target) -> int:
    """How many of the operands' numbers the processor multiplies at once."""
    return PARTS if attention.dtype == DTYPE and find_instruction(target, DTYPES) is not None else 1


def row_words(operand: Tensor, steps: int, rows: int) -> Tensor:
    """The words of rows, zeros past their ends; rows past the last repeat it."""
    b, heads, count, d = operand.shape

    def element(b: IterVar, h: IterVar, i: IterVar, step: IterVar) -> Expr:
        row = te.minimum(i, count - 1) if rows > count else i
        return join_word(lambda place: operand[b, h, row, place], step, steps, d, DTYPE)

    return te.compute((b, heads, rows, steps), element, name=f"{operand.name}.words")


def value_words(v: Tensor, steps: int, elements: int) -> Tensor:
    """The words of neighbouring values, zeros past the last; ones behind their elements."""
    b, groups, n, d = v.shape

    def element(b: IterVar, g: IterVar, u: IterVar, o: IterVar) -> Expr:
        word = join_word(lambda place: v[b, g, place, o], u, steps, n, DTYPE)
        return te.if_then_else(o < d, word, ones()) if elements > d else word

    return te.compute((b, groups, steps, elements), element, name=f"{v.name}.pairs")


def power_word(
    attention: Attention, power: Callable[[Expr], Expr], u: IterVar, i: IterVar, all_keys: int
) -> Expr:
    """The word of the powers of keys ``2u`` and ``2u + 1``; zeros for those that query ``i`` does not see.

    ``power`` gives that of a key, which may be one of ``all_keys`` past the last.
    """

    def part(j: Expr) -> Expr:
        tests = [attention.is_seen(i, j), j < attention.n if all_keys > attention.n else None]
        kept = [test for test in tests if test is not None]
        value = te.if_then_else(te.all(*kept), power(j), 0.0) if kept else power(j)
        return value.astype(DTYPE)

    return te.word(*(part(u * PARTS + number) for number in range(PARTS)))


def ones() -> Expr:
    """The word of two ones: what it is multiplied by is added up."""
    one = te.const(1.0, DTYPE)
    return te.word(one, one)
