"""torch's counterparts of the operators compute the same; run where torch is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tilewright.cli.peers import PeerError, prepare_peer
from tilewright.deploy import make_task
from tilewright.measure.inputs import make_inputs

pytest.importorskip("torch")

CONV = {"n": 2, "c": 4, "stride": 2, "dilation": 2}
POOL = {"n": 2, "c": 3}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("matmul", {"m": 5, "n": 6, "k": 7, "transpose_a": True}),
    ("dense", {"m": 5, "n": 6, "k": 7}),
    ("matmul", {"m": 32, "n": 16, "k": 24, "dtype": "int8"}),
    ("dense", {"m": 32, "n": 16, "k": 24, "dtype": "int8"}),
    ("conv1d", {**CONV, "w": 20, "o": 6, "kernel": 3, "padding": (1, 2), "groups": 2}),
    ("conv1d", {**CONV, "w": 20, "o": 6, "kernel": 3, "padding": 1, "layout": "NWC"}),
    (
        "conv2d",
        {**CONV, "h": 15, "w": 20, "o": 6, "kernel": (3, 2), "padding": (1, 0, 2, 1), "layout": "NHWC"},
    ),
    ("conv2d", {**CONV, "h": 15, "w": 20, "o": 6, "kernel": 3, "padding": 1}),
    ("conv3d", {**CONV, "d": 9, "h": 15, "w": 20, "o": 6, "kernel": (1, 3, 2), "padding": (0, 1, 2)}),
    ("conv1d_transpose", {**CONV, "w": 20, "o": 6, "kernel": 3, "padding": 1, "output_padding": 1}),
    ("conv2d_transpose", {**CONV, "h": 9, "w": 8, "o": 6, "kernel": (3, 4), "groups": 2, "layout": "NHWC"}),
    ("depthwise_conv2d", {**CONV, "h": 15, "w": 20, "kernel": 3, "padding": (0, 1, 1, 2), "layout": "NHWC"}),
    ("max_pool2d", {**POOL, "h": 15, "w": 14, "kernel": 3, "stride": 2, "padding": (0, 1, 1, 2)}),
    ("max_pool3d", {**POOL, "d": 7, "h": 15, "w": 14, "kernel": 3, "padding": 1, "layout": "NDHWC"}),
    ("avg_pool1d", {**POOL, "w": 14, "kernel": 2}),
    ("avg_pool2d", {**POOL, "h": 15, "w": 14, "kernel": 3, "padding": 1, "count_include_pad": False}),
    (
        "elementwise",
        {"shape": (5, 7), "chain": "where(x > 0, min(gelu(x), 1), y ** 2)", "operands": ("y:7",)},
    ),
    ("transpose", {"shape": (3, 5, 7), "perm": (2, 0, 1)}),
    ("resize", {"n": 2, "c": 3, "h": 5, "w": 7, "size": (9, 12), "layout": "NHWC"}),
    ("concatenate", {"shape": (3, 9), "axis": -1, "extents": (2, 7)}),
    ("pad", {"shape": (3, 9), "padding": (0, 1, 2, 3), "value": 2.0}),
    ("slice", {"shape": (3, 9), "start": (0, -5), "step": (2, 3)}),
    ("gather", {"shape": (3, 9), "indices": (2, 4), "axis": 1}),
    ("global_avg_pool2d", {**POOL, "h": 15, "w": 14, "layout": "NHWC"}),
]


def test_a_product_of_bfloat16_is_rounded_alike() -> None:
    task = make_task("matmul", None, 1, {"m": 5, "n": 6, "k": 7, "dtype": "bfloat16"})
    arrays = make_inputs(task.instantiate(task.default_config).inputs)
    found: Any = prepare_peer("torch", task, arrays)()
    assert task.reference is not None
    np.testing.assert_allclose(found.float().numpy(), task.reference(*arrays), rtol=2.0**-7, atol=1e-3)


def test_bytes_of_other_types_have_no_counterpart() -> None:
    task = make_task("matmul", None, 1, {"m": 5, "n": 6, "k": 7, "dtype": "uint8"})
    arrays = make_inputs(task.instantiate(task.default_config).inputs)
    with pytest.raises(PeerError, match="no counterpart of matmul on such bytes"):
        prepare_peer("torch", task, arrays)


@pytest.mark.parametrize(("op", "params"), CASES)
def test_a_counterpart_computes_the_same(op: str, params: dict[str, Any]) -> None:
    task = make_task(op, None, 1, params)
    arrays = make_inputs(task.instantiate(task.default_config).inputs)
    found: Any = prepare_peer("torch", task, arrays)()
    assert task.reference is not None
    np.testing.assert_allclose(found.numpy(), task.reference(*arrays), rtol=1e-4, atol=1e-4)
