"""A product as tensor expressions: its operands as the processor multiplies them, its sums, its result.

::

    plain           C[i, j] = sum(A[i, k] * B[k, j])
    16-bit floats   C[i, j] = sum(float32(A[i, k]) * float32(B[k, j]))
    words           C[i, j] = sum(dot(word(A[i, 4k], .. A[i, 4k+3]), word(B[4k, j], .. B[4k+3, j])))

Where the processor multiplies signed bytes by unsigned ones only, 128 is added to the bytes of A, which turns
their highest bits over, and 128 times the sum of its column of B is subtracted from each sum; where it does
so by signed ones only, 128 is subtracted from unsigned bytes of A, and added in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tilewright.compiler import te
from tilewright.compiler.dot_instructions import Dtypes
from tilewright.compiler.target import Target
from tilewright.compiler.te import Expr, IterVar, Tensor
from tilewright.compiler.te.words import parts_of
from tilewright.templates.operators.product_types import ProductTypes

Index = tuple[Expr, ...]
# The highest bit of each byte of a word, as an int32; and ones in all bytes.
HIGHEST_BITS = 0x80808080 - (1 << 32)
ONES = 0x01010101


@dataclass(frozen=True, slots=True)
class ProductStages:
    """The stages of a product.

    Attributes:
        inputs: the operands.
        left, right: what is multiplied, ``(..., m, steps)`` and ``(..., steps, n)``: the operands
            themselves if ``is_plain``, as they lie, else stages that read them.
        total: the sums.
        result: what the epilogue takes: the sums, or a stage that corrects them.
        column_sums: of the right operand, where the result needs them.
        needs_copy: whether the left operand is better copied than read in place.
    """

    inputs: tuple[Tensor, Tensor]
    left: Tensor
    right: Tensor
    total: Tensor
    result: Tensor
    column_sums: Tensor | None = None
    is_plain: bool = True
    needs_copy: bool = False


@dataclass(frozen=True, slots=True)
class ProductOperands:
    """The operands of a product, and where their elements are.

    Attributes:
        a, b: the placeholders.
        read_a: the element of a row and a step; ``read_b`` that of a step and a column; each after the index
            of the batch, if there is one.
        extents: those of the result, a batch's first.
        k: the length of the sums.
        is_a_along: the elements of a row of A are neighbours.
    """

    a: Tensor
    b: Tensor
    read_a: Callable[..., Expr]
    read_b: Callable[..., Expr]
    extents: tuple[int, ...]
    k: int
    is_a_along: bool


def write_stages(operands: ProductOperands, name: str, types: ProductTypes, target: Target) -> ProductStages:
    """The stages for a target."""
    inputs = (operands.a, operands.b)
    if types.is_plain:
        total = _sum_products(operands.extents, operands.k, operands.read_a, operands.read_b, name)
        return ProductStages(inputs, *inputs, total, total)
    parts = types.parts(target)
    steps = -(-operands.k // parts)
    make = _widened if parts == 1 else _words
    bias, multiplied = types.bias(target), types.multiplied(target)
    left, right = make(operands, types, parts, bias != 0)
    total = _sum_products(
        operands.extents,
        steps,
        lambda *index: left[index],
        lambda *index: right[index],
        name,
        None if parts == 1 else (lambda x, y: te.dot(x, y, multiplied)),
        2 * operands.k,
    )
    needs_copy = parts == 1 or operands.k % parts > 0 or not operands.is_a_along or bias != 0
    if not bias:
        return ProductStages(inputs, left, right, total, total, None, False, needs_copy)
    sums = _sum_columns(right, steps, f"{name}.columns", multiplied)
    result = te.compute(
        total.shape,
        lambda *index: total[index] - bias * sums[(*index[:-2], index[-1])],
        name=f"{name}.corrected",
        attrs={"FLOP": 0},
    )
    return ProductStages(inputs, left, right, total, result, sums, False, needs_copy)


def _sum_products(
    extents: tuple[int, ...],
    steps: int,
    read_a: Callable[..., Expr],
    read_b: Callable[..., Expr],
    name: str,
    multiply: Callable[[Expr, Expr], Expr] | None = None,
    operations: int = 0,
) -> Tensor:
    """The sums over the steps; ``operations`` are those of an element, where they are not as written."""
    r = te.reduce_axis((0, steps), name="k")

    def element(*index: IterVar) -> Expr:
        *before, i, j = index
        x, y = read_a(*before, i, r), read_b(*before, r, j)
        return te.sum(x * y if multiply is None else multiply(x, y), axis=r)

    count = operations
    for extent in extents:
        count *= extent
    attrs = {"FLOP": count} if operations else None
    if len(extents) == 2:
        return te.compute(extents, lambda i, j: element(i, j), name=name, attrs=attrs)
    return te.compute(extents, lambda b, i, j: element(b, i, j), name=name, attrs=attrs)


def _widened(
    operands: ProductOperands, types: ProductTypes, parts: int, is_biased: bool
) -> tuple[Tensor, Tensor]:
    """The operands in the type of the sums, which loses nothing."""
    *batch, m, n = operands.extents

    def copy(read: Callable[..., Expr], shape: tuple[int, ...], name: str) -> Tensor:
        return te.compute(
            shape, lambda *index: te.cast(types.sum, read(*index)), name=name, attrs={"FLOP": 0}
        )

    left = copy(operands.read_a, (*batch, m, operands.k), f"{operands.a.name}.wide")
    return left, copy(operands.read_b, (*batch, operands.k, n), f"{operands.b.name}.wide")


def _words(
    operands: ProductOperands, types: ProductTypes, parts: int, is_biased: bool
) -> tuple[Tensor, Tensor]:
    """The operands with neighbours along ``k`` in one word, the last filled with zeros."""
    *batch, m, n = operands.extents
    steps = -(-operands.k // parts)

    def left(*index: IterVar) -> Expr:
        *before, i, step = index
        value = join_word(lambda k: operands.read_a(*before, i, k), step, steps, operands.k, types.left)
        return value ^ HIGHEST_BITS if is_biased else value

    def right(*index: IterVar) -> Expr:
        *before, step, j = index
        return join_word(lambda k: operands.read_b(*before, k, j), step, steps, operands.k, types.right)

    free = {"FLOP": 0}
    return (
        te.compute((*batch, m, steps), left, name=f"{operands.a.name}.words", attrs=free),
        te.compute((*batch, steps, n), right, name=f"{operands.b.name}.words", attrs=free),
    )


def join_word(read: Callable[[Expr], Expr], step: Expr, steps: int, k: int, dtype: str) -> Expr:
    """The word of one of ``steps`` steps, of numbers that ``read`` reads along ``k``, zeros past its end."""
    parts = parts_of(dtype)
    places = [step * parts + part for part in range(parts)]
    if steps * parts == k:
        return te.word(*(read(place) for place in places))
    return te.word(*(te.if_then_else(place < k, read(place), te.const(0, dtype)) for place in places))


def _sum_columns(right: Tensor, steps: int, name: str, multiplied: Dtypes) -> Tensor:
    """The sum of each column of signed bytes, from their words."""
    r = te.reduce_axis((0, steps), name="k")
    *batch, _, n = right.shape
    ones = te.const(ONES, "int32")

    def element(*index: IterVar) -> Expr:
        *before, j = index
        return te.sum(te.dot(ones, right[(*before, r, j)], multiplied), axis=r)

    return te.compute((*batch, n), element, name=name, attrs={"FLOP": 0})
