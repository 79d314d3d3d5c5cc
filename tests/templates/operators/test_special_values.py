"""NaN and infinities in the inputs of every operator: they are in the result where arithmetic puts them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.templates.operators.random_cases import STRATEGIES, Case, compile_case, expected_of, try_cases
from tests.templates.operators.test_random_cases import MANY
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.target import Target
from tilewright.measure.inputs import make_inputs
from tilewright.templates.epilogue import finish
from tilewright.templates.operators.window import Window, channel_axis, channels_first, in_layout
from tilewright.templates.task import Task

Array = npt.NDArray[Any]
Index = tuple[Any, ...]
# Time to make a counterexample small.
pytestmark = pytest.mark.timeout(900)
SPECIAL = (np.nan, np.inf, -np.inf)
EXAMPLES = 30


def spoil(arrays: Sequence[Array], rng: np.random.Generator) -> list[Array]:
    """Copies with up to three special values each; integers have none."""
    spoiled = []
    for array in arrays:
        copy = array.copy()
        if array.dtype.kind in "iub":
            spoiled.append(copy)
            continue
        places = rng.integers(0, array.size, int(rng.integers(0, 4)))
        copy.reshape(-1)[places] = rng.choice(SPECIAL, len(places))
        spoiled.append(copy)
    return spoiled


def taps_on_the_image(window: Window, extents: Sequence[int]) -> Iterator[tuple[Index, Index, Index]]:
    """For each tap: its index, the pixels that it meets, and the places of the result that have them."""
    for tap in product(*(range(size) for size in window.kernel)):
        read, write = [], []
        for d, (extent, size) in enumerate(zip(extents, window.output(extents), strict=True)):
            places = np.arange(size) * window.stride[d] + tap[d] * window.dilation[d] - window.before[d]
            inside = (places >= 0) & (places < extent)
            read.append(places[inside])
            write.append(np.flatnonzero(inside))
        yield tap, tuple(read), tuple(write)


def convolve(params: dict[str, Any], x: Array, weight: Array, *operands: Array) -> Array:
    """A convolution without padding: the sum over the taps that meet the image."""
    layout, groups = params["layout"], params.get("groups", params["c"])
    image = channels_first(x, layout)
    n, c, *extents = image.shape
    sizes = {name: params[name] for name in ("kernel", "stride", "padding", "dilation")}
    window = Window.of(**sizes, rank=len(extents))
    grouped = image.reshape((n, groups, c // groups, *extents))
    filters = weight.reshape((groups, -1, c // groups, *window.kernel))
    y = np.zeros((n, *filters.shape[:2], *window.output(extents)))
    for tap, read, write in taps_on_the_image(window, extents):
        pixels = grouped[np.ix_(*(np.arange(size) for size in grouped.shape[:3]), *read)]
        taps = filters[(slice(None), slice(None), slice(None), *tap)]
        terms = pixels[:, :, None] * taps.reshape((1, *taps.shape, *(1 for _ in extents)))
        y[np.ix_(*(np.arange(size) for size in y.shape[:3]), *write)] += terms.sum(axis=3)
    sums = in_layout(y.reshape((n, -1, *y.shape[3:])), layout)
    return finish(sums, params["epilogue"], operands, channel_axis(layout))


def transposed_among_zeros(case: Case, arrays: Sequence[Array]) -> Array:
    """A transposed convolution of the image with zeros around it, of which the same places are kept."""
    params, (x, *others) = dict(case.params), arrays
    names = [name for name in "dhw" if name in params]
    window = ("kernel", "stride", "dilation", "output_padding")
    taps, strides, apart, more = (np.broadcast_to(params[name], len(names)) for name in window)
    edge = int(max(((taps - 1) * apart + more) // strides)) + 1
    sides = zip(params["padding"], [*strides, *strides], strict=True)
    params["padding"] = tuple(int(size + edge * stride) for size, stride in sides)
    params |= {name: params[name] + 2 * edge for name in names}
    border = [(edge, edge) if letter in "DHW" else (0, 0) for letter in params["layout"]]
    task = replace(case, params=params).task(Target.host())
    return expected_of(task, [np.pad(x, border), *others])


def kinds(array: Array) -> Array:
    """What each element is: a number, NaN or one of the infinities."""
    return np.select([np.isnan(array), np.isposinf(array), np.isneginf(array)], [1, 2, 3])


def without_other_algorithms(case: Case) -> Case:
    """The case by the direct algorithm; others spread special values over a tile."""
    exact = {"accuracy": 0.0} if "accuracy" in case.params else {}
    return replace(case, params=case.params | exact)


def check(case: Case, task: Task, arrays: Sequence[Array], found: Array) -> None:
    """Padding is zeros or nothing, which differs where a weight is no number; all else is arithmetic."""
    with np.errstate(invalid="ignore"):
        expected = [expected_of(task, arrays)]
        if case.op.endswith("_transpose"):
            expected.append(transposed_among_zeros(case, arrays))
        elif "conv" in case.op:
            expected.append(convolve(case.params, *(array.astype(np.float64) for array in arrays)))
    fits = np.any([kinds(found) == kinds(array) for array in expected], axis=0)
    assert fits.all(), f"{np.argwhere(~fits)}\n{case.config(task)}"


def check_here(case: Case) -> None:
    case = without_other_algorithms(case)
    task = case.task(Target.host())
    kernel = load_kernel(compile_case(case, task))
    arrays = spoil(make_inputs(kernel.inputs, case.seed), np.random.default_rng(case.seed))
    check(case, task, arrays, kernel(*arrays))


@pytest.mark.parametrize("op", STRATEGIES)
def test_special_values_are_where_arithmetic_puts_them(op: str) -> None:
    try_cases(op, EXAMPLES, check_here)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("op", STRATEGIES)
def test_special_values_are_right_in_many_cases(op: str) -> None:
    try_cases(op, MANY * EXAMPLES, check_here)
