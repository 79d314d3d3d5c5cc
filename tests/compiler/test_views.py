"""Kernels for arguments that are views: strided, transposed, broadcast."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tilewright.compiler.errors import ArgumentError
from tilewright.compiler.program import Program
from tilewright.deploy import build

Array = npt.NDArray[Any]
M, N, K = 33, 50, 21
RNG = np.random.default_rng(0)
BIG = RNG.uniform(-1, 1, (200, 200)).astype(np.float32)
VIEWS: dict[str, Callable[[Array], Array]] = {
    "part of rows": lambda x: x[3 : 3 + M, 7 : 7 + K],
    "every other row": lambda x: x[: 2 * M : 2, :K],
    "every third column": lambda x: x[:M, 1 : 1 + 3 * K : 3],
    "every seventh column": lambda x: x[:M, : 7 * K : 7],
    "transposed": lambda x: x[:K, :M].T,
    "one row for all": lambda x: np.broadcast_to(x[5, :K], (M, K)),
}


def strides_of(array: Array) -> tuple[int, ...]:
    return tuple(step // array.itemsize for step in array.strides)


@pytest.mark.parametrize("backend", ["llvm", "numba", "interpreter"])
@pytest.mark.parametrize("name", VIEWS)
def test_a_product_of_views(name: str, backend: str) -> None:
    a, b = VIEWS[name](BIG), BIG[100 : 100 + K, 100 : 100 + N]
    wanted = {"A": strides_of(a), "B": strides_of(b)}
    kernel = build("matmul", m=M, n=N, k=K, strides=wanted, backend=backend, threads=1)
    np.testing.assert_allclose(kernel(a, b), a @ b, rtol=1e-4, atol=1e-5)


def test_an_output_that_is_a_view() -> None:
    a, b = BIG[:M, :K], BIG[:K, :N]
    strides = {"A": (200, 1), "B": (200, 1), "C": (100, 2)}
    kernel = build("matmul", m=M, n=N, k=K, strides=strides, threads=1)
    whole = np.full((M, 100), 7, np.float32)
    kernel(a, b, out=whole[:, ::2])
    np.testing.assert_allclose(whole[:, ::2], a @ b, rtol=1e-4, atol=1e-5)
    assert (whole[:, 1::2] == 7).all()
    fresh = kernel(a, b)
    assert strides_of(fresh) == (100, 2)
    np.testing.assert_array_equal(fresh, whole[:, ::2])


def test_a_convolution_of_a_part_of_an_image() -> None:
    images = RNG.uniform(-1, 1, (1, 12, 20, 30)).astype(np.float32)
    part, weight = images[:, 4:8, 2:14, 5:25], RNG.uniform(-1, 1, (6, 4, 3, 3)).astype(np.float32)
    shape: dict[str, Any] = {"n": 1, "c": 4, "h": 12, "w": 20, "o": 6, "kernel": 3, "padding": 1}
    kernel = build("conv2d", **shape, strides={"x": strides_of(part)}, threads=1).bind(weight=weight)
    expected = build("conv2d", **shape, threads=1)(np.ascontiguousarray(part), weight)
    np.testing.assert_allclose(kernel(part), expected, rtol=1e-4, atol=1e-5)


def test_other_strides_are_refused() -> None:
    kernel = build("matmul", m=M, n=N, k=K, strides={"A": (200, 1)}, threads=1)
    b = np.ascontiguousarray(BIG[:K, :N])
    with pytest.raises(
        ArgumentError, match=r"A has the strides \(400, 1\), in elements; the kernel is built for"
    ):
        kernel(BIG[: 2 * M : 2, :K], b)
    with pytest.raises(ArgumentError, match=r"A has the strides \(21, 1\)"):
        kernel(np.ascontiguousarray(BIG[:M, :K]), b)
    with pytest.raises(ArgumentError, match="B is not C-contiguous"):
        kernel(BIG[:M, :K], BIG[:K, :N])


def test_the_stride_of_a_single_element_does_not_matter() -> None:
    kernel = build("matmul", m=1, n=N, k=K, strides={"A": (200, 1)}, threads=1)
    a, b = BIG[:1, :K].copy(), np.ascontiguousarray(BIG[:K, :N])
    np.testing.assert_allclose(kernel(a, b), a @ b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("strides", "message"), [
    ({"X": (1, 1)}, "'X' is no argument; they are A, B, C"),
    ({"A": (1,)}, "A has 2 dimensions, 1 are given"),
    ({"A": (-1, 1)}, "those of A are negative"),
    ({"A": (1 << 63, 1)}, "those of A reach beyond all memory"),
    ({"A": (1 << 64, 8)}, "those of A reach beyond all memory"),
    ({"A": ((1 << 61) // (M - 1), 1)}, "those of A reach beyond all memory"),
    ({"C": (1 << 62, 1)}, "those of C reach beyond all memory"),
    ({"A": 5}, "those of A must be integers, one a dimension, not 5"),
    ({"A": "ab"}, "those of A must be integers, one a dimension, not 'ab'"),
    ({"A": (200.5, 1)}, "those of A must be integers"),
    ([1, 2], "is no mapping"),
    ({"C": (1, 1)}, "elements of the output C would coincide"),
    ({"C": (0, 1)}, "elements of the output C would coincide"),
])  # fmt: skip
def test_strides_that_no_kernel_can_use(strides: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        build("matmul", m=M, n=N, k=K, strides=strides, threads=1)


def test_strides_of_single_elements_reach_no_further_than_numpys() -> None:
    widest = (1 << 61) - 1  # elements of four bytes
    kernel = build("matmul", m=1, n=N, k=K, strides={"A": (widest, 1)}, threads=1)
    assert kernel.code.program.strides == {"A": (widest, 1)}
    with pytest.raises(ArgumentError, match="those of A reach beyond all memory"):
        build("matmul", m=1, n=N, k=K, strides={"A": (widest + 1, 1)}, threads=1)


def test_strides_may_be_a_numpy_array() -> None:
    kernel = build("matmul", m=M, n=N, k=K, strides={"A": np.array([200, 1])}, threads=1)  # type: ignore[dict-item]
    assert kernel.code.program.strides == {"A": (200, 1)}


def test_views_travel_with_the_program() -> None:
    kernel = build("matmul", m=M, n=N, k=K, strides={"A": (200, 1)}, threads=1)
    program = kernel.code.program
    assert Program.from_json(program.to_json()) == program
    assert program.strides == {"A": (200, 1)}
    a, b = BIG[:M, :K], np.ascontiguousarray(BIG[:K, :N])
    again = pickle.loads(pickle.dumps(kernel))
    np.testing.assert_array_equal(again(a, b), kernel(a, b))


def test_views_that_interleave_are_apart() -> None:
    whole = RNG.uniform(-1, 1, (M, K + N)).astype(np.float32)
    a, out, b = whole[:, :K], whole[:, K:], BIG[:K, :N]
    strides = {name: strides_of(view) for name, view in zip("ABC", (a, b, out), strict=True)}
    kernel = build("matmul", m=M, n=N, k=K, strides=strides, threads=1)
    wanted = a @ b
    np.testing.assert_allclose(kernel(a, b, out=out), wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(ArgumentError, match=r"C \(out\) overlaps A in memory"):
        kernel(a, b, out=whole[:, K - 1 : -1])
