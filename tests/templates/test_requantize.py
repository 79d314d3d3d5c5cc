"""Sums of bytes made bytes again: the rounding and the saturation of ONNX, fused and over blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tilewright.compiler.build import LINE_LIMIT_MOST, compile_program
from tilewright.compiler.kernel import Kernel, load_kernel
from tilewright.compiler.target import Target
from tilewright.compiler.te.storage import storage_dtype
from tilewright.templates.errors import TemplateError, WorkloadError
from tilewright.templates.option import OtherOptionEntity
from tilewright.templates.task import Task

SHAPE = {"m": 19, "n": 75, "k": 300}
Array = npt.NDArray[Any]


def expected(sums: Array, multiplier: Array, zero_point: int, dtype: str) -> Array:
    """ONNX's QuantizeLinear of the scaled sums."""
    limits = np.iinfo(dtype)
    rounded = np.round(sums.astype(np.float32) * multiplier)
    shifted = np.clip(rounded.astype(np.float64) + zero_point, limits.min, limits.max)
    return np.asarray(shifted.astype(dtype))


def kernel_of(target: Target, epilogue: tuple[str, ...], dtype: str, in_blocks: bool = False) -> Kernel:
    task = Task.create("matmul", target, 2, **SHAPE, dtype=dtype, epilogue=epilogue)
    config = task.default_config
    if in_blocks:
        least = task.space.knob("block_k").entities[0]
        assert isinstance(least, OtherOptionEntity)
        config = task.space.from_values({**config.to_json(), "block_k": least.val})
    program = task.instantiate(config)
    return load_kernel(compile_program(program, target, 2, line_limit=LINE_LIMIT_MOST))


def operands(dtype: str) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (SHAPE["m"], SHAPE["k"]), dtype=np.uint8).view(dtype)
    return a, rng.integers(-128, 128, (SHAPE["k"], SHAPE["n"]), dtype=np.int8)


@pytest.mark.parametrize("cpu", ["native", "haswell"])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("to", ["uint8", "int8"])
@pytest.mark.parametrize("in_blocks", [False, True])
def test_bytes_are_those_of_numpy(cpu: str, dtype: str, to: str, in_blocks: bool) -> None:
    if cpu != "native" and "avx2" not in Target.host().features:
        pytest.skip("this machine cannot run code for x86-64 with AVX2")
    kernel = kernel_of(Target.named(cpu), (f"requantize:{to}",), dtype, in_blocks)
    assert [(spec.name, spec.dtype) for spec in kernel.inputs[2:]] == [
        ("multiplier", "float32"),
        ("zero_point", to),
    ]
    a, b = operands(dtype)
    sums = a.astype(np.int32) @ b.astype(np.int32)
    for scale, zero_point in ((1e-3, 3), (0.5, 100), (7.0, -5 if to == "int8" else 0), (-0.002, 127)):
        # Powers of two make ties; the others differ by channel.
        multiplier = np.full(SHAPE["n"], scale, np.float32)
        multiplier[::3] *= np.float32(0.3)
        found = kernel(a, b, multiplier, np.array([zero_point], to))
        assert found.dtype == storage_dtype(to)
        np.testing.assert_array_equal(found, expected(sums, multiplier, zero_point, to))


def test_halves_are_rounded_to_even() -> None:
    task = Task.create(
        "matmul", Target.host(), 1, m=1, n=8, k=1, dtype="uint8", epilogue=("requantize:int8",)
    )
    kernel = load_kernel(compile_program(task.instantiate(task.default_config), Target.host()))
    b = np.array([[-5, -3, -1, 1, 3, 5, 7, 127]], np.int8)
    found = kernel(np.array([[1]], np.uint8), b, np.full(8, 0.5, np.float32), np.array([0], np.int8))
    np.testing.assert_array_equal(found, [[-2, -2, 0, 0, 2, 2, 4, 64]])


def test_one_multiplier_for_the_whole_tensor_after_a_bias() -> None:
    kernel = kernel_of(Target.host(), ("bias", "relu", "requantize:uint8:tensor"), "int8")
    a, b = operands("int8")
    bias = np.random.default_rng(1).integers(-(10**5), 10**5, SHAPE["n"], dtype=np.int32)
    sums = np.maximum(a.astype(np.int32) @ b.astype(np.int32) + bias, 0)
    multiplier = np.array([0.0007], np.float32)
    found = kernel(a, b, bias, multiplier, np.array([9], np.uint8))
    np.testing.assert_array_equal(found, expected(sums, multiplier, 9, "uint8"))


def test_the_reference_rounds_alike() -> None:
    task = Task.create("matmul", Target.host(), 1, **SHAPE, dtype="uint8", epilogue=("requantize:uint8",))
    a, b = operands("uint8")
    multiplier = np.random.default_rng(2).uniform(0, 1e-3, SHAPE["n"]).astype(np.float32)
    assert task.reference is not None
    found = task.reference(a, b, multiplier.astype(np.float64), np.array([7], np.uint8))
    sums = a.astype(np.int32) @ b.astype(np.int32)
    np.testing.assert_array_equal(found, expected(sums, multiplier, 7, "uint8"))


def test_nothing_follows_bytes() -> None:
    task = Task.create("matmul", Target.host(), 1, **SHAPE, epilogue=("requantize:int8", "relu"))
    with pytest.raises((WorkloadError, TemplateError), match="nothing can follow requantize"):
        len(task.space)
