"""Operators that move elements: every bit arrives, and nothing outside an array is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tilewright as tw
from tilewright.compiler.build import compile_program
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.target import Target
from tilewright.compiler.te.storage import SHORT_FLOATS, storage_dtype
from tilewright.templates.errors import WorkloadError
from tilewright.templates.task import Task

Array = npt.NDArray[Any]
# Quiet and signalling NaNs of both signs with payloads, infinities, zeros, denormals.
BITS = (
    *(0x7FC00001, 0xFFC12345, 0x7F800001, 0xFFBFFFFF, 0x7F800000, 0xFF800000),
    *(0x80000000, 0x00000000, 0x00000001, 0x807FFFFF, 0x3F800000),
)
SHAPE = (6, 9, 37)
CPUS = ("native", "haswell", "x86-64") if Target.host().architecture == "x86_64" else ("native",)
CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("transpose", {"perm": (2, 0, 1)}, lambda x: x.transpose(2, 0, 1)),
    ("transpose", {"perm": (1, 0, 2)}, lambda x: x.swapaxes(0, 1)),
    (
        "slice",
        {"start": (0, 1, -1), "stop": (6, 9, 0), "step": (1, 2, -3)},
        lambda x: x[:, 1::2, -1:0:-3],
    ),
    ("slice", {"start": (1, 0, 0), "stop": (5, 9, 37)}, lambda x: x[1:5]),
    ("slice", {"start": (4, -1, 0), "step": (-2, -1, 3)}, lambda x: x[4::-2, ::-1, ::3]),
    (
        "pad",
        {"padding": (1, 0, 2, 0, 3, 1), "mode": "edge"},
        lambda x: np.pad(x, [(1, 0), (0, 3), (2, 1)], "edge"),
    ),
    (
        "pad",
        {"padding": (1, 8, 36, 5, 2, 3), "mode": "reflect"},
        lambda x: np.pad(x, [(1, 5), (8, 2), (36, 3)], "reflect"),
    ),
    (
        "pad",
        {"padding": (0, 1, 0, 2, 1, 0), "value": -0.0},
        lambda x: np.pad(x, [(0, 2), (1, 1), (0, 0)], constant_values=-0.0),
    ),
]


def bits(shape: tuple[int, ...]) -> Array:
    """Floats of all kinds."""
    chosen = np.random.default_rng(0).choice(np.array(BITS, np.uint32), shape)
    return chosen.view(np.float32)


def same_bits(found: Array, expected: Array) -> bool:
    return found.shape == expected.shape and found.tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("op", "params", "expected"), CASES)
def test_every_bit_arrives(op: str, params: dict[str, Any], expected: Any, threads: int) -> None:
    x = bits(SHAPE)
    kernel = tw.build(op, shape=SHAPE, threads=threads, **params)
    assert same_bits(kernel(x), expected(x))


SHORT_SHAPE = {"shape": (256, 256)}
SHORT_MOVES: list[tuple[str, dict[str, Any], Any]] = [
    ("transpose", SHORT_SHAPE, lambda x: x.T),
    ("slice", SHORT_SHAPE | {"start": (3, -1), "step": (1, -2)}, lambda x: x[3:, ::-2]),
    (
        "pad",
        SHORT_SHAPE | {"padding": (1, 2, 3, 4), "mode": "edge"},
        lambda x: np.pad(x, ((1, 3), (2, 4)), "edge"),
    ),
    (
        "pad",
        SHORT_SHAPE | {"padding": (1, 2, 3, 4), "value": -0.0},
        lambda x: np.pad(x, ((1, 3), (2, 4)), constant_values=1 << 15),
    ),
    (
        "resize",
        {"n": 1, "c": 1, "h": 256, "w": 256, "size": 512, "mode": "nearest"},
        lambda x: x.repeat(2, 0).repeat(2, 1),
    ),
]


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", SHORT_FLOATS)
@pytest.mark.parametrize(("op", "params", "expected"), SHORT_MOVES)
def test_every_bit_of_16_arrives(
    op: str, params: dict[str, Any], expected: Any, dtype: str, cpu: str
) -> None:
    """Signalling NaNs, too, which any conversion would make quiet."""
    numbers = np.random.default_rng(0).permutation(np.arange(1 << 16, dtype=np.uint16)).reshape(256, 256)
    task = Task.create(op, Target.named(cpu), 1, dtype=dtype, **params)
    code = compile_program(task.instantiate(task.default_config), task.target)
    x = numbers.view(storage_dtype(dtype)).reshape(code.inputs[0].shape)
    found, wanted = load_kernel(code)(x), expected(numbers)
    np.testing.assert_array_equal(found.view(np.uint16).reshape(wanted.shape), wanted)


@pytest.mark.parametrize("dtype", SHORT_FLOATS)
def test_16_bits_are_joined_and_gathered(dtype: str) -> None:
    numbers = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256)
    x = numbers.view(storage_dtype(dtype))
    joined = tw.build("concatenate", shape=(256, 512), axis=1, extents=(256, 256), dtype=dtype, threads=1)
    assert same_bits(joined(x, x[::-1].copy()), np.concatenate([x, x[::-1]], 1))
    places = np.array([255, 3, 3, 0, 77])
    gathered = tw.build("gather", shape=(256, 256), axis=1, indices=(5,), dtype=dtype, threads=1)
    assert same_bits(gathered(x, places), x[:, places])
    hot = tw.build("one_hot", shape=(5,), depth=256, on=3.0, off=-0.0, dtype=dtype, threads=1)
    assert same_bits(hot(places), np.where(places[:, None] == np.arange(256), 3.0, -0.0).astype(x.dtype))


def test_concatenated_arrays_keep_every_bit() -> None:
    for extents in ((3, 3, 6), (1, 2, 40, 5)):
        arrays = [bits((4, extent, 7)) for extent in extents]
        kernel = tw.build("concatenate", shape=(4, sum(extents), 7), axis=1, extents=extents, threads=2)
        assert same_bits(kernel(*arrays), np.concatenate(arrays, 1))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_indices_wrap_once_and_never_leave_the_array(axis: int, dtype: str) -> None:
    x, extent = bits(SHAPE), SHAPE[axis]
    limits = np.iinfo(dtype)
    indices = np.array(
        [0, extent - 1, extent, -1, -extent, -extent - 1, limits.min, limits.max, 2], dtype
    ).reshape(3, 3)
    inside = np.clip(np.where(indices < 0, indices + extent, indices), 0, extent - 1)
    kernel = tw.build("gather", shape=SHAPE, indices=(3, 3), axis=axis, index_dtype=dtype, threads=1)
    assert same_bits(kernel(x, indices), np.take(x, inside, axis))


def test_an_index_outside_is_hot_nowhere() -> None:
    kernel = tw.build("one_hot", shape=(6,), depth=5, on=2.0, off=-1.0, threads=1)
    found = kernel(np.array([0, 4, 5, -1, -5, -6]))
    assert found.argmax(1).tolist() == [0, 4, 0, 4, 0, 0]
    assert (found == 2).sum(1).tolist() == [1, 1, 0, 1, 1, 0]


def test_dimensions_that_stay_neighbours_are_one() -> None:
    kernel = tw.build("transpose", shape=(1, 12, 16, 8, 64), perm=(0, 2, 3, 1, 4), threads=1)
    assert "argument((128, 12, 64)" in kernel.source("loops")


@pytest.mark.parametrize(
    ("op", "params", "why"),
    [
        ("transpose", {"perm": (0, 1)}, "name each dimension"),
        ("transpose", {"perm": (0, 1, 1)}, "name each dimension"),
        ("transpose", {"perm": (-9, 0, 1, 2)}, "name each dimension"),
        ("transpose", {"perm": (0, 1, 5)}, "name each dimension"),
        ("pad", {"padding": (1, 2)}, "6 numbers"),
        ("pad", {"padding": (6, 0, 0, 0, 0, 0), "mode": "reflect"}, "reflects more"),
        ("slice", {"start": (0, 0, 0), "step": (1, 0, 1)}, "step may be 0"),
        ("slice", {"start": (3, 0, 0), "stop": (3, 9, 9)}, "nothing is left"),
        ("concatenate", {"axis": 0, "extents": (1, 2)}, "make 3"),
        ("gather", {"indices": (2,), "axis": 3}, "axis 3"),
    ],
)
def test_what_does_not_fit_is_refused(op: str, params: dict[str, Any], why: str) -> None:
    with pytest.raises(WorkloadError, match=why):
        tw.build(op, shape=SHAPE, threads=1, **params)


@pytest.mark.parametrize(
    ("value", "dtype", "why"),
    [
        (300, "uint8", "an integer from 0 to 255, for dtype=uint8"),
        (7e4, "float16", "from -65504.0 to 65504.0, or infinite, or NaN, for dtype=float16"),
        (3.4e38, "bfloat16", "from -3.3895"),
        (-1, "uint8", "an integer from 0 to 255"),
        (1.5, "int32", "an integer"),
        (float("nan"), "int32", "an integer"),
        (float("-inf"), "int32", "an integer"),
        (2**53 + 1, "int64", "to 9007199254740991"),
        (2.0**63, "int64", "an integer"),
        (1e39, "float32", "or infinite, or NaN"),
    ],
)
def test_a_value_that_the_type_cannot_hold_is_refused(value: float, dtype: str, why: str) -> None:
    with pytest.raises(WorkloadError, match=f"^pad: value=.*{why}"):
        tw.build("pad", shape=(2,), padding=(1, 1), value=value, dtype=dtype, threads=1)
    for name in ("on", "off"):
        given: dict[str, Any] = {name: value, "dtype": dtype}
        with pytest.raises(WorkloadError, match=f"^one_hot: {name}=.*{why}"):
            tw.build("one_hot", shape=(2,), depth=3, threads=1, **given)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (255, "uint8"),
        (-(2**31), "int32"),
        (2**24 + 1, "int32"),
        (2**53 - 1, "int64"),
        (float("nan"), "float32"),
        (0.1, "float32"),
    ],
)
def test_a_value_that_the_type_holds_arrives(value: float, dtype: str) -> None:
    kernel = tw.build("pad", shape=(2,), padding=(1, 1), value=value, dtype=dtype, threads=1)
    found, expected = kernel(np.ones(2, dtype)), np.array([value, 1, 1, value], dtype)
    assert same_bits(found, expected)


@pytest.mark.parametrize(
    ("op", "params"), [("transpose", {}), ("transpose", {"perm": ()}), ("pad", {"padding": ()})]
)
def test_an_array_without_dimensions_stays_as_it_is(op: str, params: dict[str, Any]) -> None:
    found = tw.build(op, shape=(), threads=1, **params)(np.full((), 3, "f"))
    assert found.shape == ()
    assert found == 3


@pytest.mark.skipif(Target.host().architecture != "x86_64", reason="names of x86 CPUs")
@pytest.mark.parametrize(
    ("cpu", "order", "columns"), [("skylake-avx512", "columns", 32), ("znver4", "rows", 64)]
)
def test_both_lines_of_a_pair_are_written_where_both_are_fetched(cpu: str, order: str, columns: int) -> None:
    task = Task.create("transpose", Target.named(cpu), 1, shape=(500, 600))
    chosen = task.default_config.to_json()
    assert (chosen["order"], chosen["columns"]) == (order, columns)
    wide = Task.create("transpose", Target.named(cpu), 1, shape=(500, 600), dtype="float64")
    assert wide.default_config.to_json()["columns"] == (16 if order == "columns" else 64)
