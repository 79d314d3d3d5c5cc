"""Inputs, fences and the comparison with the reference."""

import subprocess
import sys
from typing import NamedTuple

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tilewright.compiler.kernel import PAGE
from tilewright.compiler.te.storage import SHORT_FLOATS, storage_dtype
from tilewright.deploy import build
from tilewright.measure.buffers import Place, allocate, poison
from tilewright.measure.inputs import make_buffers, make_inputs
from tilewright.measure.result import MeasureSetupError
from tilewright.measure.verify import ReferenceData, describe_mismatch, verify_outputs


class Spec(NamedTuple):
    name: str
    shape: tuple[int, ...]
    dtype: str
    values: tuple[float, float] | None = None


DTYPES = ["float32", "float64", "float16", "bfloat16", "int8", "uint8", "int32", "int64", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_inputs_are_repeatable_aligned_and_in_range(dtype: str) -> None:
    spec = Spec("a", (7, 13, 11), dtype)
    (first,), (second,) = make_inputs([spec], 3), make_inputs([spec], 3)
    assert np.array_equal(first.view(np.uint8), second.view(np.uint8))
    assert first.ctypes.data % 64 == 0
    assert first.shape == spec.shape
    values = first.astype(np.float64)
    assert len(np.unique(values)) > 1
    if "float" in dtype:
        assert values.min() >= -1
        assert values.max() < 1


def test_seed_and_position_change_the_inputs() -> None:
    specs = [Spec("a", (50,), "float32"), Spec("b", (50,), "float32")]
    a, b = make_inputs(specs, 0)
    assert not np.array_equal(a, b)
    assert not np.array_equal(a, make_inputs(specs, 1)[0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int32", "int64", "uint8"])
def test_inputs_are_in_the_range_that_they_state(dtype: str) -> None:
    (array,) = make_inputs([Spec("a", (5000,), dtype, (3, 90))])
    assert array.dtype == storage_dtype(dtype)
    values = array.astype(np.float64)
    assert 3 <= values.min() < 6
    # What is rounded to 16 bits may reach the end.
    assert 85 < values.max() < 90 or (dtype in SHORT_FLOATS and values.max() == 90)


def test_an_unknown_dtype_is_named() -> None:
    with pytest.raises(MeasureSetupError, match="'float7'"):
        make_inputs([Spec("a", (2,), "float7")])


SIDES: dict[Place, str] = {"start": "after", "end": "before"}  # where an array has its fence


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), max_size=3), st.sampled_from(DTYPES[:3] + DTYPES[4:]))
def test_a_store_one_element_outside_is_found(shape: list[int], dtype: str) -> None:
    for side, outside in SIDES.items():
        buffer = allocate(tuple(shape), np.dtype(dtype), side)
        assume(not buffer.is_enclosed)  # a whole page, which has no fence: below
        poison(buffer.array)
        assert buffer.broken_fence() is None
        fence = buffer.fence_before if outside == "before" else buffer.fence_after
        fence[-1 if outside == "before" else 0] = 1
        assert buffer.broken_fence() == outside


@pytest.mark.parametrize(("side", "offset"), [("start", -4), ("end", 64)])
def test_a_guard_page_is_next_to_the_data(side: str, offset: int) -> None:
    program = (
        "import ctypes, numpy as np; from tilewright.measure.buffers import allocate;"
        f"b = allocate((16,), np.dtype('float32'), {side!r});"
        f"ctypes.string_at(b.array.ctypes.data + {offset}, 4)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -11


def test_data_that_fill_pages_are_enclosed() -> None:
    for side in SIDES:
        assert allocate((1024,), np.dtype(np.float32), side).is_enclosed
        assert not allocate((1023,), np.dtype(np.float32), side).is_enclosed


def test_timed_arrays_lie_as_large_ones_of_numpy() -> None:
    """Vectors that are read in place cross cache lines there, and what is fast must be fast for users."""
    usual = np.empty(1 << 24, np.float32).ctypes.data % 64  # beyond what malloc may take from its heap
    for size in (5, 1024, 1 << 20):
        buffer = allocate((size,), np.dtype(np.float32), "malloc")
        assert buffer.array.ctypes.data % 64 == usual
        for fence, outside in ((buffer.fence_before, "before"), (buffer.fence_after, "after")):
            fence[...] ^= 1
            assert buffer.broken_fence() == outside
            fence[...] ^= 1
        buffer.protect()


def test_timed_results_lie_as_those_of_kernels() -> None:
    chain = build("elementwise", threads=1, shape=(1 << 18,), chain="relu(x)")
    result = chain(np.ones(1 << 18, np.float32))
    for size in (5, 1024, 1 << 18):
        buffer = allocate((size,), np.dtype(np.float32), "result")
        assert buffer.array.ctypes.data % PAGE == result.ctypes.data % PAGE
        assert not buffer.is_enclosed


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_element_that_is_not_written_is_found(dtype: str) -> None:
    (expected,) = make_inputs([Spec("a", (4, 5), dtype)])
    buffer = allocate((4, 5), expected.dtype)
    poison(buffer.array)
    memory = buffer.array.view(np.uint8).reshape(4, 5, -1)
    keep = memory[2, 3].copy()
    buffer.array[...] = expected
    memory[2, 3] = keep
    wide = expected.astype(np.float64) if "float" in dtype else expected
    message = describe_mismatch("c", buffer.array, wide)
    assert message is not None
    assert "(2, 3)" in message


def test_rounding_is_allowed_and_grows_with_the_root_of_the_reduction() -> None:
    expected = np.array([1.0, -2.0])
    found = (expected + np.array([0.0, 5e-5])).astype(np.float32)
    assert describe_mismatch("c", found, expected) is not None
    assert describe_mismatch("c", found, expected, reduction_length=100) is None


def test_the_message_has_the_largest_error_and_its_index() -> None:
    expected = np.zeros((3, 4))
    expected[1, 2] = 1.0
    found = expected.astype(np.float32)
    found[2, 1] = 0.5
    message = describe_mismatch("c", found, expected)
    assert message is not None
    assert "0.5 at (2, 1)" in message
    assert "1 of 12" in message


def test_integers_must_be_equal() -> None:
    expected = np.arange(6).reshape(2, 3)
    found = expected.astype(np.int32)
    assert describe_mismatch("c", found, expected) is None
    found[1, 1] += 1
    assert "largest error 1 at (1, 1) (5, expected 4)" in str(describe_mismatch("c", found, expected))


def test_nan_and_infinity_must_be_where_the_reference_has_them() -> None:
    expected = np.array([np.nan, np.inf, 1.0])
    assert describe_mismatch("c", expected.astype(np.float32), expected) is None
    for wrong in ([0.0, np.inf, 1.0], [np.nan, -np.inf, 1.0], [np.nan, np.inf, np.nan]):
        assert describe_mismatch("c", np.array(wrong, np.float32), expected) is not None


def test_a_wrong_shape_is_named() -> None:
    message = describe_mismatch("c", np.zeros((2, 2), np.float32), np.zeros((4,)))
    assert "shape (2, 2)" in str(message)


def test_a_reference_survives_its_journey() -> None:
    outputs = make_inputs([Spec("a", (3, 4), "float64"), Spec("b", (), "int32"), Spec("c", (5,), "bool")])
    back = ReferenceData.from_bytes(ReferenceData(outputs, 17).to_bytes())
    assert back.reduction_length == 17
    assert all(np.array_equal(a, b) for a, b in zip(back.outputs, outputs, strict=True))


def test_outputs_and_fences_are_verified_together() -> None:
    inputs = make_buffers([Spec("a", (4,), "float32")])
    outputs = make_buffers([Spec("c", (4,), "float32")])
    reference = ReferenceData((outputs[0].array.astype(np.float64),))
    assert verify_outputs(["c"], outputs, inputs, reference) is None
    inputs[0].fence_after[0] = 0
    assert verify_outputs(["c"], outputs, inputs, reference) == (
        "the kernel wrote out of bounds, after input number 0"
    )


def test_a_store_into_a_protected_input_ends_the_process() -> None:
    program = (
        "import ctypes, numpy as np; from tilewright.measure.buffers import allocate;"
        "b = allocate((1000,), np.dtype('float32')); b.array[...] = 1; b.protect();"
        "print(b.array.sum(), flush=True);"
        "ctypes.memset(b.array.ctypes.data, 0, 4)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-11, "1000.0\n")


def test_a_narrow_result_of_wide_sums_is_held_to_its_rounding() -> None:
    expected = np.array([1.0, -0.5])
    found = np.array([1.0, -0.5], ml_dtypes.bfloat16)
    assert describe_mismatch("c", found, expected, 1024, "float32") is None
    wrong = np.array([1.0, -0.48], ml_dtypes.bfloat16)
    assert describe_mismatch("c", wrong, expected, 1024, "float32") is not None
    # Sums in the narrow type itself are rounded at every step.
    assert describe_mismatch("c", wrong, expected, 1024, "bfloat16") is None


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_bytes_are_of_the_whole_range(dtype: str) -> None:
    (values,) = make_inputs([Spec("a", (100, 100), dtype)])
    assert (values.min(), values.max()) == (np.iinfo(dtype).min, np.iinfo(dtype).max)


def test_results_without_dimensions_are_compared() -> None:
    found = np.array(1.0, np.float32)
    assert describe_mismatch("y", found, np.array(1.0)) is None
    assert "()" in str(describe_mismatch("y", found, np.array(2.0)))
