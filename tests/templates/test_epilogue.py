"""Epilogues of the products: every function, fused and over blocks, against NumPy in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tilewright as tw
from tilewright.compiler.build import LINE_LIMIT_MOST, compile_program
from tilewright.compiler.kernel import Kernel, load_kernel
from tilewright.compiler.target import Target
from tilewright.templates.config import Config
from tilewright.templates.epilogue import finish, parse_epilogue
from tilewright.templates.errors import TemplateError, WorkloadError
from tilewright.templates.functions import FUNCTIONS
from tilewright.templates.task import Task

# What these give changes much where their argument hardly does.
STEEP = ("sqrt", "rsqrt", "log", "floor", "ceil", "round", "trunc")
SMOOTH = [name for name in FUNCTIONS if name not in STEEP]
OTHERS = ("bias", "scale", "add", "mul", "clip:-.5:0.25", "leaky_relu:0.1")
EPILOGUES: list[tuple[str, ...]] = [(name,) for name in (*SMOOTH, *OTHERS)]
EPILOGUES += [("scale", "bias", "add", "relu"), ("bias", "bias", "tanh")]


def compile_config(task: Task, config: Config) -> Kernel:
    program = task.instantiate(config)
    return load_kernel(compile_program(program, task.target, task.threads, line_limit=LINE_LIMIT_MOST))


def check(task: Task, config: Config, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    kernel = compile_config(task, config)
    arrays = [rng.uniform(-2, 2, spec.shape).astype(spec.dtype) for spec in kernel.inputs]
    assert task.reference is not None
    expected = task.reference(*(a.astype(np.float64) for a in arrays))
    tolerance = 1e-4 if kernel.outputs[0].dtype == "float32" else 1e-11
    np.testing.assert_allclose(kernel(*arrays), expected, rtol=tolerance, atol=tolerance, err_msg=str(config))


@pytest.mark.parametrize("epilogue", EPILOGUES, ids="-".join)
def test_an_epilogue_is_right_fused_and_over_blocks(epilogue: tuple[str, ...]) -> None:
    task = Task.create("matmul", Target.host(), 2, m=37, n=53, k=70, epilogue=epilogue)
    assert task.default_config["block_k"].val == 70
    check(task, task.default_config)
    values = {**task.default_config.to_json(), "block_k": 64, "pack": "ab"}
    check(task, task.space.from_values(values))


@pytest.mark.parametrize("name", STEEP)
def test_a_steep_function_of_the_same_sums(name: str) -> None:
    shape = {"m": 37, "n": 53, "k": 70}
    plain, task = (
        Task.create("matmul", Target.host(), 1, **shape, epilogue=epilogue) for epilogue in ((), (name,))
    )
    config = task.default_config
    product, kernel = (compile_config(t, t.space.from_values(config.to_json())) for t in (plain, task))
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(-2, 2, spec.shape).astype(spec.dtype) for spec in kernel.inputs]
    with np.errstate(invalid="ignore"):
        expected = finish(product(*arrays), (name,), ())
    np.testing.assert_allclose(kernel(*arrays), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", ["dense", "batch_matmul"])
def test_products_of_all_kinds_have_epilogues(op: str) -> None:
    batch = {"b": 3} if op == "batch_matmul" else {}
    task = Task.create(
        op, Target.host(), 2, m=21, n=35, k=90, dtype="float64", epilogue=("bias", "gelu"), **batch
    )
    check(task, task.default_config)
    check(task, task.space.from_values({**task.default_config.to_json(), "block_k": 64}))


def test_operands_follow_in_the_order_of_the_names() -> None:
    task = Task.create("dense", Target.host(), 1, m=4, n=5, k=6, epilogue=("add", "bias", "relu", "bias"))
    kernel = compile_config(task, task.default_config)
    names = [(spec.name, spec.shape) for spec in kernel.inputs]
    assert names == [
        ("x", (4, 6)),
        ("weight", (5, 6)),
        ("residual", (4, 5)),
        ("bias", (5,)),
        ("bias.1", (5,)),
    ]


@pytest.mark.parametrize("name", ["leaky_relu:0.1", "hardswish", "relu6"])
def test_code_grows_with_the_length_of_an_epilogue_and_no_faster(name: str) -> None:
    lengths = []
    for count in (1, 2, 3):
        task = Task.create("matmul", Target.host(), 1, m=32, n=96, k=16, epilogue=(name,) * count)
        program = task.instantiate(task.default_config)
        lengths.append(compile_program(program, task.target, line_limit=LINE_LIMIT_MOST).lines)
    assert lengths[2] - lengths[1] == lengths[1] - lengths[0]


def test_a_fused_epilogue_stores_the_result_once() -> None:
    task = Task.create("matmul", Target.host(), 1, m=96, n=96, k=96, epilogue=("bias", "relu"))
    loops = compile_config(task, task.default_config).source("loops")
    assert "C.finished[" in loops
    assert "alloc((96, 96)" not in loops


def test_a_missing_value_stays_one() -> None:
    task = Task.create("matmul", Target.host(), 1, m=2, n=2, k=2, epilogue=("relu6",))
    result = compile_config(task, task.default_config)(np.full((2, 2), np.nan, "f"), np.ones((2, 2), "f"))
    assert np.isnan(result).all()


@pytest.mark.parametrize(
    "name", ["relu7", "clip", "clip:1", "clip:a:b", "clip:__import__:1", "clip(0,1)", ""]
)
def test_an_unknown_name_is_answered_with_the_list(name: str) -> None:
    with pytest.raises(
        WorkloadError, match=r"is none of bias, scale, add, mul, relu, relu6, .*clip:LOW:HIGH"
    ):
        parse_epilogue([name])
    with pytest.raises((WorkloadError, TemplateError), match="is none of bias"):
        Task.create("matmul", Target.host(), 1, m=2, n=2, k=2, epilogue=(name,)).space  # noqa: B018


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        ("matmul", {"m": 4, "n": 4, "k": 4}),
        ("matmul", {"m": 4, "n": 1, "k": 4}),
        ("conv2d", {"n": 1, "c": 4, "h": 6, "w": 6, "o": 4, "kernel": 3}),
        ("depthwise_conv2d", {"n": 1, "c": 4, "h": 6, "w": 6, "kernel": 3}),
    ],
)
@pytest.mark.parametrize(
    ("name", "count", "why"),
    [
        ("gelu", 12, r"gelu, gelu, .*, \.\.\.: \d+ operations when written out"),
        ("silu", 9, "operations when written out"),
        ("relu", 300, "operations deep, 150 at most"),
    ],
)
def test_an_epilogue_that_is_too_long_is_refused(
    op: str, shape: dict[str, Any], name: str, count: int, why: str
) -> None:
    with pytest.raises(WorkloadError, match=f"^epilogue: {name}, .*{why}"):
        tw.build(op, **shape, threads=1, epilogue=(name,) * count)


@pytest.mark.parametrize(
    ("name", "count"), [("relu", 140), ("hardsigmoid", 36), ("clip:-1:1", 70), ("add", 30)]
)
def test_a_long_epilogue_is_built(name: str, count: int) -> None:
    kernel = tw.build("matmul", m=4, n=4, k=4, threads=1, epilogue=(name,) * count)
    arrays = [np.ones(spec.shape, spec.dtype) for spec in kernel.inputs]
    assert np.isfinite(kernel(*arrays)).all()


def test_bounds_come_in_order() -> None:
    with pytest.raises(WorkloadError, match="lower bound comes first"):
        parse_epilogue(["clip:2:1"])


def test_vectors_run_along_the_given_channel() -> None:
    result = finish(np.zeros((2, 3, 4)), ("bias",), [np.arange(3.0)], channel=1)
    assert (result == np.arange(3.0)[None, :, None]).all()


@pytest.mark.parametrize(
    "name", ["leaky_relu:0.1", "gelu", "gelu_tanh", "sigmoid", "sqrt", "hardswish", "clip:-1.5:2"]
)
def test_integers_are_not_made_floats(name: str) -> None:
    with pytest.raises(tw.TilewrightError, match=f"epilogue: {name}: it makes floats of int32"):
        tw.build("matmul", m=4, n=4, k=4, dtype="int8", epilogue=("bias", name), threads=1)


def test_integers_stay_exact() -> None:
    names = ("bias", "relu", "clip:0:2147483647", "abs")
    kernel = tw.build("matmul", m=1, n=3, k=1, dtype="int8", epilogue=names, threads=1)
    bias = np.array([2**31 - 1, 2**24 + 1, -5], np.int32)
    found = kernel(np.ones((1, 1), np.int8), np.zeros((1, 3), np.int8), bias)
    assert found.tolist() == [[2**31 - 1, 2**24 + 1, 0]]
