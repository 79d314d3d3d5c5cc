"""Small computations of different kinds, with their NumPy references, for schedules to be tried on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.te import Tensor

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Compute:
    """A computation: its tensors and what they should hold."""

    name: str
    inputs: list[Tensor]
    stages: list[Tensor]
    output: Tensor
    reference: Callable[..., Array]

    @property
    def args(self) -> list[Tensor]:
        return [*self.inputs, self.output]


def matmul(m: int, n: int, k: int) -> Compute:
    a, b = te.placeholder((m, k), name="A"), te.placeholder((k, n), name="B")
    r = te.reduce_axis((0, k), "k")
    c = te.compute((m, n), lambda i, j: te.sum(a[i, r] * b[r, j], axis=r), name="C")
    return Compute("matmul", [a, b], [c], c, lambda x, y: x @ y)


def convolution(c: int, h: int, w: int, o: int) -> Compute:
    """3x3, padded by one, with a bias and relu."""
    x = te.placeholder((c, h, w), name="X")
    weight, bias = te.placeholder((o, c, 3, 3), name="W"), te.placeholder((o,), name="bias")
    padded = te.compute(
        (c, h + 2, w + 2),
        lambda ch, y, z: te.if_then_else(
            te.all(y >= 1, y < h + 1, z >= 1, z < w + 1), x[ch, y - 1, z - 1], 0.0
        ),
        name="padded",
    )
    rc, ry, rx = te.reduce_axis((0, c), "rc"), te.reduce_axis((0, 3), "ry"), te.reduce_axis((0, 3), "rx")
    conv = te.compute(
        (o, h, w),
        lambda f, y, z: te.sum(padded[rc, y + ry, z + rx] * weight[f, rc, ry, rx], axis=(rc, ry, rx)),
        name="conv",
    )
    out = te.compute((o, h, w), lambda f, y, z: te.maximum(conv[f, y, z] + bias[f], 0.0), name="relu")

    def reference(image: Array, filters: Array, offset: Array) -> Array:
        wide = np.pad(image, ((0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(wide, (3, 3), axis=(1, 2))
        return np.asarray(
            np.maximum(np.einsum("chwyx,ocyx->ohw", windows, filters) + offset[:, None, None], 0)
        )

    return Compute("convolution", [x, weight, bias], [padded, conv, out], out, reference)


def max_pool(c: int, h: int, w: int) -> Compute:
    """2x3 windows, stride 2."""
    rows, columns = (h - 2) // 2 + 1, (w - 3) // 2 + 1
    x = te.placeholder((c, h, w), name="X")
    ry, rx = te.reduce_axis((0, 2), "ry"), te.reduce_axis((0, 3), "rx")
    out = te.compute(
        (c, rows, columns), lambda ch, y, z: te.max(x[ch, y * 2 + ry, z * 2 + rx], axis=(ry, rx)), name="pool"
    )

    def reference(image: Array) -> Array:
        windows = np.lib.stride_tricks.sliding_window_view(image, (2, 3), axis=(1, 2))
        return np.asarray(windows[:, ::2, ::2].max(axis=(3, 4)))

    return Compute("max_pool", [x], [out], out, reference)


def softmax(m: int, n: int) -> Compute:
    """The greatest element and the sum of exponentials in one fold (Milakov and Gimelshein, 2018)."""
    x = te.placeholder((m, n), name="X")
    r = te.reduce_axis((0, n), "r")

    def step(top: te.Expr, total: te.Expr) -> Sequence[te.Expr]:
        higher = te.maximum(top, x[_row[0], r])
        return higher, total * te.exp(top - higher) + te.exp(x[_row[0], r] - higher)

    _row: list[te.Expr] = []

    def normaliser(i: te.Expr) -> te.Expr:
        _row[:] = [i]
        return te.fold(r, (-1e30, 0.0), step, lambda top, total: top + te.log(total))

    log_sum = te.compute((m,), normaliser, name="log_sum")
    out = te.compute((m, n), lambda i, j: te.exp(x[i, j] - log_sum[i]), name="softmax")

    def reference(v: Array) -> Array:
        e = np.exp(v - v.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    return Compute("softmax", [x], [log_sum, out], out, reference)


def argmax(m: int, n: int) -> Compute:
    x = te.placeholder((m, n), name="X")
    r = te.reduce_axis((0, n), "r")
    out = te.compute(
        (m,),
        lambda i: te.fold(
            r,
            (-math.inf, 0),
            lambda best, at: (te.maximum(best, x[i, r]), te.if_then_else(x[i, r] > best, r, at)),
            lambda best, at: at,
        ),
        name="argmax",
    )
    return Compute("argmax", [x], [out], out, lambda v: v.argmax(axis=1))


def furthest(m: int, n: int) -> Compute:
    """The element of a row that is furthest from zero, by a reducer of one's own."""
    x = te.placeholder((m, n), name="X")
    r = te.reduce_axis((0, n), "r")
    further = te.comm_reducer(
        lambda a, b: te.if_then_else(te.abs(a) >= te.abs(b), a, b), lambda dtype: te.const(0, dtype)
    )
    out = te.compute((m,), lambda i: further(x[i, r], axis=r), name="furthest")

    def reference(v: Array) -> Array:
        return np.asarray(v[np.arange(len(v)), np.abs(v).argmax(axis=1)])

    return Compute("furthest", [x], [out], out, reference)


def stencil(h: int, w: int) -> Compute:
    """A five-point stencil of a scaled field, borders repeated."""
    x = te.placeholder((h, w), name="X")
    scaled = te.compute((h, w), lambda y, z: x[y, z] * 0.25 + 1.0, name="scaled")

    def clamp(v: te.Expr, top: int) -> te.Expr:
        return te.minimum(te.maximum(v, 0), top)

    out = te.compute(
        (h, w),
        lambda y, z: (
            scaled[clamp(y - 1, h - 1), z]
            + scaled[clamp(y + 1, h - 1), z]
            + scaled[y, clamp(z - 1, w - 1)]
            + scaled[y, clamp(z + 1, w - 1)]
            - 4.0 * scaled[y, z]
        ),
        name="stencil",
    )

    def reference(v: Array) -> Array:
        s = np.pad(v * 0.25 + 1.0, 1, mode="edge")
        return np.asarray(s[:-2, 1:-1] + s[2:, 1:-1] + s[1:-1, :-2] + s[1:-1, 2:] - 4 * s[1:-1, 1:-1])

    return Compute("stencil", [x], [scaled, out], out, reference)


def band(m: int, n: int, k: int, shift: int, width: int) -> Compute:
    """A product with a band of a matrix: below a diagonal, and not more than ``width`` below it."""
    a, b = te.placeholder((m, k), name="A"), te.placeholder((k, n), name="B")
    r = te.reduce_axis((0, k), "k")
    twice = te.compute((m, k), lambda i, j: a[i, j] * 2.0, name="twice")

    def product(i: te.IterVar, j: te.IterVar) -> te.Expr:
        inside = te.all(r <= i + shift, r > i + shift - width)
        return te.sum(twice[i, r] * b[r, j], axis=r, where=inside)

    c = te.compute((m, n), product, name="C")

    def reference(x: Array, y: Array) -> Array:
        return (np.tril(x, shift) - np.tril(x, shift - width)) * 2 @ y

    return Compute("band", [a, b], [twice, c], c, reference)


def running(m: int, n: int, step: int) -> Compute:
    """The sum and the least element of the first elements of each row, ``step`` more in each."""
    x = te.placeholder((m, n), name="X")
    r = te.reduce_axis((0, n), "r")
    less = te.compute((m, n), lambda i, j: x[i, j] - 1.0, name="less")

    def total(i: te.Expr) -> te.Expr:
        value = less[i, r]
        return te.fold(
            r,
            (0.0, 5.0),
            lambda added, least: (added + value, te.minimum(least, value)),
            lambda added, least: added + least,
            where=r < i * step + 1,
        )

    out = te.compute((m,), total, name="out")

    def reference(v: Array) -> Array:
        rows = [row[: i * step + 1] - 1.0 for i, row in enumerate(v)]
        return np.array([row.sum() + row.min() for row in rows], np.float32)

    return Compute("running", [x], [less, out], out, reference)


def transposition(m: int, n: int, p: int) -> Compute:
    x = te.placeholder((m, n, p), name="X")
    out = te.compute((p, m, n), lambda i, j, k: x[j, k, i] + 1.0, name="T")
    return Compute("transposition", [x], [out], out, lambda v: v.transpose(2, 0, 1) + 1.0)


def all_computes(size: Callable[[int], int]) -> list[Callable[[], Compute]]:
    """Every computation, its extents drawn by ``size(most)``."""
    return [
        lambda: matmul(size(13), size(21), size(17)),
        lambda: convolution(size(4), size(7), size(9), size(5)),
        lambda: max_pool(size(5), 2 + size(9), 3 + size(19)),
        lambda: softmax(size(11), size(37)),
        lambda: argmax(size(13), size(29)),
        lambda: furthest(size(9), size(31)),
        lambda: stencil(size(17), size(33)),
        lambda: transposition(size(7), size(19), size(11)),
        lambda: band(size(13), size(21), size(17), size(12) - 6, size(9)),
        lambda: running(size(11), size(37), size(5)),
    ]
