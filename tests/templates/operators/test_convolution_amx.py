"""Convolutions of bytes and bfloat16 numbers in the processor's tiles: exact, on any machine."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from tilewright.compiler.backends.interpreter import interpret
from tilewright.compiler.build import LINE_LIMIT_MOST, compile_program, lower_for_target
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.target import Target
from tilewright.templates.operators.convolution import reference
from tilewright.templates.task import Task

Array = npt.NDArray[Any]
Params = dict[str, Any]
HOST = Target.host()
IS_X86 = HOST.architecture == "x86_64"
TILES = "sapphirerapids"
HAS_TILES = IS_X86 and HOST.runs(Target.named(TILES))
pytestmark = pytest.mark.skipif(not IS_X86, reason="names of x86 CPUs")
PLAIN: Params = {"n": 1, "c": 4, "h": 4, "w": 8, "o": 16, "kernel": 1}
# Lines of all widths, steps that fill no tile, strides, dilations, uneven borders, blocks of channels.
WORKLOADS: list[Params] = [
    PLAIN | {"c": 3, "h": 4, "w": 4},
    PLAIN | {"h": 2, "w": 33, "o": 17},
    PLAIN | {"c": 6, "h": 5, "w": 7, "kernel": (2, 3), "padding": (1, 0, 0, 2)},
    PLAIN | {"h": 9, "w": 9, "kernel": 3, "stride": 2, "padding": 1, "dilation": 2},
    PLAIN | {"c": 61, "h": 5, "w": 5, "kernel": (1, 2), "padding": (0, 1), "layout": "NHWC", "o": 17},
    PLAIN | {"n": 2, "h": 3, "w": 16, "kernel": (1, 3), "stride": (1, 2), "epilogue": ("bias", "relu")},
    PLAIN | {"c": 9, "h": 6, "w": 8, "kernel": 3, "padding": 1, "layout": "NHWC"},
    PLAIN | {"c": 35, "h": 9, "w": 8, "kernel": 3, "dilation": 2, "layout": "NHWC"},
]
# Their own sums are exact, too: small whole numbers.
TYPES: dict[str, Params] = {
    "uint8": {"dtype": "uint8", "weight_dtype": "int8"},
    "int8": {"dtype": "int8"},
    "bfloat16": {"dtype": "bfloat16", "out_dtype": "float32"},
}
NAMES = {"uint8": ("amx_int8_uint8", "amx_uint8_int8"), "bfloat16": ("amx_bfloat16_bfloat16",)}
LARGER: list[Params] = [
    {"n": 2, "c": 64, "h": 56, "w": 30, "o": 64, "kernel": 3, "padding": 1},
    {"n": 1, "c": 100, "h": 14, "w": 14, "o": 130, "kernel": 3, "padding": 1},
    {"n": 1, "c": 32, "h": 7, "w": 7, "o": 96, "kernel": 3, "padding": 1, "epilogue": ("requantize:int8",)},
    {"n": 1, "c": 3, "h": 40, "w": 50, "o": 33, "kernel": 7, "padding": 3, "stride": 2},
    {"n": 1, "c": 5, "h": 40, "w": 50, "o": 33, "kernel": 7, "padding": 3, "stride": 2, "layout": "NHWC"},
    {"n": 3, "c": 128, "h": 13, "w": 11, "o": 48, "kernel": 1},
    {"n": 2, "c": 64, "h": 30, "w": 33, "o": 70, "kernel": 3, "padding": 1, "stride": 2, "layout": "NHWC"},
    {"n": 1, "c": 128, "h": 7, "w": 7, "o": 32, "kernel": 1, "layout": "NHWC", "epilogue": ("bias", "relu")},
]


def task_of(params: Params, threads: int = 1, dtype: str = "uint8") -> Task:
    return Task.create("conv2d", Target.named(TILES), threads, **TYPES[dtype] | params)


def operands(program: Program, seed: int) -> list[Array]:
    """Bytes of the whole range; other operands are small."""
    rng = np.random.default_rng(seed)
    found = []
    for spec in program.inputs:
        is_byte = spec.dtype in ("int8", "uint8") and len(spec.shape) == 4
        values = rng.integers(0, 256, spec.shape, dtype=np.uint8).view(spec.dtype) if is_byte else None
        kind = ml_dtypes.bfloat16 if spec.dtype == "bfloat16" else spec.dtype
        found.append(rng.integers(1, 5, spec.shape).astype(kind) if values is None else values)
    return found


def expected(params: Params, inputs: list[Array]) -> Array:
    window: Params = {"layout": "NCHW", "stride": 1, "padding": 0, "dilation": 1, "epilogue": ()} | params
    kept = {name: window[name] for name in ("layout", "stride", "padding", "dilation", "epilogue")}
    return reference(*inputs, groups=1, **kept)


@pytest.mark.parametrize("order", ["pixels", "channels"])
@pytest.mark.parametrize("dtype", ["uint8", "bfloat16"])
@pytest.mark.parametrize("params", WORKLOADS)
def test_loops_mean_the_convolution(params: Params, dtype: str, order: str) -> None:
    task = task_of(params, dtype=dtype)
    config = task.space.from_values({**task.default_config.to_json(), "order": order})
    program = task.instantiate(config)
    inputs = operands(program, 0)
    nest = lower_for_target(program, task.target)
    assert any(name in str(nest) for name in NAMES[dtype])
    wanted = expected(params, inputs)
    np.testing.assert_array_equal(interpret(nest, inputs)[0].reshape(wanted.shape), wanted)


@pytest.mark.skipif(not HAS_TILES, reason="needs AMX")
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("params", [*WORKLOADS, *LARGER])
def test_code_computes_it_in_every_configuration(params: Params, dtype: str) -> None:
    for threads in (1, 2):
        task = task_of(params, threads, dtype)
        for index in range(len(task.space)):
            program = task.instantiate(task.space.config(index))
            inputs = operands(program, index)
            code = compile_program(program, task.target, threads, line_limit=LINE_LIMIT_MOST)
            np.testing.assert_array_equal(load_kernel(code)(*inputs), expected(params, inputs))


@pytest.mark.parametrize("others", [{"c": 5}, {"c": 5, "layout": "NHWC"}])
def test_what_fills_tiles_makes_no_nan_of_infinite_pixels(others: Params) -> None:
    params = PLAIN | {"h": 6, "w": 9, "kernel": (3, 2), "epilogue": ()} | others
    task = task_of(params, dtype="bfloat16")
    program = task.instantiate(task.default_config)
    x, weight = operands(program, 0)
    x.reshape(-1)[[7, 90]] = np.inf
    nest = lower_for_target(program, task.target)
    assert NAMES["bfloat16"][0] in str(nest)
    found = interpret(nest, [x, weight])[0]
    wanted = expected(params, [x, weight])
    assert np.isinf(wanted).any()
    np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)
    if HAS_TILES:
        np.testing.assert_array_equal(load_kernel(compile_program(program, task.target))(x, weight), wanted)


@pytest.mark.parametrize(
    ("others", "is_tiled"),
    [
        ({}, True),
        ({"o": 15}, False),
        ({"h": 2, "w": 3}, False),
        ({"layout": "NHWC", "c": 64}, True),
        ({"layout": "NHWC", "c": 60}, True),
        ({"layout": "NHWC", "c": 28}, False),
        ({"groups": 2, "o": 32}, False),
    ],
)
def test_tiles_are_for_what_fills_them(others: Params, is_tiled: bool) -> None:
    task = task_of(PLAIN | others)
    text = str(lower_for_target(task.instantiate(task.default_config), task.target))
    assert ("amx_" in text) is is_tiled


def test_a_weight_or_result_too_large_for_the_cache_is_passed_once() -> None:
    def order(**params: Any) -> Any:
        return task_of(PLAIN | params).default_config.to_json()["order"]

    many = {"h": 512, "w": 512}
    assert order(c=64, o=64, h=56, w=56, kernel=3) == "pixels"
    assert order(c=2048, o=2048, kernel=3) == "channels"
    assert order(o=256, **many) == "channels"
    assert order(c=512, o=256, **many) == "pixels"
    assert order(c=64, o=256, layout="NHWC", **many) == "pixels"
