"""Attention beyond its random cases: views of a projection, and workloads that make no sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tilewright as tw
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators.attention import reference


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


@pytest.mark.parametrize(
    ("params", "message"),
    [({"kv_heads": 2}, "kv_heads=2 must divide heads=3"), ({"mask": (4, 5)}, r"mask=\(4, 5\) does not")],
)
def test_workloads_that_make_no_sense_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        tw.build("attention", b=1, heads=3, m=4, n=4, d=8, threads=1, **params)
