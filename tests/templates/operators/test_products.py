"""Matrix products: packing, blocks, vectors."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tilewright.compiler.build import LINE_LIMIT_MOST, compile_program, lower_for_target
from tilewright.compiler.errors import CodeSizeError
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.lower.constants import divide_constants
from tilewright.compiler.target import Target
from tilewright.deploy import build
from tilewright.templates.errors import WorkloadError
from tilewright.templates.task import Task


def check(task: Task, index: int | None, rng: np.random.Generator) -> bool:
    config = task.default_config if index is None else task.space.config(index)
    try:
        code = compile_program(
            task.instantiate(config), task.target, task.threads, line_limit=LINE_LIMIT_MOST
        )
    except CodeSizeError:
        return False
    kernel = load_kernel(code)
    arrays = [rng.uniform(-1, 1, spec.shape).astype(spec.dtype) for spec in kernel.inputs]
    assert task.reference is not None
    expected = task.reference(*(a.astype(np.float64) for a in arrays))
    tolerance = 1e-4 if kernel.outputs[0].dtype == "float32" else 1e-11
    np.testing.assert_allclose(kernel(*arrays), expected, rtol=tolerance, atol=tolerance, err_msg=str(config))
    return True


@pytest.mark.parametrize("shape", [(1, 100, 64), (100, 1, 64), (1, 1, 300), (3, 257, 1)])
def test_vectors_are_products_too(shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    rng = np.random.default_rng(0)
    for op in ("matmul", "dense"):
        assert check(Task.create(op, Target.host(), 1, m=m, n=n, k=k), None, rng)


def test_a_constant_weight_is_packed_ahead() -> None:
    task = Task.create("dense", Target.host(), 1, m=20, n=50, k=30)
    assert task.constants == ("weight",)
    assert task.default_config["pack"].val == "b"
    divided = divide_constants(
        lower_for_target(task.instantiate(task.default_config), Target.host()), ("weight",)
    )
    assert [buffer.name for buffer in divided.prepared] == ["weight.pack"]
    kernel = build("dense", threads=1, m=20, n=50, k=30)
    rng = np.random.default_rng(0)
    x, weight = rng.uniform(-1, 1, (20, 30)).astype("float32"), rng.uniform(-1, 1, (50, 30)).astype("float32")
    layer = kernel.bind(weight=weight)
    np.testing.assert_allclose(layer(x), x @ weight.T, rtol=1e-4, atol=1e-5)
    assert Task.create("dense", Target.host(), 1, m=20, n=50, k=30, constant=()).constants == ()


@pytest.mark.parametrize("prefetch", [True, False])
def test_tiles_of_rows_fetch_the_next_panel_of_a_constant(prefetch: bool) -> None:
    task = Task.create("dense", Target.host(), 1, m=96, n=200, k=300)
    config = task.space.from_values({**task.default_config.to_json(), "prefetch": prefetch})
    nest = str(lower_for_target(task.instantiate(config), Target.host()))
    assert ("prefetch(weight.pack[" in nest) is prefetch
    rng = np.random.default_rng(0)
    x, weight = (rng.uniform(-1, 1, shape).astype("float32") for shape in ((96, 300), (200, 300)))
    layer = build("dense", m=96, n=200, k=300, threads=1, config=config.to_json()).bind(weight=weight)
    np.testing.assert_allclose(layer(x), x @ weight.T, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("k", "is_shared"), [(300, True), (301, False)])
def test_steps_that_are_written_out_share_a_fetch(k: int, is_shared: bool) -> None:
    """Steps left over after the last four cannot be a loop of their own."""
    task = Task.create("dense", Target.host(), 1, m=96, n=200, k=k)
    tile = {"rows": 4, "vectors": 1, "block_m": 96, "block_k": k, "unroll_k": 4, "prefetch": True}
    config = task.space.from_values({**task.default_config.to_json(), **tile})
    lines = [
        line.strip() for line in str(lower_for_target(task.instantiate(config), Target.host())).splitlines()
    ]
    after = [lines[n + 1] for n, line in enumerate(lines) if line.startswith("prefetch(weight.pack[")]
    assert after
    assert all(("k.inner.inner in unrolled(4)" in line) is is_shared for line in after)
    rng = np.random.default_rng(0)
    x, weight = (rng.uniform(-1, 1, shape).astype("float32") for shape in ((96, k), (200, k)))
    layer = build("dense", m=96, n=200, k=k, threads=1, config=config.to_json()).bind(weight=weight)
    np.testing.assert_allclose(layer(x), x @ weight.T, rtol=1e-4, atol=1e-4)


def test_panels_are_fetched_where_they_follow_one_another() -> None:
    task = Task.create("dense", Target.host(), 1, m=96, n=200, k=300)
    rows = [task.space.config(i).to_json() for i in task.space.sample(200, np.random.default_rng(0))]
    assert {(row["order"], row["prefetch"]) for row in rows} == {("nm", False), ("nm", True), ("mn", False)}
    for op, others in (("matmul", {}), ("dense", {"constant": ()}), ("batch_matmul", {"b": 3})):
        task = Task.create(op, Target.host(), 1, m=96, n=200, k=300, **others)
        assert "prefetch" not in task.space.names


@pytest.mark.skipif(Target.host().architecture != "x86_64", reason="names of x86 CPUs")
@pytest.mark.parametrize(
    ("cpu", "size", "steps"), [("skylake-avx512", 1024, 4), ("znver4", 1024, 1), ("skylake-avx512", 511, 1)]
)
def test_steps_are_written_out_where_two_vectors_are_multiplied_a_cycle(
    cpu: str, size: int, steps: int
) -> None:
    task = Task.create("matmul", Target.named(cpu), 1, m=size, n=size, k=size)
    assert task.default_config.to_json()["unroll_k"] == steps


def test_a_block_holds_whole_panels_of_a_constant() -> None:
    values = {"rows": 4, "vectors": 3, "block_n": 256, "pack": "b"}
    default = Task.create("dense", Target.host(), 1, m=32, n=800, k=40).default_config.to_json()
    kernel = build("dense", threads=1, m=32, n=800, k=40, config={**default, **values})
    panel = 3 * Target.host().lanes(4)
    # Blocks begin where panels do, so no read of the weight is spread over two.
    assert f"range({-(-800 // (-(-256 // panel) * panel))})" in kernel.source("loops")
    functions = kernel.source("asm").split(".Lfunc_end")
    (run,) = [text for text in functions if re.search(r"^run_part:", text, re.MULTILINE)]
    assert "gather" not in run


def test_a_constant_must_be_an_operand() -> None:
    with pytest.raises(WorkloadError, match="constant"):
        Task.create("dense", Target.host(), 1, m=2, n=5, k=3, constant=("x",))


def test_blocks_of_k_are_accumulated() -> None:
    task = Task.create("matmul", Target.host(), 1, m=50, n=70, k=300)
    values = {**task.default_config.to_json(), "block_k": 64, "block_m": 48, "pack": "ab", "unroll_k": 4}
    config = task.space.from_values(values)
    assert check(task, config.index, np.random.default_rng(0))


def test_operations_are_counted() -> None:
    shape = {"m": 7, "n": 11, "k": 13}
    assert Task.create("matmul", Target.host(), 1, **shape).flops == 2 * 7 * 11 * 13
    assert Task.create("dense", Target.host(), 1, **shape).flops == 2 * 7 * 11 * 13
    assert Task.create("batch_matmul", Target.host(), 1, b=3, **shape).flops == 3 * 2 * 7 * 11 * 13
