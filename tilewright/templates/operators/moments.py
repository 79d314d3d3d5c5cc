"""Mean and variance of rows in one pass over them, and of a few of their elements before.

Differences from a value near the mean are summed, and their squares beside, so that neither sum waits for
the other: the shifted form of T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the sample
variance", The American Statistician 37 (1983). What is subtracted is the mean of a row's first elements. That
bounds what cancels: so many elements are as far from the row's mean, on average, as what is subtracted, that
the sum of squares is at most ``1 + length / first`` times the one about the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from tilewright.compiler import te
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.operators.operand import Operand, computed_bytes
from tilewright.templates.operators.rows import Passes, Rows, default_rows

# Of so many elements one is read beforehand, in whole steps.
SHARE = 16
STEP = 16
# The share of the first cache for rows that overlap, those of the result, and weights.
L1_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Moments:
    """Of each row.

    Attributes:
        mean: of its elements.
        variance: the mean of their squared differences from it, no estimate of a greater population's.
    """

    mean: Tensor
    variance: Tensor


def default_norm(rows: Rows, target: Target, threads: int) -> dict[str, Any]:
    """The untuned configuration of a norm: rows overlap where all that is under way stays near.

    Weights for each place in a row, two at most, stay there too.
    """
    room = int(L1_SHARE * target.l1_bytes / (computed_bytes(rows.dtype) * rows.length))
    overlapped = 0 if rows.breaks_streams(target) else max(0, room - 2) // 3
    return default_rows(rows, 2, target, threads, overlapped, least=4)


def norm_flops(shape: tuple[int, ...], **_: Any) -> int:
    """Eight for each element: a sum, a difference with its square and their sum, and four for the result."""
    return 8 * prod(shape)


def moments(passes: Passes, x: Operand) -> Moments:
    """Add the passes that compute the moments; what is computed next may run one step of rows behind."""
    rows, row = passes.rows, passes.rows.row
    first = min(rows.length, -(-rows.length // (SHARE * STEP)) * STEP)
    early = passes.reduce("early", te.sum, lambda *i: x[i], length=first)
    about = passes.each("about", lambda *i: early[i] * (1 / first))
    passes.part()

    def less(*i: te.Expr) -> te.Expr:
        difference: te.Expr = x[i] - about[row(*i)]
        return difference

    total = passes.reduce("total", te.sum, less)
    squares = passes.reduce("squares", te.sum, lambda *i: less(*i) * less(*i))
    part = 1 / rows.length
    mean = passes.each("mean", lambda *i: about[i] + total[i] * part)
    # Rounding must not leave less than none.
    variance = passes.each(
        "variance", lambda *i: te.maximum(squares[i] * part - (total[i] * part) * (total[i] * part), 0)
    )
    return Moments(mean, variance)
