"""Attention beyond its random cases: views of a projection, and workloads that make no sense."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tilewright as tw
from tilewright.compiler.build import LINE_LIMIT_MOST, compile_program
from tilewright.deploy import make_task
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.attention import reference

Array = npt.NDArray[Any]


def test_heads_are_views_of_one_projection() -> None:
    m, heads, d = 33, 3, 16
    width = heads * d
    seen = dict.fromkeys("qkv", (3 * m * width, d, 3 * width, 1)) | {"y": (m * width, d, width, 1)}
    kernel = tw.build("attention", b=1, heads=heads, m=m, n=m, d=d, threads=1, strides=seen)
    projected = np.random.default_rng(0).standard_normal((m, 3 * width)).astype(np.float32)
    q, k, v = (part.reshape(m, heads, d).swapaxes(0, 1)[None] for part in np.split(projected, 3, axis=1))
    y = np.zeros((m, width), np.float32)
    kernel(q, k, v, out=y.reshape(m, heads, d).swapaxes(0, 1)[None])
    wide = (np.ascontiguousarray(x, np.float64) for x in (q, k, v))
    expected = reference(*wide, causal=False, scale=None)[0].swapaxes(0, 1).reshape(m, width)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5)


def test_a_query_that_sees_no_key_has_no_result() -> None:
    kernel = tw.build("attention", b=1, heads=1, m=3, n=2, d=4, causal=True, threads=1)
    rng = np.random.default_rng(0)
    q, k, v = (rng.random((1, 1, size, 4), dtype=np.float32) for size in (3, 2, 2))
    y = kernel(q, k, v)
    assert np.isnan(y[0, 0, 0]).all()
    np.testing.assert_allclose(y[0, 0, 1], v[0, 0, 0], rtol=1e-6)


def run_with(knobs: dict[str, Any], inputs: Sequence[Array], **params: Any) -> Array:
    """The result of a configuration that differs from the default in some knobs."""
    q, k, *_ = inputs
    sizes = {"b": 1, "heads": q.shape[1], "m": q.shape[2], "n": k.shape[2], "d": q.shape[3]}
    task = make_task("attention", None, 1, sizes | params)
    config = task.default_config.to_json() | knobs
    result: Array = tw.build("attention", threads=1, config=config, **sizes, **params)(*inputs)
    return result


TILE = {"vectors": 1, "across": 1, "wide": 1, "pack": 1, "tiles": 1}
BY_KEYS = TILE | {"lanes": "keys", "rows": 4, "prefetch": False}
BLOCKS: list[dict[str, Any]] = [
    BY_KEYS | {"panels": 0},
    BY_KEYS | {"panels": 1},
    BY_KEYS | {"panels": 1, "rows": 2, "tiles": 4},
]
BY_QUERIES = TILE | {"lanes": "queries", "panels": 0, "prefetch": True}
FORMS: list[dict[str, Any]] = [*BLOCKS, BY_QUERIES | {"rows": 8}, BY_QUERIES | {"rows": 5}]


@pytest.mark.parametrize("knobs", [*FORMS, BY_QUERIES | {"rows": 4, "vectors": 2, "wide": 2}])
def test_what_a_query_cannot_see_has_no_effect(knobs: dict[str, Any]) -> None:
    q, k, v = np.random.default_rng(0).standard_normal((3, 1, 2, 70, 16)).astype(np.float32)
    expected = run_with(knobs, (q, k, v), causal=True)
    for first in (69, 40, 33):
        k[:, :, first:], v[:, :, first:] = np.nan, np.inf
        found = run_with(knobs, (q, k, v), causal=True)
        np.testing.assert_array_equal(found[:, :, :first], expected[:, :, :first])
        assert np.isnan(found[:, :, first:]).all()


@pytest.mark.parametrize("knobs", FORMS)
def test_a_mask_may_hide_whole_blocks(knobs: dict[str, Any]) -> None:
    """Hidden ahead of what is seen, behind it, and in all blocks; scores of very different size."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, 1, size, 16)).astype(np.float32) for size in (16, 150, 150))
    mask = rng.uniform(-200, 200, (16, 150)).astype(np.float32)
    mask[0, :100], mask[1, 50:], mask[2, 1:149], mask[3] = (-np.inf,) * 4
    mask[4] = np.finfo(np.float32).min
    found = run_with(knobs, (q, k, v, mask), mask=(16, 150))
    with np.errstate(invalid="ignore"):
        wide = (x.astype(np.float64) for x in (q, k, v, mask))
        expected = reference(*wide, causal=False, scale=None)
    assert np.isnan(expected[0, 0, 3]).all()
    expected[0, 0, 4] = v[0, 0].mean(axis=0)  # in float32 the mask leaves nothing of the scores
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_memory_for_scores_does_not_grow_with_the_keys() -> None:
    def scratch(n: int, panels: int) -> int:
        task = make_task("attention", None, 1, {"b": 1, "heads": 1, "m": 64, "n": n, "d": 16})
        config = task.space.from_values(BY_KEYS | {"panels": panels})
        code = compile_program(task.instantiate(config), task.target, line_limit=LINE_LIMIT_MOST)
        return code.scratch_bytes - n * 16 * 4  # the keys' copy

    assert scratch(1024, 2) == scratch(2048, 2) < scratch(1024, 0) < scratch(2048, 0)


@pytest.mark.parametrize(
    ("params", "message"),
    [({"kv_heads": 2}, "kv_heads=2 must divide heads=3"), ({"mask": (4, 5)}, r"mask=\(4, 5\) does not")],
)
def test_workloads_that_make_no_sense_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        tw.build("attention", b=1, heads=3, m=4, n=4, d=8, threads=1, **params)


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_the_scale_is_a_number(scale: float) -> None:
    with pytest.raises(tw.TilewrightError, match=r"attention: scale=.* must be a finite number"):
        tw.build("attention", b=1, heads=1, m=4, n=4, d=8, scale=scale, threads=1)
