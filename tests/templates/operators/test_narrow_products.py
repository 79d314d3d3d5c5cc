"""Products and convolutions of bytes and of 16-bit floats: exact sums, and how the types go together."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from tilewright.compiler.backends.interpreter import interpret
from tilewright.compiler.build import LINE_LIMIT_MOST, compile_program, lower_for_target, write_llvm
from tilewright.compiler.kernel import Kernel, load_kernel
from tilewright.compiler.lower.constants import divide_constants
from tilewright.compiler.target import Target
from tilewright.templates.errors import TemplateError, WorkloadError
from tilewright.templates.task import Task

Array = npt.NDArray[Any]
IS_X86 = Target.host().architecture == "x86_64"
HAS_TILES = IS_X86 and Target.host().has("amx-tile")
# With instructions for bytes, and with none; with vectors of each width; with tiles and without.
CPUS = ("native", "haswell", "x86-64", *["icelake-server"] * HAS_TILES) if IS_X86 else ("native",)
EXTREMES = {"int8": (-128, 127), "uint8": (0, 255)}


def kernel_of(task: Task, index: int | None = None) -> Kernel:
    config = task.default_config if index is None else task.space.config(index)
    program = task.instantiate(config)
    return load_kernel(compile_program(program, task.target, task.threads, line_limit=LINE_LIMIT_MOST))


def valid_in(task: Task) -> list[int]:
    return [index for index in range(len(task.space)) if task.space.is_valid(index)]


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    """Bytes of the whole range, or the extremes alone."""
    if rng.integers(2):
        return rng.choice(np.array(EXTREMES[dtype], dtype), shape)
    return rng.integers(0, 256, shape, dtype=np.uint8).view(dtype)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_products_of_bytes_are_exact_for_every_short_k(cpu: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    for k in (*range(1, 10), 130):
        m, n = (int(size) for size in rng.integers(1, 40, 2))
        task = Task.create("matmul", Target.named(cpu), 2, m=m, n=n, k=k, dtype=dtype)
        a, b = draw(rng, (m, k), dtype), draw(rng, (k, n), "int8")
        np.testing.assert_array_equal(kernel_of(task)(a, b), a.astype(np.int32) @ b.astype(np.int32))


# Whole tiles; parts of them along each extent; less than two tiles of rows or of columns; a long reduction.
TILED = [(64, 64, 128), (50, 70, 90), (17, 33, 5), (31, 16, 64), (130, 100, 515), (256, 40, 257)]


@pytest.mark.parametrize("sides", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "bfloat16"])
def test_large_products_are_right_in_many_configurations(dtype: str, sides: tuple[bool, bool]) -> None:
    rng = np.random.default_rng(3)
    for m, n, k in TILED:
        transposed = dict(zip(("transpose_a", "transpose_b"), sides, strict=True))
        task = Task.create("matmul", Target.host(), 2, m=m, n=n, k=k, dtype=dtype, **transposed)
        shapes = ((k, m) if sides[0] else (m, k), (n, k) if sides[1] else (k, n))
        if dtype == "bfloat16":
            arrays = [rng.uniform(-1, 1, shape).astype(ml_dtypes.bfloat16) for shape in shapes]
        else:
            arrays = [draw(rng, shapes[0], dtype), draw(rng, shapes[1], "int8")]
        a, b = (x.T if turned else x for x, turned in zip(arrays, sides, strict=True))
        exact = a.astype(np.float64) @ b.astype(np.float64)
        for index in (None, *rng.choice(valid_in(task), 3)):
            found = kernel_of(task, None if index is None else int(index))(*arrays)
            if dtype == "bfloat16":
                np.testing.assert_allclose(found.astype(np.float64), exact, rtol=2.0**-7, atol=1e-4)
            else:
                np.testing.assert_array_equal(found, exact)


@pytest.mark.skipif(not HAS_TILES, reason="needs AMX")
def test_products_are_tiled_where_they_fill_a_tile() -> None:
    for m, n, is_tiled in ((16, 16, True), (15, 64, False), (64, 15, False), (1, 64, False)):
        task = Task.create("matmul", Target.host(), 1, m=m, n=n, k=64, dtype="int8")
        program = task.instantiate(task.default_config)
        assert ("amx_int8_int8" in str(lower_for_target(program, Target.host()))) is is_tiled


@pytest.mark.skipif(not HAS_TILES, reason="needs AMX")
def test_a_left_operand_of_whole_tiles_may_stay_where_it_is() -> None:
    for k, packs in ((128, {"b", "ab"}), (120, {"ab"})):
        task = Task.create("matmul", Target.host(), 1, m=96, n=64, k=k, dtype="int8")
        configs = [task.space.config(index).to_json() for index in valid_in(task)]
        assert {config["pack"] for config in configs} == packs
    task = Task.create("matmul", Target.host(), 1, m=96, n=64, k=128, dtype="int8")
    for pack, is_copied in (("b", False), ("ab", True)):
        config = task.space.from_values({**task.default_config.to_json(), "pack": pack})
        nest = str(lower_for_target(task.instantiate(config), Target.host()))
        assert ("A.words.pack" in nest) is is_copied


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_a_column_is_multiplied_exactly_in_scalars(cpu: str, dtype: str) -> None:
    task = Task.create("matmul", Target.named(cpu), 1, m=24, n=1, k=244, dtype=dtype)
    for unroll in (1, 4):
        values = {**task.default_config.to_json(), "rows": 4, "vectors": 1, "unroll_k": unroll}
        rng = np.random.default_rng(unroll)
        a, b = draw(rng, (24, 244), dtype), draw(rng, (244, 1), "int8")
        kernel = kernel_of(task, task.space.from_values(values).index)
        np.testing.assert_array_equal(kernel(a, b), a.astype(np.int32) @ b.astype(np.int32))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("c", "groups"), [(8, 1), (7, 1), (6, 2)])
def test_convolutions_of_bytes_are_exact(cpu: str, dtype: str, layout: str, c: int, groups: int) -> None:
    sizes = {"n": 1, "c": c, "h": 9, "w": 11, "o": 20, "kernel": 3, "padding": (1, 2, 0, 1), "groups": groups}
    task = Task.create("conv2d", Target.named(cpu), 2, **sizes, dtype=dtype, layout=layout)
    assert task.flops == 2 * (c // groups) * 9 * 20 * 8 * 12
    kernel = kernel_of(task)
    rng = np.random.default_rng(0)
    arrays = [draw(rng, spec.shape, spec.dtype) for spec in kernel.inputs]
    assert task.reference is not None
    np.testing.assert_array_equal(kernel(*arrays), task.reference(*arrays))


@pytest.mark.parametrize(
    ("cpu", "dtype", "instruction"),
    [
        ("neoverse-n1", "uint8", "sdot"),  # of signed bytes only
        ("neoverse-n1", "int8", "sdot"),
        ("neoverse-v2", "uint8", "usdot"),
        ("generic", "uint8", "mul <4 x i32>"),
    ],
)
@pytest.mark.parametrize("op", ["matmul", "conv2d"])
def test_bytes_are_multiplied_on_aarch64(op: str, cpu: str, dtype: str, instruction: str) -> None:
    """By the instructions that there are for bytes of one sign; the loops mean the product."""
    target = Target.named(cpu, triple="aarch64-unknown-linux-gnu")
    sizes = (
        {"c": 7, "h": 5, "w": 6, "n": 1, "o": 9, "kernel": 3, "padding": 1}
        if op == "conv2d"
        else {"m": 9, "n": 20, "k": 14}
    )
    task = Task.create(op, target, 1, **sizes, dtype=dtype)
    program = task.instantiate(task.default_config)
    assert instruction in write_llvm(program, target, 1)[0].text
    rng = np.random.default_rng(0)
    arrays = [draw(rng, spec.shape, spec.dtype) for spec in program.inputs]
    assert task.reference is not None
    np.testing.assert_array_equal(
        interpret(lower_for_target(program, target), arrays)[0], task.reference(*arrays)
    )


def test_a_constant_weight_is_packed_and_summed_ahead() -> None:
    task = Task.create("dense", Target.host(), 1, m=20, n=50, k=30, dtype="int8")
    nest = lower_for_target(task.instantiate(task.default_config), Target.host())
    prepared = {buffer.name for buffer in divide_constants(nest, ("weight",)).prepared}
    assert "weight.words.pack" in prepared
    rng = np.random.default_rng(0)
    x, weight = draw(rng, (20, 30), "int8"), draw(rng, (50, 30), "int8")
    layer = kernel_of(task).bind(weight=weight)
    np.testing.assert_array_equal(layer(x), x.astype(np.int32) @ weight.T.astype(np.int32))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_results_of_16_bits_are_rounded_once(cpu: str, dtype: str) -> None:
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.float16
    rng = np.random.default_rng(0)
    shape = {"m": 19, "n": 45, "k": 33}
    a, b = (rng.uniform(-1, 1, s).astype(kind) for s in ((19, 33), (33, 45)))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    for out_dtype, unit in ((dtype, 2.0**-7 if dtype == "bfloat16" else 2.0**-10), ("float32", 1e-5)):
        task = Task.create("matmul", Target.named(cpu), 1, **shape, dtype=dtype, out_dtype=out_dtype)
        found = kernel_of(task)(a, b).astype(np.float64)
        np.testing.assert_allclose(found, exact, rtol=unit, atol=1e-5)


@pytest.mark.parametrize("k", [9, 11, 13, 15])
def test_rows_an_odd_number_of_bfloat16_long_are_compiled(k: int) -> None:
    """LLVM's vectorizer made types of reads that far apart on which its code generator ended the process."""
    target = Target.named("sapphirerapids")
    task = Task.create("matmul", target, 1, m=32, n=64, k=k, dtype="bfloat16", transpose_b=True)
    assert compile_program(task.instantiate(task.default_config), target).lines


def test_operations_do_not_depend_on_how_words_are_filled() -> None:
    for dtype in ("uint8", "int8", "bfloat16", "float16"):
        task = Task.create("matmul", Target.host(), 1, m=7, n=11, k=13, dtype=dtype)
        assert task.flops == 2 * 7 * 11 * 13


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ({"dtype": "uint8", "weight_dtype": "uint8"}, "uint8 by int8, int8 by int8"),
        ({"dtype": "float32", "weight_dtype": "int8"}, "products are float32 by float32"),
        ({"dtype": "uint8", "out_dtype": "float32"}, "gives int32"),
        ({"dtype": "bfloat16", "out_dtype": "float16"}, "gives bfloat16 or float32"),
    ],
)
def test_types_that_do_not_go_together_are_refused(types: dict[str, str], message: str) -> None:
    task = Task.create("matmul", Target.host(), 1, m=2, n=3, k=4, **types)
    with pytest.raises((WorkloadError, TemplateError), match=message):
        len(task.space)


def test_an_unknown_type_is_refused_with_those_that_there_are() -> None:
    shape = {"m": 2, "n": 3, "k": 4, "dtype": "uint8"}
    with pytest.raises(
        WorkloadError, match=r"weight_dtype must be one of .*'uint8', 'int8', None, not 'byte'"
    ):
        Task.create("matmul", Target.host(), 1, **shape, weight_dtype="byte")
