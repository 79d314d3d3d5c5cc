"""Depthwise convolutions: what they are, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tilewright.compiler.target import Target
from tilewright.templates.errors import WorkloadError
from tilewright.templates.task import Task


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_it_is_a_convolution_in_as_many_groups(layout: str) -> None:
    shape = {"n": 2, "c": 6, "h": 9, "w": 8, "kernel": (3, 2), "stride": (2, 1), "padding": (1, 0, 2, 1)}
    depthwise = Task.create("depthwise_conv2d", Target.host(), 1, **shape, layout=layout)
    grouped = Task.create("conv2d", Target.host(), 1, **shape, o=6, groups=6, layout=layout)
    rng = np.random.default_rng(0)
    x, weight = (rng.uniform(-1, 1, s.shape) for s in grouped.instantiate(grouped.default_config).inputs)
    assert depthwise.reference is not None
    assert grouped.reference is not None
    np.testing.assert_allclose(depthwise.reference(x, weight[:, 0]), grouped.reference(x, weight), atol=1e-12)
    assert depthwise.flops == grouped.flops == 2 * 2 * 6 * 5 * 8 * 3 * 2


def test_the_default_fits_the_registers_of_a_lesser_cpu() -> None:
    """One row of eight vectors: their sums, eight vectors of the image and a weight are more than 16."""
    task = Task.create("depthwise_conv2d", Target.named("x86-64"), 1, n=1, c=1, h=1, w=29, kernel=1)
    assert task.instantiate(task.default_config)


def test_the_default_needs_no_mask_where_masks_are_slow() -> None:
    """Of 14 pixels the second of two vectors of 8 covers the last 8, so both are whole."""
    shape = {"n": 1, "c": 8, "h": 14, "w": 14, "kernel": 3, "padding": 1}
    task = Task.create("depthwise_conv2d", Target.named("znver3"), 1, **shape)
    assert task.default_config["vectors"].val == 1


def test_a_window_that_does_not_fit_is_refused() -> None:
    with pytest.raises(WorkloadError, match="depthwise_conv2d: the kernel covers 9 x 9 pixels"):
        _ = Task.create("depthwise_conv2d", Target.host(), 1, n=1, c=3, h=7, w=7, kernel=9).space
