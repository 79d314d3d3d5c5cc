"""The matmul operator, over random shapes and configurations."""

from __future__ import annotations

import numpy as np
import pytest

from tilewright.compiler.build import LINE_LIMIT_MOST, compile_program
from tilewright.compiler.errors import CodeSizeError
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.target import Target
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


@pytest.mark.parametrize("seed", range(20))
def test_default_and_random_configurations_are_right(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n, k = (int(2 ** rng.uniform(0, 7.5)) for _ in range(3))
    task = Task.create(
        "matmul",
        Target.host(),
        int(rng.integers(1, 3)),
        m=m,
        n=n,
        k=k,
        transpose_a=bool(rng.integers(2)),
        transpose_b=bool(rng.integers(2)),
        dtype=str(rng.choice(["float32", "float64"])),
    )
    assert check(task, None, rng)
    for index in task.space.sample(3, rng):
        check(task, int(index), rng)


def test_blocks_of_k_are_accumulated() -> None:
    task = Task.create("matmul", Target.host(), 1, m=50, n=70, k=300)
    values = {**task.default_config.to_json(), "block_k": 64, "block_m": 48, "pack": "ab", "unroll_k": 4}
    config = task.space.from_values(values)
    assert check(task, config.index, np.random.default_rng(0))


def test_operations_are_counted() -> None:
    assert Task.create("matmul", Target.host(), 1, m=7, n=11, k=13).flops == 2 * 7 * 11 * 13
