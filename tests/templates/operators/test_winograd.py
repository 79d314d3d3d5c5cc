"""Winograd's convolutions over random shapes, paddings, epilogues and configurations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from tilewright.compiler.build import LINE_LIMIT, LINE_LIMIT_MOST, compile_program, lower_for_target
from tilewright.compiler.errors import CodeSizeError
from tilewright.compiler.kernel import Kernel, load_kernel
from tilewright.compiler.lower.constants import divide_constants
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import get_config
from tilewright.templates.config import Config
from tilewright.templates.operators import convolution, winograd
from tilewright.templates.operators.convolution import Constant, Convolution
from tilewright.templates.operators.product import Dtype
from tilewright.templates.operators.window import Layout, Sides
from tilewright.templates.operators.winograd_stages import Blocks
from tilewright.templates.operators.winograd_transforms import ALGORITHMS
from tilewright.templates.task import Task
from tilewright.templates.template import template

Array = npt.NDArray[Any]
EPILOGUES: list[tuple[str, ...]] = [(), (), ("bias", "relu"), ("scale", "add"), ("tanh",), ("clip:-9:9",)]
NAME = "tests/winograd"


def reference(
    x: Array, weight: Array, *operands: Array, padding: Sides, layout: str, epilogue: Sequence[str]
) -> Array:
    given = {"padding": padding, "layout": layout, "epilogue": epilogue}
    return convolution.reference(x, weight, *operands, stride=1, dilation=1, groups=1, **given)  # type: ignore[arg-type]


def described(**arguments: Any) -> Convolution:
    window = {"kernel": 3, "stride": 1, "padding": 1, "dilation": 1, "groups": 1}
    given = {**window, "layout": "NCHW", "dtype": "float32", "epilogue": (), **arguments}
    return Convolution.of("conv2d", given)


def default(target: Target, threads: int, **arguments: Any) -> dict[str, Any]:
    return winograd.default(target, threads, described(**arguments), arguments["algorithm"])


@template(NAME, reference=reference, default=default, positive=("n", "c", "h", "w", "o"))
def by_winograd(
    n: int,
    c: int,
    h: int,
    w: int,
    o: int,
    algorithm: str,
    padding: Sides = 0,
    layout: Layout = "NCHW",
    dtype: Dtype = "float32",
    epilogue: tuple[str, ...] = (),
    constant: Constant = ("weight",),
) -> tuple[Schedule, list[Tensor]]:
    conv = described(**{name: value for name, value in locals().items() if name != "algorithm"})
    winograd.define_space(get_config(), conv)
    return winograd.schedule(get_config(), conv, algorithm)


def make(threads: int = 1, **params: Any) -> Task:
    return Task.create(NAME, Target.host(), threads, **params)


def build(task: Task, config: Config) -> Kernel:
    program = task.instantiate(config)
    return load_kernel(compile_program(program, task.target, task.threads, line_limit=LINE_LIMIT_MOST))


def arrays_for(kernel: Kernel, rng: np.random.Generator) -> list[Array]:
    return [rng.standard_normal(spec.shape).astype(spec.dtype) for spec in kernel.inputs]


def check(task: Task, config: Config, rng: np.random.Generator) -> None:
    try:
        kernel = build(task, config)
    except CodeSizeError:
        assert not config.is_default
        return
    arrays = arrays_for(kernel, rng)
    assert task.reference is not None
    expected = task.reference(*(a.astype(np.float64) for a in arrays))
    error = abs(kernel(*arrays) - expected).max() / (sums_scale(task, arrays) + abs(expected).max())
    assert error <= (1e-5 if kernel.outputs[0].dtype == "float32" else 1e-13), str(config)


def sums_scale(task: Task, arrays: Sequence[Array]) -> float:
    """The greatest of the sums, which an epilogue may shrink but not what they lost."""
    x, weight = (a.astype(np.float64) for a in arrays[:2])
    given = task.workload.arguments
    sums = reference(x, weight, padding=given["padding"], layout=given["layout"], epilogue=())  # type: ignore[arg-type]
    return float(abs(sums).max())


def draw(rng: np.random.Generator) -> dict[str, Any]:
    """A random layer that has a tile at least."""
    return {
        "n": int(rng.integers(1, 4)),
        "c": int(rng.integers(1, 40)),
        "h": int(rng.integers(3, 24)),
        "w": int(rng.integers(3, 40)),
        "o": int(rng.integers(1, 80)),
        "padding": tuple(int(v) for v in rng.integers(0, 3, 4)),
        "layout": str(rng.choice(["NCHW", "NHWC"])),
        "dtype": str(rng.choice(["float32", "float64"])),
        "constant": ("weight",) if rng.integers(2) else (),
        "epilogue": EPILOGUES[int(rng.integers(len(EPILOGUES)))],
        "algorithm": str(rng.choice(list(ALGORITHMS))),
    }


@pytest.mark.parametrize("seed", range(24))
def test_default_and_random_configurations_are_right(seed: int) -> None:
    rng = np.random.default_rng(seed)
    task = make(int(rng.integers(1, 3)), **draw(rng))
    check(task, task.default_config, rng)
    for index in task.space.sample(2, rng):
        check(task, task.space.config(int(index)), rng)


@pytest.mark.parametrize("name", list(ALGORITHMS))
@pytest.mark.parametrize(("h", "w", "padding"), [(3, 3, 0), (1, 1, 1), (4, 3, (0, 2, 1, 0)), (18, 66, 0)])
def test_images_smaller_than_a_tile_and_wider_than_a_block(name: str, h: int, w: int, padding: Sides) -> None:
    task = make(n=1, c=5, h=h, w=w, o=7, padding=padding, algorithm=name)
    check(task, task.default_config, np.random.default_rng(0))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_small_images_share_a_block(name: str, layout: str) -> None:
    task = make(2, n=6, c=5, h=7, w=9, o=20, padding=1, algorithm=name, layout=layout, epilogue=("add",))
    for tiles in (8, 28, 98):
        values = {"tiles": tiles, "tile_rows": 5, "tile_vectors": 1, "ahead": 0}
        check(task, task.space.from_values(values), np.random.default_rng(0))


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_the_transforms_are_an_algorithm_for_three_taps(name: str) -> None:
    """In numbers, where it can be seen that nothing is lost: ``A^T [(G g) * (B^T d)]`` is the correlation."""
    algorithm = ALGORITHMS[name]
    rng = np.random.default_rng(0)
    d, g = rng.standard_normal((algorithm.points, 1)), rng.standard_normal((3, 1))
    image, taps = algorithm.image(cast(Any, d)), algorithm.filter(cast(Any, g))
    terms = [a * b for a, b in zip(taps, image, strict=True)]
    found = np.concatenate(cast(Any, algorithm.inverse(terms)))
    np.testing.assert_allclose(found, np.correlate(d[:, 0], g[:, 0]), rtol=1e-12)


@pytest.mark.parametrize(("c", "size"), [(3, 16), (64, 16), (512, 10), (900, 8)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_the_stated_error_holds(name: str, dtype: str, c: int, size: int) -> None:
    task = make(n=1, c=c, h=size, w=size, o=32, padding=1, algorithm=name, dtype=dtype)
    kernel = build(task, task.default_config)
    x, weight = arrays_for(kernel, np.random.default_rng(c))
    assert task.reference is not None
    expected = task.reference(x.astype(np.float64), weight.astype(np.float64))
    bound = winograd.error_bound(described(n=1, c=c, h=size, w=size, o=32, dtype=dtype), name)
    assert abs(kernel(x, weight) - expected).max() <= bound * abs(expected).max()


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_a_constant_weight_is_transformed_ahead(name: str) -> None:
    task = make(n=1, c=8, h=10, w=12, o=20, padding=1, algorithm=name)
    nest = lower_for_target(task.instantiate(task.default_config), Target.host())
    assert [buffer.name for buffer in divide_constants(nest, ("weight",)).prepared] == ["u.pack"]
    kernel = build(task, task.default_config)
    x, weight = arrays_for(kernel, np.random.default_rng(0))
    np.testing.assert_array_equal(kernel.bind(weight=weight)(x), kernel(x, weight))


def test_operations_are_those_of_the_direct_convolution() -> None:
    shape: dict[str, Any] = {
        "n": 2,
        "c": 8,
        "h": 10,
        "w": 12,
        "o": 20,
        "padding": 1,
        "epilogue": ("bias", "relu"),
    }
    direct = Task.create("conv2d", Target.host(), 1, kernel=3, **shape)
    assert make(**shape, algorithm="winograd4").flops == direct.flops


@pytest.mark.parametrize("name", list(ALGORITHMS))
@pytest.mark.parametrize("shape", [(64, 56, 64), (128, 28, 128), (256, 14, 256), (512, 7, 512), (24, 35, 40)])
def test_the_default_is_small_enough_to_be_tuned(name: str, shape: tuple[int, int, int]) -> None:
    c, size, o = shape
    task = make(n=1, c=c, h=size, w=size, o=o, padding=1, algorithm=name, epilogue=("bias", "add", "relu"))
    code = compile_program(task.instantiate(task.default_config), Target.host(), line_limit=LINE_LIMIT)
    assert code.lines <= LINE_LIMIT


def test_blocks_cover_the_images_and_waste_little() -> None:
    for n, rows, columns in itertools.product((1, 6), range(1, 40), range(1, 70)):
        blocks = Blocks.of(described(n=n, c=1, h=rows, w=columns, o=1), 4, 14, 16)
        assert blocks.height * blocks.down * 4 >= rows
        assert blocks.width * blocks.across * 4 >= columns
        assert blocks.images * blocks.batches == n
        assert blocks.across == 1 or blocks.width * 4 % 16 == 0
        assert blocks.images == 1 or (blocks.down, blocks.across) == (1, 1)
    assert Blocks.of(described(n=6, c=1, h=7, w=7, o=1), 4, 14, 16).tiles == 12


def work(conv: Convolution) -> int:
    return conv.n * conv.o * prod(conv.places) * conv.depth


def test_the_estimate_weighs_work_against_traffic() -> None:
    """Few tiles of a weight that leaves the caches, and few channels, are no cases for large tiles."""
    target = Target.named("skylake-avx512")
    shapes = [(64, 56, 64), (2048, 7, 2048), (3, 224, 64)]
    many, few, shallow = (described(n=1, c=c, h=size, w=size, o=o) for c, size, o in shapes)
    costs = {
        name: [winograd.estimate(target, 1, conv, name) for conv in (many, few, shallow)]
        for name in ALGORITHMS
    }
    assert costs["winograd4"][0] < costs["winograd2"][0]
    assert costs["winograd4"][1] > costs["winograd2"][1]
    # A pair of channels costs much more where its transforms are shared by few others.
    assert all(cost[2] / work(shallow) > 1.5 * cost[0] / work(many) for cost in costs.values())


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "groups", "expected"),
    [(3, 1, 1, 1, True), (3, 2, 1, 1, False), (3, 1, 2, 1, False), (3, 1, 1, 2, False), (5, 1, 1, 1, False)],
)
def test_what_the_algorithms_can_do(
    kernel: int, stride: int, dilation: int, groups: int, expected: bool
) -> None:
    conv = described(n=1, c=4, h=9, w=9, o=4, kernel=kernel, stride=stride, dilation=dilation, groups=groups)
    assert winograd.applies(conv) is expected
