"""Random workloads of the operators whose elements come of one element, or of few."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import get_args

from hypothesis import strategies as st

from tests.templates.operators.drawing import (
    DTYPES,
    Draw,
    Params,
    draw_channels,
    draw_extents,
    draw_rest,
    draw_shape,
)
from tilewright.compiler.te.expr import DTYPES as DTYPES_OF_ELEMENTS
from tilewright.templates.operators.coordinates import CoordinateMode, NearestMode

ELEMENTS = st.sampled_from(["float32", "float32", *DTYPES_OF_ELEMENTS])
# What chains are made of.
TERMS = (
    *("({0}) + ({1})", "({0}) * ({1})", "({0}) - ({1}) * 0.5", "-({0})", "min({0}, {1})", "max({0}, 0.1)"),
    *("clip({0}, -0.5, 1)", "leaky_relu({0}, 0.1)", "abs({0})", "where({2} > 0, {0}, {1})", "({0}) ** 2"),
    *("sigmoid(({0}) * 0.5)", "tanh(({0}) * 1.5)", "relu({0})"),
)


@st.composite
def transposes(draw: Draw) -> Params:
    """The parameters of a transposition."""
    shape = draw_shape(draw)
    perm = draw(st.permutations(range(len(shape))))
    return {"shape": shape, "perm": tuple(perm), "dtype": draw(ELEMENTS)}


@st.composite
def resizings(draw: Draw) -> Params:
    """The parameters of a resizing, by any ratio or by a small one."""
    extents = draw_extents(draw, [1, 1])
    scales = draw(st.sampled_from([(2, 1), (3, 1), (1, 2), (3, 2), (4, 3)]))
    by_ratio = tuple(max(1, extents[name] * scales[0] // scales[1]) for name in "hw")
    size = draw(st.one_of(st.just(by_ratio), st.tuples(st.integers(1, 60), st.integers(1, 60))))
    sizes = st.sampled_from(
        [{"size": size}, {"size": size}, {"scales": (1 / extents["h"] + scales[0] / scales[1], 1.4)}]
    )
    params: Params = extents | draw_rest(draw, 2) | draw(sizes)
    return params | {
        "c": draw_channels(draw, params),
        "mode": draw(st.sampled_from(["nearest", "bilinear"])),
        "coordinate_mode": draw(st.sampled_from(get_args(CoordinateMode))),
        "nearest_mode": draw(st.sampled_from(get_args(NearestMode))),
    }


@st.composite
def concatenations(draw: Draw) -> Params:
    """The parameters of a concatenation of up to five arrays."""
    shape = list(draw_shape(draw))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    unit = draw(st.integers(1, 4))
    extents = tuple(unit * draw(st.integers(1, 7)) for _ in range(draw(st.integers(1, 5))))
    shape[axis] = sum(extents)
    return {"shape": tuple(shape), "axis": axis, "extents": extents, "dtype": draw(ELEMENTS)}


@st.composite
def paddings(draw: Draw) -> Params:
    """The parameters of a padding of some dimensions."""
    shape = draw_shape(draw)
    mode = draw(st.sampled_from(["constant", "edge", "reflect"]))
    most = [min(5, extent - 1 if mode == "reflect" else 5) for extent in shape]
    padding = tuple(draw(st.one_of(st.just(0), st.integers(0, size))) for size in (*most, *most))
    value = draw(st.sampled_from([0.0, 1.0, 3.0]))
    return {"shape": shape, "padding": padding, "mode": mode, "value": value, "dtype": draw(ELEMENTS)}


@st.composite
def slices(draw: Draw) -> Params:
    """The parameters of slices, many of which keep a dimension whole."""
    shape = draw_shape(draw)
    start, stop, step = [], [], []
    for extent in shape:
        first, last = sorted(draw(st.integers(0, extent - 1)) for _ in range(2))
        by = draw(st.sampled_from([1, 1, 2, 3, 5]))
        ends = draw(st.sampled_from([(0, extent, 1), (first, last + 1, by), (last - extent, None, -by)]))
        # Down to the first element there is no end that Python could name but one that is far below it.
        start.append(ends[0])
        stop.append(-extent - 1 if ends[1] is None else ends[1])
        step.append(ends[2])
    params = {"start": tuple(start), "stop": tuple(stop), "step": tuple(step)}
    return {"shape": shape, "dtype": draw(ELEMENTS), **params}


@st.composite
def gatherings(draw: Draw) -> Params:
    """The parameters of a gathering by a few indices."""
    shape = draw_shape(draw)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    indices = draw(st.lists(st.integers(1, 7), min_size=1, max_size=2).map(tuple))
    return {"shape": shape, "axis": axis, "indices": indices, "dtype": draw(ELEMENTS), **draw_indices(draw)}


@st.composite
def one_hots(draw: Draw) -> Params:
    """The parameters of one-hot vectors."""
    shape = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple))
    axis = draw(st.integers(-len(shape) - 1, len(shape)))
    values = draw(st.sampled_from([{}, {"on": 3.0, "off": 1.0}]))
    sizes = {"shape": shape, "depth": draw(st.integers(1, 40)), "axis": axis}
    return {**sizes, "dtype": draw(ELEMENTS), **draw_indices(draw), **values}


def draw_indices(draw: Draw) -> Params:
    """The type of indices."""
    return {"index_dtype": draw(st.sampled_from(["int32", "int64"]))}


@st.composite
def terms(draw: Draw, depth: int) -> str:
    """A chain of functions that hardly change where their arguments hardly do, as text."""
    if depth == 0:
        return draw(st.sampled_from(["x", "x", "y", "z", "n"]))
    parts = [draw(terms(depth - 1)) for _ in range(3)]
    form = draw(st.sampled_from(TERMS))
    return form.format(*parts)


@st.composite
def chains(draw: Draw) -> Params:
    """The parameters of a chain whose operands are broadcast in several ways, one of them of integers."""
    shape = draw_shape(draw)
    chain = draw(terms(draw(st.integers(0, 3))))
    names = set(re.findall(r"\b[yzn]\b", chain))
    kinds = {"n": draw(st.sampled_from([":int32", ":uint8", ":int8", ":int64"]))}
    operands = [
        f"{name}:{draw_broadcast(draw, shape)}{kinds.get(name, '')}"
        for name in sorted(names)
        if name in kinds or draw(st.booleans())
    ]
    cast = draw(st.sampled_from(["", "", "float32", "float32", "bfloat16", "float16"]))
    chain = f"cast({chain}, {cast})" if cast else chain
    # Beside integers numbers are of float32, and as exact as those.
    dtype = "float32" if "n" in names else draw(DTYPES)
    return {"shape": shape, "chain": chain, "operands": tuple(operands), "dtype": dtype}


def draw_broadcast(draw: Draw, shape: Sequence[int]) -> str:
    """The last extents of a shape, some of them 1, as an operand's are written."""
    kept = shape[draw(st.integers(0, len(shape) - 1)) :]
    return "x".join(str(1 if draw(st.booleans()) else extent) for extent in kept)


ELEMENT_STRATEGIES: dict[str, st.SearchStrategy[Params]] = {
    "elementwise": chains(),
    "transpose": transposes(),
    "resize": resizings(),
    "concatenate": concatenations(),
    "pad": paddings(),
    "slice": slices(),
    "gather": gatherings(),
    "one_hot": one_hots(),
}
