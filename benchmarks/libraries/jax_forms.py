"""The problems in JAX, compiled by XLA for the CPU."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from libraries.form import Form, Maker, call_form
from libraries.jax_functions import FUNCTIONS
from libraries.problem import Array, Convolution, MaxPool, Other, Problem, Product

LAYOUTS = ("NCHW", "NHWC")
CHANNELS_LAST = (0, 2, 3, 1)
CHANNELS_FIRST = (0, 3, 1, 2)


@contextlib.contextmanager
def open_jax() -> Iterator[Maker]:
    """JAX on one thread: its pool has as many as the process has cores when it starts."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    jax = importlib.import_module("jax")
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    jax.devices()
    yield lambda problem: _forms(jax, problem)


def _forms(jax: Any, problem: Problem) -> list[Form]:
    if isinstance(problem, Product):
        return [] if problem.is_narrow else _product(jax, problem)
    if isinstance(problem, Convolution) and problem.is_narrow:
        return []
    if isinstance(problem, Other):
        return _other(jax, problem)
    if isinstance(problem, MaxPool):
        return [make(jax, problem, layout) for make in (_max_pool, _max_by_taps) for layout in LAYOUTS]
    forms = [_convolution(jax, problem, layout) for layout in LAYOUTS]
    # XLA has no fast convolution of single channels; sums of shifted images fuse into one loop.
    return forms + [_depthwise_by_taps(jax, problem, layout) for layout in LAYOUTS if problem.is_depthwise]


def _other(jax: Any, problem: Other) -> list[Form]:
    if problem.op not in FUNCTIONS:
        return []
    compute, arguments = FUNCTIONS[problem.op], problem.arguments
    return [_form(jax, "jit", lambda *x: compute(jax, arguments, *x), list(problem.arrays))]


def _form(
    jax: Any,
    name: str,
    function: Callable[..., Any],
    inputs: list[Array],
    axes: tuple[int, ...] | None = None,
) -> Form:
    """A compiled function on its inputs; ``axes`` put the result in the layout of the problem."""
    compiled = jax.jit(function)
    arrays = [jax.device_put(np.ascontiguousarray(array)) for array in inputs]

    def read(result: Any) -> Array:
        return np.asarray(result) if axes is None else np.asarray(result).transpose(axes)

    return call_form(name, lambda: compiled(*arrays).block_until_ready(), read)


def _product(jax: Any, problem: Product) -> list[Form]:
    a, b, turns = problem.a, problem.b, problem.is_transposed

    def multiply(x: Any, y: Any) -> Any:
        return jax.numpy.matmul(x, y.swapaxes(-1, -2) if turns else y)

    forms = [_form(jax, "jit", multiply, [a, b])]
    if problem.is_constant:
        right = np.ascontiguousarray(b.T if turns else b)
        forms.append(_form(jax, "jit, constant weight", lambda x: jax.numpy.matmul(x, right), [a]))
    return forms


def _convolution(jax: Any, problem: Convolution, layout: str) -> Form:
    is_last = layout == "NHWC"
    weight = np.ascontiguousarray(problem.weight.transpose(2, 3, 1, 0) if is_last else problem.weight)
    dimensions = ("NHWC", "HWIO", "NHWC") if is_last else ("NCHW", "OIHW", "NCHW")
    sides = [(pad, pad) for pad in problem.padding]

    def convolve(x: Any) -> Any:
        y = jax.lax.conv_general_dilated(
            x,
            weight,
            problem.stride,
            sides,
            dimension_numbers=dimensions,
            feature_group_count=problem.groups,
        )
        return _finish(jax, problem, y, is_last)

    return _image_form(jax, f"jit, {layout}", convolve, problem.x, is_last)


def _depthwise_by_taps(jax: Any, problem: Convolution, layout: str) -> Form:
    is_last = layout == "NHWC"
    weight = problem.weight[:, 0].transpose(1, 2, 0)
    weight = weight if is_last else weight[..., None, None]

    def convolve(x: Any) -> Any:
        y = sum(tap * weight[i, j] for (i, j), tap in _taps(jax, problem, x, 0, is_last))
        return _finish(jax, problem, y, is_last)

    return _image_form(jax, f"jit, tap by tap, {layout}", convolve, problem.x, is_last)


def _max_by_taps(jax: Any, problem: MaxPool, layout: str) -> Form:
    is_last = layout == "NHWC"

    def pool(x: Any) -> Any:
        taps = (tap for _, tap in _taps(jax, problem, x, -np.inf, is_last))
        return functools.reduce(jax.numpy.maximum, taps)

    return _image_form(jax, f"jit, tap by tap, {layout}", pool, problem.x, is_last)


def _taps(
    jax: Any, problem: Convolution | MaxPool, x: Any, value: float, is_last: bool
) -> Iterator[tuple[tuple[int, int], Any]]:
    """For each place of the window, the elements of all windows there."""
    _, _, *extents = problem.output_shape
    (top, left), (kh, kw) = problem.padding, problem.kernel
    sides = _arrange(((top, top), (left, left)), (0, 0), is_last)
    image = jax.numpy.pad(x, sides, constant_values=value)
    for place in np.ndindex(kh, kw):
        spans = [
            slice(first, first + step * (extent - 1) + 1, step)
            for first, step, extent in zip(place, problem.stride, extents, strict=True)
        ]
        yield (place[0], place[1]), image[_arrange((spans[0], spans[1]), slice(None), is_last)]


def _finish(jax: Any, problem: Convolution, y: Any, is_last: bool) -> Any:
    if problem.bias is not None:
        y = y + (problem.bias if is_last else problem.bias[:, None, None])
    return jax.numpy.maximum(y, 0) if problem.has_relu else y


def _arrange(pair: tuple[Any, Any], other: Any, is_last: bool) -> tuple[Any, ...]:
    """What belongs to height and width, in the order of the layout."""
    return (other, *pair, other) if is_last else (other, other, *pair)


def _image_form(jax: Any, name: str, function: Callable[..., Any], x: Array, is_last: bool) -> Form:
    image = x.transpose(CHANNELS_LAST) if is_last else x
    return _form(jax, name, function, [image], CHANNELS_FIRST if is_last else None)


def _max_pool(jax: Any, problem: MaxPool, layout: str) -> Form:
    is_last = layout == "NHWC"
    top, left = problem.padding
    window, steps = _arrange(problem.kernel, 1, is_last), _arrange(problem.stride, 1, is_last)
    sides = _arrange(((top, top), (left, left)), (0, 0), is_last)

    def pool(x: Any) -> Any:
        return jax.lax.reduce_window(x, -np.float32(np.inf), jax.lax.max, window, steps, sides)

    return _image_form(jax, f"jit, {layout}", pool, problem.x, is_last)
