"""Chains of elementwise functions: what their text means, and what is refused and where."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tilewright as tw
from tilewright.compiler.te.storage import SHORT_FLOATS, storage_dtype
from tilewright.templates.chain import KNOWN, parse_chain
from tilewright.templates.errors import WorkloadError

Array = npt.NDArray[Any]
X = np.linspace(-3, 3, 97)
erf = np.vectorize(math.erf)
# By other formulas than those of the functions' own table, in double precision.
MEANINGS: dict[str, Any] = {
    "relu(x)": (X + abs(X)) / 2,
    "relu6(x * 4)": np.minimum(np.where(X > 0, X * 4, 0), 6),
    "leaky_relu(x, 0.1)": np.where(X > 0, X, X / 10),
    "clip(x, -1, 2)": np.where(X < -1, -1, np.where(X > 2, 2, X)),
    "sigmoid(x)": 1 / (1 + np.exp(-X)),
    "silu(x)": X / (1 + np.exp(-X)),
    "gelu(x)": X * (1 + erf(X / np.sqrt(2))) / 2,
    "gelu_tanh(x)": X / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X**3))),
    "hardsigmoid(x)": np.where(X <= -3, 0, np.where(X >= 3, 1, (X + 3) / 6)),
    "hardswish(x)": X * np.where(X <= -3, 0, np.where(X >= 3, 1, (X + 3) / 6)),
    "rsqrt(x + 4)": (X + 4) ** -0.5,
    "pow(x + 4, 1.5)": (X + 4) * np.sqrt(X + 4),
    "x ** 3 - x ** 2": X * X * X - X * X,
    "-x ** 2": -(X * X),
    "min(x, 1) + max(x, -1)": np.where(X < 1, X, 1) + np.where(X > -1, X, -1),
    "where(x >= 0 and not x > 1 or x == -3, x, -1)": np.where(((X >= 0) & (X <= 1)) | (X == -3), X, -1),
    "erf(x) - tanh(x) * exp(x) / log(x + 5)": erf(X) - np.tanh(X) * np.exp(X) / np.log(X + 5),
    "sin(x) + cos(x) + abs(x) + sqrt(x + 3)": np.sin(X) + np.cos(X) + abs(X) + np.sqrt(X + 3),
    "floor(x) + ceil(x) * trunc(x) + round(x)": np.floor(X) + np.ceil(X) * np.trunc(X) + np.rint(X),
}


@pytest.mark.parametrize("chain", MEANINGS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_chain_means_what_it_says(chain: str, dtype: str) -> None:
    kernel = tw.build("elementwise", shape=X.shape, chain=chain, dtype=dtype, threads=1)
    accuracy = 3e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(kernel(X.astype(dtype)), MEANINGS[chain], rtol=accuracy, atol=accuracy)


def test_every_function_has_a_chain() -> None:
    used = {apply for chain in MEANINGS for apply in KNOWN if f"{apply}(" in chain}
    assert used == set(KNOWN)


@pytest.mark.parametrize(
    ("chain", "dtype", "wanted"),
    [
        ("cast(x, int32)", "float32", np.trunc(X).astype(np.int32)),
        ("cast(x, int8)", "float64", np.trunc(X).astype(np.int8)),
        ("cast(x > 1, uint8)", "float32", (X > 1).astype(np.uint8)),
        ("x > 1", "float32", X > 1),
        ("cast(cast(x, int64) * 3, float64)", "float32", np.trunc(X) * 3.0),
        ("cast(x, bool)", "float64", X != 0),
    ],
)
def test_the_result_has_the_type_of_the_chain(chain: str, dtype: str, wanted: Array) -> None:
    found = tw.build("elementwise", shape=X.shape, chain=chain, dtype=dtype, threads=1)(X.astype(dtype))
    assert found.dtype == wanted.dtype
    assert (found == wanted).all()


@pytest.mark.parametrize("dtype", SHORT_FLOATS)
def test_16_bits_are_computed_in_32_and_rounded_once(dtype: str) -> None:
    kind = storage_dtype(dtype)
    rng = np.random.default_rng(0)
    x, y, z = (rng.uniform(-2, 2, 1000).astype(kind) for _ in range(3))
    wide = [operand.astype(np.float32) for operand in (x, y, z)]
    kernel = tw.build("elementwise", shape=(1000,), chain="(x - y) * 3 + z", dtype=dtype, threads=1)
    found = kernel(x, y, z)
    assert found.dtype == kind
    np.testing.assert_array_equal(found, ((wide[0] - wide[1]) * 3 + wide[2]).astype(kind))
    assert (found != (x - y) * np.array(3, kind) + z).any()  # as it is where each step is rounded


def test_16_bits_meet_other_types() -> None:
    x, y = np.array([1.5, -2.25], np.float16), np.array([0.25, 3], storage_dtype("bfloat16"))
    operands = ("x:float16", "y:bfloat16")
    for chain, wanted in (("x + y", np.array([1.75, 0.75], np.float32)), ("x < y", np.array([False, True]))):
        found = tw.build("elementwise", shape=(2,), chain=chain, operands=operands, threads=1)(x, y)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
    cast = tw.build("elementwise", shape=(2,), chain="cast(x * 3, bfloat16)", threads=1)
    assert cast(np.array([1, 2], np.float32)).dtype == storage_dtype("bfloat16")


def test_operands_come_in_the_order_of_the_text_with_shapes_and_types_of_their_own() -> None:
    operands = ("s:64x1", "mask:1x7:bool", "n:int32", "k:1")
    chain = "where(mask, y * s, n) + k"
    kernel = tw.build("elementwise", shape=(3, 64, 7), chain=chain, operands=operands, threads=2)
    found = [(spec.name, spec.shape, spec.dtype) for spec in kernel.inputs]
    assert found == [
        ("mask", (1, 7), "bool"),
        ("y", (3, 64, 7), "float32"),
        ("s", (64, 1), "float32"),
        ("n", (3, 64, 7), "int32"),
        ("k", (1,), "float32"),
    ]
    rng = np.random.default_rng(0)
    mask, n = rng.random((1, 7)) < 0.5, rng.integers(-9, 9, (3, 64, 7), np.int32)
    y, s, k = (rng.random(shape, np.float32) for shape in ((3, 64, 7), (64, 1), (1,)))
    np.testing.assert_allclose(kernel(mask, y, s, n, k), np.where(mask, y * s, n) + k, rtol=1e-6)


@pytest.mark.parametrize(
    ("operands", "extents"),
    [((), "(960,)"), (("y:8x5",), "(24, 40)"), (("y:6x1x1",), "(4, 6, 40)"), (("y:1",), "(960,)")],
)
def test_dimensions_that_are_broadcast_alike_are_one(operands: tuple[str, ...], extents: str) -> None:
    kernel = tw.build("elementwise", shape=(4, 6, 8, 5), chain="x + y", operands=operands, threads=1)
    assert f"result = argument({extents}, float32)" in kernel.source("loops")


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        ("x +", "invalid syntax"),
        ("y + swish(x)", r"'y \+  --> swish\(x\)': swish is none of relu,"),
        ("__import__('os')", "__import__ is none of"),
        ("x.real", "known are"),
        ("x if y else z", "known are"),
        ("[x]", "known are"),
        ("'x'", "known are"),
        ("x % y", "known operators are"),
        ("cast(x, float16) + y", "a cast to float16 must be around all of the chain"),
        ("0 < x < 1", "one comparison at a time"),
        ("clip(x, 1)", "clip has 3 arguments, not 2"),
        ("relu(x=y)", "known are"),
        ("cast(x, float31)", "none of the types"),
        ("relu", "relu is no operand"),
        ("1 + 2", "numbers alone"),
        ("7", "no operand"),
        ("(" * 500 + "x" + ")" * 500, "cannot be read|too many nested"),
        ("x + " * 600 + "x", "at most 2000 characters"),
        ("x\N{SUPERSCRIPT TWO}", "ASCII"),
    ],
)
def test_what_is_no_chain_is_refused_at_its_place(chain: str, why: str) -> None:
    with pytest.raises(WorkloadError, match=why):
        parse_chain(chain)


@pytest.mark.parametrize(
    ("chain", "operands", "why"),
    [
        ("cast(x, int32) / 2", (), r"/: .* no true division"),
        ("exp(cast(x, int32))", (), "needs a float"),
        ("where(x, x, 1)", (), "not a condition"),
        ("gelu_tanh(" * 9 + "x" + ")" * 9, (), "when written out"),
        ("hardsigmoid(" * 90 + "x" + ")" * 90, (), "operations deep"),
        ("x", ("y:4",), "'y' is not in"),
        ("x", ("x:5",), "does not broadcast"),
        ("x", ("x:4x4:float31",), "must be like"),
        ("x", ("x y",), "must be like"),
    ],
)
def test_what_does_not_fit_is_refused(chain: str, operands: tuple[str, ...], why: str) -> None:
    with pytest.raises(WorkloadError, match=why):
        tw.build("elementwise", shape=(3, 4), chain=chain, operands=operands, threads=1)
