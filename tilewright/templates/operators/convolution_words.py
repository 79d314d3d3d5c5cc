"""Convolutions of bytes, and of bfloat16 where the processor multiplies words of it.

The image is copied as words of neighbouring channels of a pixel, ``[n][c / parts][h][w]`` or
``[n][h][w][c / parts]``, and so is the weight. Where the processor multiplies bytes of the other sign only,
128 is added to the pixels of the copy, its border included, or subtracted, and the bias times the sum of its
weights is taken from each sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from tilewright.compiler import te
from tilewright.compiler.dot_instructions import Dtypes
from tilewright.compiler.target import Target
from tilewright.compiler.te import Expr, IterVar, Tensor
from tilewright.compiler.te.words import parts_of
from tilewright.templates.operators.convolution import Convolution
from tilewright.templates.operators.product_stages import HIGHEST_BITS, ONES, join_word
from tilewright.templates.operators.product_types import ProductTypes, choose_types
from tilewright.templates.operators.window import arrange, divide


@dataclass(frozen=True, slots=True)
class WordConvolution(Convolution):
    """A convolution of bytes, whose sums are int32, or of bfloat16 numbers, whose sums are float32.

    Attributes:
        bias: what is added to the pixels.
        multiplied: the types of the parts of the words that are multiplied.
    """

    bias: int = 0
    multiplied: Dtypes = ("", "")

    @property
    def types(self) -> ProductTypes:
        """Of the image, the weight, the sums and the result."""
        return choose_types(self.dtype, None, self.out_dtype)

    @property
    def parts(self) -> int:
        """Channels in a word."""
        return parts_of(self.dtype)

    @property
    def item(self) -> int:
        """Bytes of a sum, and of a word."""
        return self.types.item

    @property
    def result(self) -> str:
        """The type of the result, unless its epilogue makes bytes."""
        return self.types.result

    @property
    def words(self) -> int:
        """Words of a pixel's channels in one group."""
        return -(-(self.c // self.groups) // self.parts)

    @property
    def depth(self) -> int:
        """Steps of the reduction."""
        return self.words * prod(self.taps)

    @property
    def is_plain(self) -> bool:
        """Never: operands are made into words."""
        return False

    @property
    def operations(self) -> int:
        """Those of the channels that there are."""
        return 2 * (self.c // self.groups) * prod(self.taps) * self.n * self.o * prod(self.places)

    def operands(self) -> tuple[Tensor, Tensor]:
        """The image and the weight, each of its type."""
        x, weight = Convolution.operands(self)
        shape, seen = weight.shape, weight.op.argument_shape
        return x, te.placeholder(shape, self.types.right, name="weight", argument_shape=seen)

    def image(self, x: Tensor, is_padded: bool) -> Tensor:
        """The image as words, with a border on all sides where zeros have to be biased, too."""
        rank = self.window.rank
        sides = range(rank) if self.bias else [rank - 1] if is_padded else []
        border = self.window.only(*sides)
        extents = [
            size + before + after
            for size, before, after in zip(self.extents, border.before, border.after, strict=True)
        ]

        def element(*index: IterVar) -> Expr:
            b, step, spatial = divide(self.layout, index)
            places = [place - before for place, before in zip(spatial, border.before, strict=True)]

            def read(channel: Expr) -> Expr:
                return te.Load(x, arrange(self.layout, b, channel, places))

            value = self.join(read, step // self.words, step % self.words, self.types.left)
            tests = border.tests(places, self.extents)
            value = te.if_then_else(te.all(*tests), value, te.const(0, value.dtype)) if tests else value
            return value ^ HIGHEST_BITS if self.bias else value

        shape = arrange(self.layout, self.n, self.groups * self.words, extents)
        return te.compute(shape, element, name="x.words", attrs={"FLOP": 0})

    def filters(self, weight: Tensor) -> Tensor:
        """The weight as words."""
        zero = te.const(0)

        def element(f: Expr, step: Expr, *taps: Expr) -> Expr:
            return self.join(
                lambda channel: te.Load(weight, (f, channel, *taps)), zero, step, self.types.right
            )

        shape = (self.o, self.words, *self.window.kernel)
        return te.compute(shape, element, name="weight.words", attrs={"FLOP": 0})

    def join(self, read: Any, group: Expr, step: Expr, dtype: str) -> Expr:
        """Channels of a group as a word; those that it does not have are zero."""
        count = self.c // self.groups
        return join_word(lambda channel: read(group * count + channel), step, self.words, count, dtype)

    def multiply(self, pixel: Expr, weight: Expr) -> Expr:
        """The products of a word's channels."""
        return te.dot(pixel, weight, self.multiplied)

    def compute(self, image: Tensor, weight: Tensor, form: str) -> tuple[Tensor, Tensor]:
        """The sums as a tile holds them, and without what the bias added."""
        sums = self.convolve(image, weight)
        if not self.bias:
            return sums, sums
        axes = [te.reduce_axis((0, size), f"r{d}") for d, size in enumerate(weight.shape[1:])]
        ones = te.const(ONES, "int32")

        def total(f: IterVar) -> Expr:
            return te.sum(te.dot(ones, te.Load(weight, (f, *axes)), self.multiplied), axis=axes)

        totals = te.compute((self.o,), total, name="weight.sums", attrs={"FLOP": 0})

        def corrected(*index: IterVar) -> Expr:
            _, f, _ = divide(self.layout, index)
            return te.Load(sums, index) - te.Load(totals, (f,)) * self.bias

        seen = sums.op.argument_shape
        return sums, te.compute(
            sums.shape, corrected, name="y.corrected", attrs={"FLOP": 0}, argument_shape=seen
        )


def make_convolution(owner: str, arguments: Mapping[str, Any], target: Target) -> Convolution:
    """The convolution for a target, by the types of its operands.

    Raises:
        WorkloadError: the types do not go together.
    """
    types = choose_types(arguments["dtype"], arguments["weight_dtype"], arguments["out_dtype"])
    if types.parts(target) == 1:
        return Convolution.of(owner, arguments)
    conv = WordConvolution.of(owner, arguments)
    assert isinstance(conv, WordConvolution)
    return replace(conv, bias=types.bias(target), multiplied=types.multiplied(target))
