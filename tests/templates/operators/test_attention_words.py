"""Attention of bfloat16 numbers that the processor multiplies by pairs or by tiles, on any machine."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from tilewright.compiler.backends.interpreter import interpret
from tilewright.compiler.build import LINE_LIMIT_MOST, compile_program, lower_for_target
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.target import Target
from tilewright.templates.errors import InvalidIndexError
from tilewright.templates.operators.attention import reference
from tilewright.templates.task import Task

Array = npt.NDArray[Any]
Params = dict[str, Any]
HOST = Target.host()
IS_X86 = HOST.architecture == "x86_64"
PAIRS, TILES = "cooperlake", "sapphirerapids"
HAS_TILES = IS_X86 and HOST.runs(Target.named(TILES))
# Words that are whole and not, more heads than those of keys, queries and keys that fill no tile, masks.
WORKLOADS: list[Params] = [
    {"m": 16, "n": 32, "d": 32},
    {"m": 33, "n": 35, "d": 7, "heads": 2, "kv_heads": 1},
    {"m": 20, "n": 45, "d": 8, "causal": True, "scale": -0.5},
    {"m": 17, "n": 40, "d": 4, "mask": (17, 40)},
    {"m": 16, "n": 33, "d": 6, "heads": 2, "mask": (2, 1, 33), "causal": True},
    {"m": 16, "n": 33, "d": 6, "mask": (16, 1)},
]
QUERIES = {"lanes": "queries", "rows": 4, "vectors": 1, "across": 1, "wide": 1, "parts": 2, "prefetch": True}
pytestmark = pytest.mark.skipif(not IS_X86, reason="names of x86 CPUs")


def task_of(cpu: str, params: Params) -> Task:
    return Task.create(
        "attention", Target.named(cpu), 1, **{"b": 1, "heads": 1, "dtype": "bfloat16"} | params
    )


def draw(task: Task, params: Params, seed: int = 0) -> tuple[list[Array], Array]:
    """Operands, and the result in float64."""
    rng = np.random.default_rng(seed)
    program = task.instantiate(task.default_config)
    inputs = [rng.standard_normal(spec.shape).astype(ml_dtypes.bfloat16) for spec in program.inputs]
    wide = (array.astype(np.float64) for array in inputs)
    return inputs, reference(*wide, causal=params.get("causal", False), scale=params.get("scale"))


def check(found: Array, expected: Array) -> None:
    """Powers have eight bits, as the result has."""
    np.testing.assert_allclose(found.astype(np.float64), expected, rtol=0.01, atol=0.02)


@pytest.mark.parametrize("params", WORKLOADS)
@pytest.mark.parametrize(("cpu", "knobs"), [(PAIRS, QUERIES), (TILES, {"keys": 32})])
def test_loops_mean_attention_and_code_computes_it(cpu: str, knobs: Params, params: Params) -> None:
    task = task_of(cpu, params)
    inputs, expected = draw(task, params)
    config = task.space.from_values({**task.default_config.to_json(), **knobs})
    program = task.instantiate(config)
    if params is not WORKLOADS[1]:  # the interpreter is slow
        check(interpret(lower_for_target(program, task.target), inputs)[0], expected)
    if HOST.runs(task.target):
        code = compile_program(program, task.target, line_limit=LINE_LIMIT_MOST)
        check(load_kernel(code)(*inputs), expected)


@pytest.mark.parametrize("mask", [(), (1,), (16, 33)])
def test_a_block_of_more_keys_than_there_are(mask: tuple[int, ...]) -> None:
    params = {"m": 16, "n": 33, "d": 4, "mask": mask}
    task = task_of(TILES, params)
    inputs, expected = draw(task, params)
    program = task.instantiate(task.space.from_values({"keys": 64}))
    check(interpret(lower_for_target(program, task.target), inputs)[0], expected)


@pytest.mark.skipif(not HAS_TILES, reason="needs AMX")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_of_keys_of_all_sizes(causal: bool, threads: int) -> None:
    params = {"m": 70, "n": 300, "d": 40, "heads": 4, "kv_heads": 2, "b": 2, "causal": causal}
    task = task_of(TILES, params)
    inputs, expected = draw(task, params)
    configs = [task.space.config(index) for index in range(len(task.space))]
    assert [config.to_json()["keys"] for config in configs] == [32, 64, 128, 256]
    for config in configs:
        program = task.instantiate(config)
        kernel = load_kernel(compile_program(program, task.target, threads, line_limit=LINE_LIMIT_MOST))
        check(kernel(*inputs), expected)


@pytest.mark.skipif(not HAS_TILES, reason="needs AMX")
def test_keys_that_are_hidden_are_not_looked_at() -> None:
    """By a causal mask, in whole blocks."""
    params = {"m": 64, "n": 64, "d": 16, "causal": True}
    task = task_of(TILES, params)
    inputs, expected = draw(task, params)
    code = compile_program(task.instantiate(task.space.from_values({"keys": 32})), task.target)
    _, keys, values = inputs
    keys[:, :, 32:], values[:, :, 32:] = np.nan, np.inf
    found = load_kernel(code)(*inputs)
    check(found[:, :, :32], expected[:, :, :32])
    assert np.isnan(found[:, :, 32:].astype(np.float32)).all()


@pytest.mark.parametrize(("m", "n", "is_tiled"), [(16, 16, True), (15, 64, False), (64, 15, False)])
def test_tiles_are_for_what_fills_one(m: int, n: int, is_tiled: bool) -> None:
    task = task_of(TILES, {"m": m, "n": n, "d": 8})
    text = str(lower_for_target(task.instantiate(task.default_config), task.target))
    assert ("amx_bfloat16" in text) is is_tiled


@pytest.mark.parametrize(("cpu", "parts"), [("znver4", 2), (PAIRS, 1)])
def test_pairs_are_multiplied_where_that_is_faster(cpu: str, parts: int) -> None:
    """Intel's cores take three times as long for them as for a multiply-add."""
    assert task_of(cpu, {"m": 128, "n": 128, "d": 64}).default_config.to_json()["parts"] == parts


def test_keys_in_the_lanes_are_no_pairs() -> None:
    task = task_of(PAIRS, {"m": 64, "n": 64, "d": 16})
    values = {**task.default_config.to_json(), "lanes": "keys", "wide": 1, "parts": 2, "prefetch": True}
    with pytest.raises(InvalidIndexError, match="breaks a constraint"):
        task.space.from_values(values)


def test_a_block_fits_the_keys_and_the_mask() -> None:
    def keys(**params: Any) -> Any:
        return task_of(TILES, {"m": 128, "d": 64} | params).default_config.to_json()["keys"]

    assert keys(n=150) <= 64  # of 128 there would be 256
    assert keys(n=2048) > keys(n=2048, causal=True)
    assert keys(n=2048, mask=(128, 2048)) <= 128
