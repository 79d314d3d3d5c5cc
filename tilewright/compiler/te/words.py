"""Words of 32 bits that hold several narrow numbers, and the products of two words.

A word is an ``int32`` whose bits are those of its parts side by side, the first part lowest: what four bytes
(or two 16-bit floats) are in memory. Processors multiply and add the parts of two words in one instruction:
``vpdpbusd``, ``vdpbf16ps``, ``sdot``, ``usdot``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tilewright.compiler.errors import ExpressionError
from tilewright.compiler.te.expr import BYTES, Call, Expr, ExprLike, as_expr
from tilewright.compiler.te.storage import storage_dtype

WORD = "int32"
PART_DTYPES = ("int8", "uint8", "bfloat16")
_DOT = "dot"


def parts_of(dtype: str) -> int:
    """How many numbers of a type are in a word."""
    return BYTES[WORD] // BYTES[dtype]


def word(*parts: ExprLike) -> Expr:
    """The bits of four bytes, or of two bfloat16 numbers, as an int32: the first in the lowest bits.

    Raises:
        ExpressionError: the parts are of several types, or do not fill a word.
    """
    exprs = [as_expr(part) for part in parts]
    dtypes = {expr.dtype for expr in exprs}
    if len(dtypes) != 1 or not dtypes <= set(PART_DTYPES):
        found = ", ".join(sorted(dtypes)) or "none"
        raise ExpressionError(f"te.word needs parts of one type among {', '.join(PART_DTYPES)}, not {found}")
    wanted = parts_of(exprs[0].dtype)
    if len(exprs) != wanted:
        raise ExpressionError(f"te.word needs {wanted} parts of {exprs[0].dtype}, not {len(exprs)}")
    return Call("word", exprs, WORD)


def dot(a: ExprLike, b: ExprLike, dtypes: tuple[str, str]) -> Expr:
    """The sum of the products of two words' parts, which are of the types ``dtypes``.

    Of bytes it is an int32, exact. Of bfloat16 it is a float32 whose roundings are the processor's: each
    product and sum may be rounded or not, and denormal numbers may count as zero.

    Raises:
        ExpressionError: an operand is no word, or the types do not go together.
    """
    words = [as_expr(value) for value in (a, b)]
    for value in words:
        if value.dtype != WORD:
            raise ExpressionError(
                f"te.dot multiplies words, which are {WORD}, not {value.dtype}: use te.word"
            )
    left, right = dtypes
    is_float = "bfloat16" in (left, right)
    if {left, right} - set(PART_DTYPES) or (is_float and left != right):
        raise ExpressionError(
            f"te.dot multiplies int8 or uint8 by int8 or uint8, or two of bfloat16, not {left} by {right}"
        )
    return Call(f"{_DOT}.{left}.{right}", words, "float32" if is_float else WORD)


def dot_dtypes(expr: Expr) -> tuple[str, str] | None:
    """The types that a :func:`dot` multiplies; None for any other expression."""
    if not isinstance(expr, Call) or not expr.name.startswith(f"{_DOT}."):
        return None
    _, left, right = expr.name.split(".")
    return left, right


def join_parts(values: Sequence[Any], dtype: str) -> int:
    """The word of some numbers."""
    return int(np.array(values, storage_dtype(dtype)).view(WORD)[0])


def multiply_words(a: int, b: int, dtypes: tuple[str, str]) -> int | float:
    """The meaning of :func:`dot`, on numbers."""
    left, right = (
        np.array([value], WORD).view(storage_dtype(d)) for value, d in zip((a, b), dtypes, strict=True)
    )
    wide = np.float64 if "bfloat16" in dtypes else np.int64
    total: int | float = (left.astype(wide) * right.astype(wide)).sum().item()
    return total
