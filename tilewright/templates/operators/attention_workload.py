"""An attention: its sizes and operands, and what a score goes through."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tilewright.compiler import te
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.literal import check_finite

Shape = tuple[int, ...]

LOG2_E = math.log2(math.e)


@dataclass(frozen=True, slots=True)
class Attention:
    """The sizes of an attention.

    Attributes:
        b, heads: batch, and heads of the queries.
        m, n: queries and keys.
        d: elements of a query, a key and a value.
        kv_heads: heads of keys and values; as many heads of queries share one.
        causal: the last query sees all keys, each before it one less.
        mask: the shape of what is added to the scores, which broadcasts to (b, heads, m, n); () for none.
        scale: of the scores.
        dtype: of all arrays; those of 16 bits are multiplied and added as float32.
    """

    b: int
    heads: int
    m: int
    n: int
    d: int
    kv_heads: int
    causal: bool
    mask: Shape
    scale: float
    dtype: str

    @classmethod
    def of(
        cls,
        b: int,
        heads: int,
        m: int,
        n: int,
        d: int,
        kv_heads: int | None,
        causal: bool,
        mask: Shape,
        scale: float | None,
        dtype: str,
    ) -> Attention:
        """From the operator's parameters.

        Raises:
            WorkloadError: heads cannot be grouped so, or the mask has no such shape.
        """
        groups = heads if kv_heads is None else kv_heads
        if groups < 1 or heads % groups:
            raise WorkloadError(f"attention: kv_heads={kv_heads} must divide heads={heads}")
        full = (b, heads, m, n)
        if len(mask) > 4 or any(e not in (1, size) for e, size in zip(mask[::-1], full[::-1], strict=False)):
            raise WorkloadError(f"attention: mask={mask} does not broadcast to {full}")
        scale = d**-0.5 if scale is None else scale
        check_finite("attention", "scale", scale)
        return cls(b, heads, m, n, d, groups, causal, mask, scale, dtype)

    @property
    def sum(self) -> str:
        """The type of scores and sums."""
        return "float64" if self.dtype == "float64" else "float32"

    @property
    def factor(self) -> float:
        """By which dots become scores as :meth:`power` takes them."""
        return self.scale if self.mask else self.scale * LOG2_E

    def keys_seen(self, queries: int) -> int:
        """The keys that a tile of so many queries goes over, in the mean."""
        return max(1, self.n - (self.m - queries) // 2) if self.causal else self.n

    def group(self, head: te.Expr) -> te.Expr:
        """The head of keys and values that a head of queries reads."""
        shared: te.Expr = head // (self.heads // self.kv_heads)
        return shared

    def operands(self) -> list[Tensor]:
        """Queries, keys, values, and the mask where there is one."""
        sizes = {"q": (self.heads, self.m), "k": (self.kv_heads, self.n), "v": (self.kv_heads, self.n)}
        shapes: dict[str, Shape] = {name: (self.b, *size, self.d) for name, size in sizes.items()}
        if self.mask:
            shapes["mask"] = self.mask
        return [te.placeholder(shape, self.dtype, name=name) for name, shape in shapes.items()]

    def scaled_queries(self, q: Tensor) -> Tensor:
        """The queries as they are multiplied: their scores are what :meth:`power` takes."""
        return te.compute(q.shape, lambda *at: q[at].astype(self.sum) * self.factor, name="q.scaled")

    def masked(self, score: te.Expr, place: Sequence[IterVar], mask: Sequence[Tensor]) -> te.Expr:
        """A score with what the mask adds to it."""
        for tensor in mask:
            fitting = zip(place[4 - len(self.mask) :], self.mask, strict=True)
            added = tensor[tuple(at if extent > 1 else te.const(0) for at, extent in fitting)]
            score = score + added.astype(self.sum)
        return score

    def power(self, score: te.Expr) -> te.Expr:
        """Its exponential; that of a score without a mask, which is scaled for it, is a power of two.

        Not with a mask: its least number would become infinite.
        """
        return te.exp(score) if self.mask else te.exp2(score)

    def is_seen(self, i: IterVar, j: te.Expr) -> te.Expr | None:
        """Whether a query sees a key; None where each sees all."""
        return j <= i + (self.n - self.m) if self.causal else None

    def widened(self, tensor: Tensor) -> Tensor:
        """An operand as it is multiplied."""
        if tensor.dtype == self.sum:
            return tensor
        return te.compute(tensor.shape, lambda *at: tensor[at].astype(self.sum), name=f"{tensor.name}.wide")
