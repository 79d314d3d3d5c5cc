"""Nests to be analysed: matrix products and copies under schedules that differ in one thing."""

from __future__ import annotations

from tilewright.compiler import te
from tilewright.compiler.analysis.cost import NestCost, estimate_cost
from tilewright.compiler.build import lower_for_analysis
from tilewright.compiler.ir.loops import LoopNest
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target

# Of no machine in particular, so that what is expected is the same everywhere.
TARGET = Target(
    cpu="znver5",
    features=(),
    triple="x86_64-unknown-linux-gnu",
    vector_bits=512,
    cores=4,
    l1_bytes=48 << 10,
    l2_bytes=1 << 20,
    l3_bytes=32 << 20,
)


def tiled_matmul(
    m: int, n: int, k: int, rows: int, lanes: int, parallel: bool = False, block_k: int = 0
) -> LoopNest:
    """A register tile of ``rows`` by ``lanes``, accumulated over ``k``."""
    a, b = te.placeholder((m, k), name="A"), te.placeholder((k, n), name="B")
    r = te.reduce_axis((0, k), "k")
    c = te.compute((m, n), lambda i, j: te.sum(a[i, r] * b[r, j], axis=r), name="C")
    s = create_schedule(c)
    tile = s.cache_write(c, "register")
    i, j = s[c].op.axis
    io, jo, ii, ji = s[c].tile(i, j, rows, lanes)
    s[c].vectorize(ji)
    s[c].unroll(ii)
    if parallel:
        s[c].parallel(io)
    s[tile].compute_at(s[c], jo)
    ti, tj = s[tile].op.axis
    (tk,) = s[tile].op.reduce_axis
    if block_k:
        outer, tk = s[tile].split(tk, block_k)
        s[tile].reorder(outer, tk, ti, tj)
    else:
        s[tile].reorder(tk, ti, tj)
    s[tile].unroll(ti)
    s[tile].vectorize(tj)
    return lower_for_analysis(s, [a, b, c], TARGET)


def plain_tiled_matmul(m: int, n: int, k: int, rows: int, lanes: int) -> LoopNest:
    """The same without a stage for the tile: the compiler is to find that it fits the registers."""
    a, b = te.placeholder((m, k), name="A"), te.placeholder((k, n), name="B")
    r = te.reduce_axis((0, k), "k")
    c = te.compute((m, n), lambda i, j: te.sum(a[i, r] * b[r, j], axis=r), name="C")
    s = create_schedule(c)
    i, j = s[c].op.axis
    io, jo, ii, ji = s[c].tile(i, j, rows, lanes)
    s[c].reorder(io, jo, s[c].op.reduce_axis[0], ii, ji)
    s[c].unroll(ii)
    s[c].vectorize(ji)
    return lower_for_analysis(s, [a, b, c], TARGET)


def copy(rows: int, columns: int, is_transposed: bool = False, lanes: int = 16) -> LoopNest:
    """Elements moved, by vectors; those of a transposed array lie a row apart."""
    shape = (columns, rows) if is_transposed else (rows, columns)
    x = te.placeholder(shape, name="X")
    y = te.compute((rows, columns), lambda i, j: x[j, i] if is_transposed else x[i, j], name="Y")
    s = create_schedule(y)
    _, j = s[y].op.axis
    _, inner = s[y].split(j, lanes)
    s[y].vectorize(inner)
    return lower_for_analysis(s, [x, y], TARGET)


def cost(nest: LoopNest, threads: int = 1, constants: tuple[str, ...] = ()) -> NestCost:
    """What the analysis says of a nest."""
    return estimate_cost(nest, TARGET, threads, constants)
