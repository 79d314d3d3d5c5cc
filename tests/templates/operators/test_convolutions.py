"""Convolutions: what they are, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from tilewright.compiler.build import LINE_LIMIT, compile_program, lower_for_target
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.target import Target
from tilewright.deploy import build
from tilewright.templates.errors import InvalidIndexError, WorkloadError
from tilewright.templates.task import Task


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_reference_is_the_definition(layout: str) -> None:
    """Against loops that say what a convolution is, one element at a time."""
    rng = np.random.default_rng(1)
    n, c, h, w, o, groups = 2, 4, 6, 5, 6, 2
    (kh, kw), (sy, sx), (top, left, bottom, right), (dy, dx) = (2, 3), (2, 1), (1, 0, 2, 1), (1, 2)
    x, weight = rng.uniform(-1, 1, (n, c, h, w)), rng.uniform(-1, 1, (o, c // groups, kh, kw))
    rows = (h + top + bottom - (kh - 1) * dy - 1) // sy + 1
    columns = (w + left + right - (kw - 1) * dx - 1) // sx + 1
    expected = np.zeros((n, o, rows, columns))
    for b, f, i, j in np.ndindex(*expected.shape):
        for k, p, q in np.ndindex(c // groups, kh, kw):
            y, z = i * sy + p * dy - top, j * sx + q * dx - left
            if 0 <= y < h and 0 <= z < w:
                channel = f // (o // groups) * (c // groups) + k
                expected[b, f, i, j] += x[b, channel, y, z] * weight[f, k, p, q]
    params = {
        "n": n,
        "c": c,
        "h": h,
        "w": w,
        "o": o,
        "kernel": (kh, kw),
        "stride": (sy, sx),
        "groups": groups,
    }
    task = Task.create(
        "conv2d", Target.host(), 1, **params, padding=(top, left, bottom, right), dilation=(dy, dx),
        layout=layout, dtype="float64",
    )  # fmt: skip
    assert task.reference is not None
    image = x if layout == "NCHW" else x.transpose(0, 2, 3, 1)
    wanted = expected if layout == "NCHW" else expected.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(task.reference(image, weight), wanted, atol=1e-12)
    assert task.flops == 2 * expected.size * c // groups * kh * kw


@pytest.mark.parametrize("cpu", ["host", "haswell", "x86-64"])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation"),
    [(56, 3, 1, 1, 1), (57, 3, 2, 1, 1), (40, 5, 1, 2, 1), (56, 3, 1, 2, 2), (61, 3, 1, (1, 0, 1, 3), 1)],
)
def test_the_image_is_read_where_it_lies(
    cpu: str, size: int, kernel: int, stride: int, padding: Any, dilation: int
) -> None:
    """The ends of rows have code of their own, which a candidate has room for."""
    target = Target.host() if cpu == "host" else Target.named(cpu)
    task = Task.create(
        "conv2d", target, 1, n=1, c=6, h=9, w=size, o=37, kernel=kernel, stride=stride, padding=padding,
        dilation=dilation, epilogue=("bias", "add", "relu"),
    )  # fmt: skip
    tile = {"lanes": "channels", "rows": 4, "vectors": 2, "lines": 1, "order": "channels"}
    values = task.default_config.to_json() | tile | {"border": "skip", "unroll_kw": 0}
    program = task.instantiate(task.space.from_values(values))
    assert "padded" not in str(lower_for_target(program, target))
    code = compile_program(program, target, line_limit=LINE_LIMIT)
    kernel_ = load_kernel(code)
    rng = np.random.default_rng(3)
    arrays = [rng.uniform(-1, 1, spec.shape).astype(np.float32) for spec in kernel_.inputs]
    assert task.reference is not None
    np.testing.assert_allclose(kernel_(*arrays), task.reference(*arrays), rtol=1e-4, atol=1e-4)


def test_a_default_copies_no_image_for_its_border() -> None:
    task = Task.create("conv2d", Target.named("skylake-avx512"), 1, n=1, c=64, h=56, w=56, o=64, kernel=3,
                       padding=1, epilogue=("bias", "add", "relu"))  # fmt: skip
    program = task.instantiate(task.default_config)
    assert "padded" not in str(lower_for_target(program, task.target))
    assert compile_program(program, task.target).lines <= LINE_LIMIT


ZEN3 = msgspec.structs.replace(Target.named("znver3"), l2_bytes=512 << 10)


def default_of(target: Target, threads: int = 1, **shape: Any) -> dict[str, Any]:
    return Task.create("conv2d", target, threads, n=1, **shape).default_config.to_json()


def test_a_default_reads_an_image_once_whose_pixels_lie_apart() -> None:
    """Of every second pixel of every second line more is waited for than of the weight; of all taps, less."""
    shape: dict[str, Any] = {"c": 128, "h": 28, "w": 28}
    for target in (ZEN3, Target.named("skylake-avx512")):
        assert default_of(target, **shape, o=256, kernel=1, stride=2)["order"] == "rows"
        assert default_of(target, **shape, o=64, kernel=3, padding=1)["order"] == "channels"


def test_a_default_has_no_second_line_where_each_is_tested() -> None:
    """Three pixels of two lines waste fewer of a row than six of one, and test each tap of each line."""
    shape: dict[str, Any] = {"c": 64, "h": 56, "w": 56, "o": 64, "kernel": 3}
    assert default_of(ZEN3, **shape, padding=1)["lines"] == 1
    assert default_of(ZEN3, **shape | {"h": 58, "w": 58})["lines"] == 2


def test_a_default_fetches_a_panel_that_would_be_waited_for() -> None:
    shape: dict[str, Any] = {"c": 256, "o": 512, "kernel": 3, "padding": 1}
    assert default_of(ZEN3, h=7, w=7, **shape)["prefetch"]
    assert not default_of(ZEN3, h=28, w=28, **shape)["prefetch"]


def test_a_line_of_a_panel_is_fetched_about_once() -> None:
    """A share of 9 x 32 bytes for each channel is half a line, so it is fetched where channels begin."""
    task = Task.create("conv2d", ZEN3, 1, n=1, c=256, h=7, w=7, o=512, kernel=3, padding=1)
    nest = str(lower_for_target(task.instantiate(task.default_config), ZEN3)).splitlines()
    (place,) = [n for n, line in enumerate(nest) if "prefetch(weight.pack[" in line]
    assert nest[place - 1].strip() == "for rc in range(256):"


def test_a_layer_is_bound_once() -> None:
    conv = build("conv2d", threads=1, n=1, c=8, h=10, w=12, o=20, kernel=3, padding=1)
    rng = np.random.default_rng(0)
    x, weight = (rng.uniform(-1, 1, s.shape).astype("float32") for s in conv.inputs)
    layer = conv.bind(weight=weight)
    np.testing.assert_allclose(layer(x), conv(x, weight), rtol=1e-5, atol=1e-5)
    assert layer(x).shape == (1, 20, 10, 12)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kernel": 9}, "the kernel covers 9 x 9 pixels, more than the image has"),
        ({"kernel": 3, "dilation": 4}, "the kernel covers 9 x 9 pixels"),
        ({"kernel": 3, "groups": 2}, "groups=2 must divide c=3 and o=4"),
        ({"kernel": 3, "padding": (1, -1)}, "padding must not be negative"),
        ({"kernel": 3, "stride": 0}, "stride"),
        ({"kernel": 3, "layout": "NWHC"}, "layout"),
    ],
)
def test_what_cannot_be_is_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        _ = Task.create("conv2d", Target.host(), 1, n=1, c=3, h=7, w=7, o=4, **params).space


@pytest.mark.parametrize(("accuracy", "names"), [
    (0.0, []), (1e-6, []), (4e-6, ["winograd2"]), (1e-3, ["winograd2", "winograd4"]),
])  # fmt: skip
def test_the_accuracy_decides_which_algorithms_there_are(accuracy: float, names: list[str]) -> None:
    shape = {"n": 1, "c": 32, "h": 14, "w": 14, "o": 32, "kernel": 3, "padding": 1}
    space = Task.create("conv2d", Target.host(), 1, **shape, accuracy=accuracy).space
    chosen = [space.config(index) for index in space.sample(400, np.random.default_rng(0))]
    found = {config["algorithm"].val for config in chosen} if "algorithm" in space.names else set()
    assert found == ({"direct", *names} if names else set())
    plain = Task.create("conv2d", Target.host(), 1, **shape).space
    assert (space.size > plain.size) == bool(names)


def test_each_candidate_occurs_once() -> None:
    """The knobs of the algorithm that is not chosen do not vary."""
    shape = {"n": 1, "c": 32, "h": 14, "w": 14, "o": 32, "kernel": 3, "padding": 1}
    allowed = Task.create("conv2d", Target.host(), 1, **shape, accuracy=1e-3)
    plain = Task.create("conv2d", Target.host(), 1, **shape).space
    chosen = [allowed.space.config(i) for i in allowed.space.sample(300, np.random.default_rng(0))]
    direct = [c for c in chosen if c["algorithm"].val == "direct"]
    assert 0 < len(direct) < len(chosen)
    assert len({tuple(c[name].val for name in plain.names) for c in direct}) == len(direct)


def test_a_negative_accuracy_is_refused() -> None:
    shape = {"n": 1, "c": 3, "h": 9, "w": 9, "o": 2, "kernel": 3}
    with pytest.raises(WorkloadError, match="conv2d: accuracy must be at least 0, it is -1"):
        _ = Task.create("conv2d", Target.host(), 1, **shape, accuracy=-1.0).space


def test_tiles_fetch_the_next_panel_of_a_large_weight() -> None:
    shape: dict[str, Any] = {"n": 1, "c": 64, "h": 9, "w": 9, "o": 70, "kernel": 3, "padding": 1}
    task = Task.create("conv2d", Target.host(), 1, **shape)
    values = task.default_config.to_json() | {"lanes": "channels", "order": "channels", "border": "copy"}
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1, 64, 9, 9)).astype("float32")
    weight = rng.uniform(-1, 1, (70, 64, 3, 3)).astype("float32")
    assert task.reference is not None
    for prefetch in (True, False):
        config = task.space.from_values(values | {"rows": 3, "vectors": 1, "prefetch": prefetch})
        nest = str(lower_for_target(task.instantiate(config), Target.host()))
        assert ("prefetch(weight.pack[" in nest) is prefetch
        layer = build("conv2d", threads=2, config=config.to_json(), **shape).bind(weight=weight)
        np.testing.assert_allclose(layer(x), task.reference(x, weight), rtol=1e-4, atol=1e-4)
    with pytest.raises(InvalidIndexError, match="breaks a constraint"):
        task.space.from_values(values | {"order": "rows", "prefetch": True})


def test_no_panel_is_fetched_that_drives_out_the_one_in_use() -> None:
    """Two of them, of three vectors each, are nearly the second cache of 2 MiB."""
    target = msgspec.structs.replace(Target.named("sapphirerapids"), l2_bytes=2 << 20)
    shape: dict[str, Any] = {"n": 1, "c": 512, "h": 7, "w": 7, "o": 512, "kernel": 3, "padding": 1}
    space = Task.create("conv2d", target, 1, **shape).space
    chosen = [space.config(index).to_json() for index in space.sample(400, np.random.default_rng(0))]
    assert {c["vectors"] for c in chosen if c["prefetch"]} == {1, 2}
    assert {c["vectors"] for c in chosen} >= {1, 2, 3}
