"""Random workloads of every operator, as Hypothesis strategies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.templates.operators.drawing import (
    DTYPES,
    LAYOUTS,
    Draw,
    Params,
    draw_channels,
    draw_extents,
    draw_rest,
    draw_shape,
)
from tests.templates.operators.element_cases import ELEMENT_STRATEGIES
from tilewright.compiler.build import LINE_LIMIT_MOST, ObjectCode, compile_program
from tilewright.compiler.errors import CodeSizeError
from tilewright.compiler.target import Target
from tilewright.templates.config import Config
from tilewright.templates.task import Task

Array = npt.NDArray[Any]
# Not those that change much where their argument hardly does.
STEPS = (
    *("bias", "scale", "add", "mul", "relu", "relu6", "clip:-0.5:1", "leaky_relu:0.1", "abs"),
    *("sigmoid", "tanh", "gelu", "silu", "hardsigmoid", "hardswish", "sin", "cos", "erf"),
)
# A sum that cancels to less is no measure of what may be lost in it.
LEAST = 0.1

# Of a product: the operands' type, and where there is a choice the result's.
NARROW_TYPES = st.sampled_from(
    [
        *({"dtype": dtype} for dtype in ("uint8", "int8", "bfloat16", "float16")),
        *({"dtype": dtype, "out_dtype": "float32"} for dtype in ("bfloat16", "float16")),
    ]
)
PLAIN_TYPES = st.sampled_from([{"dtype": dtype} for dtype in ("float32", "float64")])
# What is exact for sums of integers.
INTEGER_STEPS = ("bias", "add", "mul", "relu", "abs")
INTEGER_EPILOGUES = st.one_of(st.just(()), st.lists(st.sampled_from(INTEGER_STEPS), max_size=2).map(tuple))
EPILOGUES = st.one_of(st.just(()), st.lists(st.sampled_from(STEPS), min_size=1, max_size=3).map(tuple))
CONSTANTS = st.sampled_from([("weight",), ()])
# Fewer than a vector has lanes, and what several tiles, panels and blocks cover.
FEW = st.integers(1, 9)
SIDES = st.one_of(FEW, st.integers(10, 160), st.integers(30, 160))
DEPTHS = st.one_of(FEW, st.integers(10, 300))
LONG = st.integers(1, 600)
SHAPES = st.one_of(
    st.tuples(SIDES, SIDES, DEPTHS),
    st.tuples(st.one_of(st.just(1), FEW), LONG, LONG),
    st.tuples(LONG, st.one_of(st.just(1), FEW), LONG),
)


@dataclass(frozen=True, slots=True)
class Case:
    """A task and a configuration of it: the default, or a random one; `seed` also draws the arrays."""

    op: str
    params: Params
    threads: int
    is_default: bool
    seed: int

    def task(self, target: Target) -> Task:
        """The task on a target."""
        return Task.create(self.op, target, self.threads, **self.params)

    def config(self, task: Task) -> Config:
        """The configuration."""
        if self.is_default:
            return task.default_config
        (index,) = task.space.sample(1, np.random.default_rng(self.seed))
        return task.space.config(int(index))


@st.composite
def products(draw: Draw, names: Sequence[str]) -> Params:
    """The parameters of a product that has those named beside its extents, dtype and epilogue."""
    extra: dict[str, st.SearchStrategy[Any]]
    extra = {"b": st.integers(1, 4), "transpose_a": st.booleans(), "transpose_b": st.booleans()}
    extra["constant"] = CONSTANTS
    types = draw(st.one_of(PLAIN_TYPES, NARROW_TYPES))
    return {
        **dict(zip("mnk", draw(SHAPES), strict=True)),
        **types,
        "epilogue": draw(epilogues_of(types)),
        **{name: draw(extra[name]) for name in names},
    }


def epilogues_of(types: Params) -> st.SearchStrategy[tuple[str, ...]]:
    """The epilogues of operands of these types."""
    return INTEGER_EPILOGUES if "int" in types["dtype"] else EPILOGUES


def one_each(draw: Draw, sizes: st.SearchStrategy[int], rank: int) -> tuple[int, ...]:
    """A number for each dimension."""
    return tuple(draw(sizes) for _ in range(rank))


def draw_window(draw: Draw, rank: int, is_pooling: bool) -> Params:
    """A window and the extents of an image in which it fits; pooling's padding is less than a window."""
    kernel = one_each(draw, st.integers(1, 4 if rank < 3 else 3), rank)
    dilation = one_each(draw, st.integers(1, 2), rank)
    span = [(taps - 1) * apart + 1 for taps, apart in zip(kernel, dilation, strict=True)]
    most = [size - 1 if is_pooling else 3 for size in span]
    padding = tuple(draw(st.integers(0, min(3, size))) for size in (*most, *most))
    borders = zip(span, padding[:rank], padding[rank:], strict=True)
    extents = draw_extents(draw, [max(1, size - before - after) for size, before, after in borders])
    stride = one_each(draw, st.integers(1, 3), rank)
    return {**extents, "kernel": kernel, "dilation": dilation, "padding": padding, "stride": stride}


@st.composite
def convolutions(draw: Draw, rank: int) -> Params:
    """The parameters of a convolution."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    params: Params = draw_window(draw, rank, is_pooling=False)
    if rank == 1:
        params |= {name: params[name][0] for name in ("kernel", "dilation", "stride")}
    params |= {
        "groups": groups,
        "c": groups * draw(st.integers(1, 6)),
        "o": groups * draw(st.integers(1, 50)),
    }
    params |= draw_rest(draw, rank) | {"epilogue": draw(EPILOGUES), "constant": draw(CONSTANTS)}
    if draw(st.integers(0, 2)) == 0:
        types = draw(NARROW_TYPES)
        return params | types | {"epilogue": draw(epilogues_of(types))}
    if rank == 2 and draw(st.booleans()):
        # All that the algorithms other than the direct one can do.
        least = {"kernel": 3, "stride": 1, "dilation": 1, "groups": 1}
        sizes = {name: max(3, params[name]) for name in "hw"}
        return params | least | sizes | {"accuracy": draw(st.sampled_from([3e-6, 1e-3]))}
    return params


@st.composite
def transposed_convolutions(draw: Draw, rank: int) -> Params:
    """The parameters of a transposed convolution that leaves a result."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    sizes: dict[str, list[int]] = {}
    least, padding = [], []
    for _ in range(rank):
        taps, step, apart = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
        more = draw(st.integers(0, max(step, apart) - 1))
        ends = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        needed = sum(ends) + 1 - more - (taps - 1) * apart - 1
        least.append(max(1, -(-needed // step) + 1))
        padding.append(ends)
        values = {"kernel": taps, "stride": step, "dilation": apart, "output_padding": more}
        for name, value in values.items():
            sizes.setdefault(name, []).append(value)
    window = {name: values[0] if rank == 1 else tuple(values) for name, values in sizes.items()}
    sides = {"padding": tuple(ends[side] for side in (0, 1) for ends in padding)}
    channels = {"c": groups * draw(st.integers(1, 6)), "o": groups * draw(st.integers(1, 50))}
    rest = draw_rest(draw, rank) | {"epilogue": draw(EPILOGUES), "constant": draw(CONSTANTS)}
    return draw_extents(draw, least) | window | sides | channels | rest | {"groups": groups}


@st.composite
def depthwise(draw: Draw) -> Params:
    """The parameters of a depthwise convolution."""
    params: Params = draw_window(draw, 2, is_pooling=False) | draw_rest(draw, 2)
    return params | {
        "c": draw_channels(draw, params),
        "epilogue": draw(EPILOGUES),
        "constant": draw(CONSTANTS),
    }


@st.composite
def pooling(draw: Draw, rank: int, is_average: bool) -> Params:
    """The parameters of a pooling operator."""
    params: Params = draw_window(draw, rank, is_pooling=True) | draw_rest(draw, rank)
    if draw(st.booleans()):
        del params["stride"]
    if is_average:
        params["count_include_pad"] = draw(st.booleans())
    return params | {"c": draw_channels(draw, params)}


@st.composite
def global_pooling(draw: Draw, rank: int) -> Params:
    """The parameters of an average of whole images."""
    params = draw_extents(draw, [1] * rank) | draw_rest(draw, rank)
    return params | {"c": draw_channels(draw, params)}


@st.composite
def reductions(draw: Draw, is_single: bool) -> Params:
    """The parameters of a reduction over some axes; over one, or all, where it ``is_single``."""
    shape = draw_shape(draw)
    one = st.integers(-len(shape), len(shape) - 1)
    some = st.sets(st.integers(0, len(shape) - 1), min_size=1).map(tuple)
    axis = draw(st.one_of(st.none(), one) if is_single else st.one_of(st.none(), one, some))
    return {"shape": shape, "axis": axis, "keepdims": draw(st.booleans()), "dtype": draw(DTYPES)}


@st.composite
def rows(draw: Draw) -> Params:
    """The parameters of an operator along one axis, or along some that are neighbours."""
    shape = draw_shape(draw)
    first = draw(st.integers(0, len(shape) - 1))
    last = draw(st.integers(first, len(shape) - 1))
    axis = first if first == last else tuple(range(first, last + 1))
    return {"shape": shape, "axis": axis, "dtype": draw(DTYPES)}


@st.composite
def group_norms(draw: Draw) -> Params:
    """The parameters of a group norm."""
    groups = draw(st.integers(1, 4))
    n, c, *extents = draw_shape(draw, 2)
    return {"shape": (n, groups * c, *extents), "groups": groups, "dtype": draw(DTYPES)}


@st.composite
def batch_norms(draw: Draw) -> Params:
    """The parameters of a batch norm."""
    shape = draw_shape(draw)
    return {"shape": shape, "axis": draw(st.integers(0, len(shape) - 1)), "dtype": draw(DTYPES)}


@st.composite
def attentions(draw: Draw) -> Params:
    """The parameters of an attention; one that is causal has a key for each query."""
    groups, shared = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    m, n = draw(st.integers(1, 40)), draw(st.one_of(FEW, st.integers(10, 100), st.integers(17, 300)))
    causal = draw(st.booleans()) and n >= m
    sizes = {"b": draw(st.integers(1, 2)), "heads": groups * shared, "m": m, "n": n}
    full = tuple(sizes.values())[draw(st.integers(0, 3)) :]
    mask = tuple(1 if draw(st.booleans()) else extent for extent in full) if draw(st.booleans()) else ()
    params = {"d": draw(st.integers(1, 40)), "kv_heads": groups, "causal": causal, "mask": mask}
    dtypes = st.sampled_from(["float32", "float64", "float32", "float64", "bfloat16", "float16"])
    return sizes | params | {"dtype": draw(dtypes)}


STRATEGIES: dict[str, st.SearchStrategy[Params]] = {
    "matmul": products(("transpose_a", "transpose_b")),
    "batch_matmul": products(("b", "transpose_a", "transpose_b")),
    "dense": products(("constant",)),
    "conv1d": convolutions(1),
    "conv2d": convolutions(2),
    "conv3d": convolutions(3),
    **{f"conv{rank}d_transpose": transposed_convolutions(rank) for rank in LAYOUTS},
    "depthwise_conv2d": depthwise(),
    **{f"max_pool{rank}d": pooling(rank, is_average=False) for rank in LAYOUTS},
    **{f"avg_pool{rank}d": pooling(rank, is_average=True) for rank in LAYOUTS},
    **{f"global_avg_pool{rank}d": global_pooling(rank) for rank in LAYOUTS},
    **{f"reduce_{kind}": reductions(is_single=False) for kind in ("sum", "mean", "prod", "max", "min")},
    **{f"arg{kind}": reductions(is_single=True) for kind in ("max", "min")},
    **{op: rows() for op in ("softmax", "log_softmax", "layer_norm", "rms_norm")},
    "attention": attentions(),
    **ELEMENT_STRATEGIES,
    "group_norm": group_norms(),
    "batch_norm": batch_norms(),
}


def cases(op: str) -> st.SearchStrategy[Case]:
    """The cases of an operator."""
    return st.builds(
        Case, st.just(op), STRATEGIES[op], st.integers(1, 2), st.booleans(), st.integers(0, 2**32 - 1)
    )


def try_cases(op: str, examples: int, check: Callable[[Case], None]) -> None:
    """Check so many cases of an operator, the same every time."""

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(op))
    def try_case(case: Case) -> None:
        check(case)

    try_case()


def compile_case(case: Case, task: Task) -> ObjectCode:
    """The code of its configuration; a random one with too much code is no case."""
    program = task.instantiate(case.config(task))
    try:
        return compile_program(program, task.target, task.threads, line_limit=LINE_LIMIT_MOST)
    except CodeSizeError:
        assert not case.is_default
        assume(False)
        raise


def expected_of(task: Task, arrays: Sequence[Array]) -> Array:
    """The result in NumPy, in double precision."""
    assert task.reference is not None
    is_map = task.workload.op in ELEMENT_STRATEGIES
    wide = [array if is_map and array.dtype.kind in "iub" else array.astype(np.float64) for array in arrays]
    return np.asarray(task.reference(*wide))


def sum_dtype_of(case: Case) -> str:
    """The type of the sums, where it is not the result's."""
    return "float32" if case.params["dtype"] in ("bfloat16", "float16") else ""


def reduction_length(case: Case) -> int:
    """The terms behind an element of the result."""
    params = case.params
    if "heads" in params:
        return int(params["n"] * params["d"])
    if "k" in params:
        return int(params["k"])
    if case.op in ELEMENT_STRATEGIES:
        return 1
    if "shape" in params:
        return int(prod(params["shape"]))
    if "kernel" not in params:
        return prod(params[name] for name in "dhw" if name in params)
    channels = params["c"] // params["groups"] if "groups" in params else 1
    return int(channels * np.prod(params["kernel"]))


def is_measurable(case: Case, expected: Array) -> bool:
    """Whether a result is large enough for errors to be measured by it; averages of many are small."""
    share = reduction_length(case) ** 0.5 if "avg" in case.op else 1.0
    return bool(abs(expected).max() * share >= LEAST)
