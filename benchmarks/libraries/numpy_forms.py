"""The problems in NumPy, as those write them who care for speed: no memory is allocated in a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from libraries.form import Form, call_form
from libraries.problem import Array, Convolution, MaxPool, Other, Pair, Problem, Product
from tilewright.deploy import make_task


def numpy_forms(problem: Problem) -> list[Form]:
    """The forms of a problem."""
    if isinstance(problem, Product):
        return [] if problem.is_narrow else _product(problem)
    if isinstance(problem, MaxPool):
        return [call_form("rows of windows, then columns", _max_pool(problem))]
    if isinstance(problem, Other):
        return _other(problem)
    if problem.is_depthwise:
        return [call_form("tap by tap", _depthwise(problem))]
    if problem.groups > 1 or problem.is_narrow:
        return []
    return [call_form("matrix product of gathered windows", _convolution(problem))]


def _other(problem: Other) -> list[Form]:
    reference = make_task(problem.op, None, 1, problem.arguments).reference
    if reference is None:
        return []
    return [call_form("reference", lambda: reference(*problem.arrays))]


def _product(problem: Product) -> list[Form]:
    a, b = problem.a, problem.b
    right = b.swapaxes(-1, -2) if problem.is_transposed else b
    out = np.ones((*a.shape[:-1], right.shape[-1]), a.dtype)
    forms = [call_form("matmul", lambda: np.matmul(a, right, out=out))]
    if problem.is_transposed and problem.is_constant:
        turned = np.ascontiguousarray(right)
        forms.append(call_form("matmul, weight turned ahead", lambda: np.matmul(a, turned, out=out)))
    if problem.is_transposed and len(a) == 1:
        forms.append(call_form("matrix by vector", lambda: np.matmul(b, a[0], out=out[0])[None]))
    return forms


def _padded(x: Array, padding: Pair, value: float) -> tuple[Array, Array]:
    """Room for the padded image, and the part of it where the image goes."""
    (top, left), (n, c, h, w) = padding, x.shape
    image = np.full((n, c, h + 2 * top, w + 2 * left), value, x.dtype)
    return image, image[:, :, top : top + h, left : left + w]


def _tap(image: Array, i: int, j: int, stride: Pair, extents: Sequence[int]) -> Array:
    """The elements of all windows at one place of the window."""
    down, across = stride
    rows = slice(i, i + down * (extents[0] - 1) + 1, down)
    return image[:, :, rows, j : j + across * (extents[1] - 1) + 1 : across]


def _finish(problem: Convolution, y: Array) -> Array:
    if problem.bias is not None:
        np.add(y, problem.bias[:, None, None], out=y)
    if problem.has_relu:
        np.maximum(y, 0, out=y)
    return y


def _convolution(problem: Convolution) -> Callable[[], Array]:
    x, (n, o, *extents) = problem.x, problem.output_shape
    c, (kh, kw) = x.shape[1], problem.kernel
    weight = np.ascontiguousarray(problem.weight.reshape(o, -1))
    out = np.ones((n, o, extents[0] * extents[1]), x.dtype)
    image, inside = _padded(x, problem.padding, 0)
    if problem.kernel == problem.stride == (1, 1) and problem.padding == (0, 0):
        pixels = x.reshape(n, c, -1)
        return lambda: _finish(problem, np.matmul(weight, pixels, out=out).reshape(problem.output_shape))
    windows = np.ones((n, c, kh, kw, *extents), x.dtype)
    columns = windows.reshape(n, c * kh * kw, -1)

    def call() -> Array:
        inside[...] = x
        for i in range(kh):
            for j in range(kw):
                windows[:, :, i, j] = _tap(image, i, j, problem.stride, extents)
        return _finish(problem, np.matmul(weight, columns, out=out).reshape(problem.output_shape))

    return call


def _depthwise(problem: Convolution) -> Callable[[], Array]:
    x, (kh, kw) = problem.x, problem.kernel
    out, product = (np.ones(problem.output_shape, x.dtype) for _ in range(2))
    image, inside = _padded(x, problem.padding, 0)

    def call() -> Array:
        inside[...] = x
        out[...] = 0
        for i in range(kh):
            for j in range(kw):
                tap = _tap(image, i, j, problem.stride, out.shape[2:])
                np.multiply(tap, problem.weight[:, 0, i, j, None, None], out=product)
                np.add(out, product, out=out)
        return _finish(problem, out)

    return call


def _max_pool(problem: MaxPool) -> Callable[[], Array]:
    x, (kh, kw), (down, across) = problem.x, problem.kernel, problem.stride
    n, c, height, width = problem.output_shape
    image, inside = _padded(x, problem.padding, -np.inf)
    rows = np.ones((n, c, height, image.shape[3]), x.dtype)
    out = np.ones(problem.output_shape, x.dtype)

    def call() -> Array:
        inside[...] = x
        rows[...] = _tap(image, 0, 0, (down, 1), rows.shape[2:])
        for i in range(1, kh):
            np.maximum(rows, _tap(image, i, 0, (down, 1), rows.shape[2:]), out=rows)
        out[...] = _tap(rows, 0, 0, (1, across), (height, width))
        for j in range(1, kw):
            np.maximum(out, _tap(rows, 0, j, (1, across), (height, width)), out=out)
        return out

    return call
