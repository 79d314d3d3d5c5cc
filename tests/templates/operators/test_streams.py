"""The order in which large arrays are read, and how results are written."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tilewright.compiler.build import lower_for_target
from tilewright.compiler.target import Target
from tilewright.templates.task import Task


def default_of(op: str, shape: tuple[int, int], **params: int) -> dict[str, Any]:
    """The untuned choices on a core with vectors of 64 bytes whose last cache holds 1 MB."""
    target = msgspec.structs.replace(Target.named("skylake-avx512"), l3_bytes=1 << 20)
    return Task.create(op, target, shape=shape, **params).default_config.to_json()


@pytest.mark.parametrize("op", ["softmax", "layer_norm", "rms_norm", "reduce_sum", "argmax"])
def test_rows_that_come_from_memory_go_one_by_one(op: str) -> None:
    """Side by side they would be read out of the order that prefetchers follow, if pages hold several."""
    axis = {"axis": 1}
    assert default_of(op, (128, 96), **axis)["rows"] == 4
    assert default_of(op, (4096, 96), **axis)["rows"] == 1
    assert default_of(op, (65536, 16), **axis)["rows"] != 1


def test_lines_that_come_from_memory_go_one_by_one() -> None:
    assert default_of("reduce_sum", (64, 1024), axis=0)["lines"] == 8
    assert default_of("reduce_sum", (4096, 1024), axis=0)["lines"] == 1
    assert default_of("reduce_sum", (4096, 4096), axis=0)["lines"] == 8


def test_rows_that_share_weights_go_side_by_side_where_none_stays_near() -> None:
    assert default_of("layer_norm", (64, 16384))["rows"] == 4
    assert default_of("rms_norm", (64, 16384))["rows"] == 2


@pytest.mark.parametrize(
    ("op", "params"),
    [
        ("layer_norm", {}),
        ("softmax", {}),
        ("group_norm", {"groups": 2}),
        ("batch_norm", {}),
        ("elementwise", {"chain": "relu(x)"}),
        ("concatenate", {"axis": 1, "extents": (400, 624)}),
    ],
)
def test_lines_of_results_are_fetched_before_they_are_written(op: str, params: dict[str, Any]) -> None:
    """But for those of results that the last cache cannot hold: they are written past it."""
    target = msgspec.structs.replace(Target.host(), l3_bytes=1 << 20)
    for rows, is_near in ((64, True), (4096, False)):
        task = Task.create(op, target, shape=(rows, 1024), **params)
        nest = str(lower_for_target(task.instantiate(task.default_config), target))
        assert ("prefetch(" in nest) is is_near
        assert ("nontemporal" in nest) is not is_near
