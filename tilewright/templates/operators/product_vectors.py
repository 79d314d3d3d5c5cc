"""Products with a vector, or with a few: the matrix is streamed once, in whole vectors, however it lies."""

from __future__ import annotations

from typing import Any

from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.analytic import (
    FMA_LATENCY,
    FMA_PER_CYCLE,
    L1_SHARE,
    nearest,
)
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.epilogue import apply_epilogue
from tilewright.templates.operators.lanes import compute_lanes, halve_lanes
from tilewright.templates.operators.product import Product, up_to

DOT_ROWS = (1, 2, 3, 4, 6, 8)
DOT_VECTORS = (1, 2, 4, 8)
STREAM_VECTORS = (1, 2, 3, 4, 6, 8)
STREAM_DEPTHS = (4, 8, 16, 32, 64, 128)
STREAM_BLOCKS = (256, 512, 1024, 2048, 4096, 8192)
# Rows of a matrix that are read side by side: more than hide the arithmetic, no more than prefetchers follow.
STREAMS = 16


def is_few(product: Product, lanes: int) -> bool:
    """Whether one side of the result is so short that a register tile would waste its lanes or its rows."""
    return min(product.m, product.n) <= max(1, lanes // 2)


def is_long_down(product: Product) -> bool:
    """Whether the rows of A are many, and its columns of B few."""
    return product.n <= product.m


def choose_form(product: Product, lanes: int) -> str:
    """How the product is computed: ``tiles``, or for a few vectors ``dot`` or ``stream``.

    ``dot`` where the matrix lies along the reduction: lanes of partial sums. ``stream`` where it lies along
    the result: a few of its rows at a time are added to a block of the result.
    """
    if not is_few(product, lanes):
        return "tiles"
    down = is_long_down(product)
    along = _lies_along_k(product, is_a=down)
    if along and product.k >= lanes:
        return "dot"
    if along or (down and product.n > 1):
        return "tiles"
    return "stream"


def _lies_along_k(product: Product, is_a: bool) -> bool:
    if is_a:
        return not product.transpose_a or product.m == 1
    return product.transpose_b or product.n == 1


def _sides(product: Product) -> tuple[int, int]:
    """The long extent and the short one."""
    return max(product.m, product.n), min(product.m, product.n)


def default_dot(product: Product, target: Target, threads: int) -> dict[str, Any]:
    """Enough partial sums to hide the latency of a multiply-add."""
    long, short = _sides(product)
    rows = nearest([r for r in DOT_ROWS if r <= long], max(2, FMA_LATENCY // short))
    wanted = -(-FMA_LATENCY * FMA_PER_CYCLE // (rows * short))
    lanes, registers = target.lanes(product.item), target.vector_registers
    fitting = [v for v in _dot_vectors(product, lanes) if _fits_dot(rows, v, short, registers)]
    if not fitting:
        rows, fitting = 1, [1]
    return {"rows": rows, "vectors": nearest(fitting, wanted), "unroll_k": 1}


def _dot_vectors(product: Product, lanes: int) -> list[int]:
    return [v for v in DOT_VECTORS if v == 1 or v * lanes <= product.k]


def _fits_dot(rows: int, vectors: int, short: int, registers: int) -> bool:
    """Whether the sums, the vectors that rows share and one of the matrix fit; one sum each always does."""
    return rows * vectors == 1 or (rows * short + short) * vectors + 1 <= registers


def define_dot(cfg: TemplateConfig, product: Product) -> None:
    """The knobs of ``dot``."""
    long, short = _sides(product)
    registers = cfg.target.vector_registers
    cfg.define_knob("rows", [r for r in DOT_ROWS if r <= long])
    cfg.define_knob("vectors", _dot_vectors(product, cfg.target.lanes(product.item)))
    cfg.define_knob("unroll_k", [1, 2, 4])
    cfg.constrain(("rows", "vectors"), lambda r, v: _fits_dot(r.val, v.val, short, registers))


def schedule_dot(cfg: TemplateConfig, product: Product) -> tuple[Schedule, list[Tensor]]:
    """Lanes of partial sums over k, several rows at a time; the lanes are then added in halves."""
    define_dot(cfg, product)
    a, b, c = product.tensors()
    finished = apply_epilogue(c, product.epilogue)
    output = finished.output
    s = create_schedule(output)
    lanes = cfg.target.lanes(product.item)
    partial = halve_lanes(s, c, lanes, cfg["vectors"].val)
    block = _split_rows(s, cfg, product, output)
    if output is not c:
        s[c].compute_at(s[output], block)
        s[c].unroll(s[c].op.axis[-1])
        s[c].unroll(s[c].op.axis[-2])
    for stage in partial:
        s[stage].compute_at(s[output], block)
        compute_lanes(s, stage, cfg["unroll_k"].val if stage is partial[0] else 0)
    _pack_few(s, product, (a, b), partial[0], lanes)
    return s, [a, b, *finished.operands, output]


def _split_rows(s: Schedule, cfg: TemplateConfig, product: Product, output: Tensor) -> IterVar:
    """The loop over groups of rows, which threads share; inside, vectors where the result is contiguous."""
    stage = s[output]
    *batch, i, j = stage.op.axis
    long, short = (i, j) if is_long_down(product) else (j, i)
    outer, inner = stage.split(long, cfg["rows"].val)
    is_whole = not stage.op.reduce_axis
    wide = j if product.n > 1 and is_long_down(product) else inner
    narrow = short if wide is inner else inner
    stage.reorder(*batch, outer, narrow, wide, *stage.op.reduce_axis)
    stage.parallel(_shared_loop(cfg, [*batch, outer]))
    stage.unroll(narrow)
    if is_whole:
        stage.vectorize(wide)
    else:
        stage.unroll(wide)
        stage.unroll(stage.op.reduce_axis[0])
    return outer


def _shared_loop(cfg: TemplateConfig, loops: list[IterVar]) -> IterVar:
    """The loop that threads share: the batch where it is long enough; fused, tails would be copied."""
    return next((loop for loop in loops if loop.extent >= cfg.threads), loops[-1])


def _pack_few(
    s: Schedule, product: Product, operands: tuple[Tensor, Tensor], reader: Tensor, lanes: int
) -> None:
    """Copy the few vectors so that each lies along k, where they do not."""
    down = is_long_down(product)
    if _lies_along_k(product, is_a=not down):
        return
    before = product.batch is not None
    dimension = int(before)  # both kinds of matrix that do not lie along k have it first
    packed = s.pack(operands[1] if down else operands[0], reader, {dimension: lanes})
    s[packed].vectorize(s[packed].op.axis[-1])


def default_stream(product: Product, target: Target, threads: int) -> dict[str, Any]:
    """Blocks of the result that stay in the first cache, one a thread or more."""
    long, short = _sides(product)
    lanes, item = target.lanes(product.item), product.item
    share = -(-long // -(-threads // (product.batch or 1)))
    most = max(1, int(L1_SHARE * target.l1_bytes) // (item * short))
    blocks = up_to(STREAM_BLOCKS, long)
    vectors = [v for v in _stream_vectors(product, lanes) if _fits_stream(v, short, target.vector_registers)]
    return {
        "vectors": nearest(vectors, -(-FMA_LATENCY * FMA_PER_CYCLE // short)),
        "block": nearest([v for v in blocks if v <= most] or blocks[:1], share),
        "block_k": nearest(up_to(STREAM_DEPTHS, product.k), STREAMS),
        "unroll_k": 0,
    }


def _stream_vectors(product: Product, lanes: int) -> list[int]:
    return [v for v in STREAM_VECTORS if v <= -(-max(product.m, product.n) // lanes)]


def _fits_stream(vectors: int, short: int, registers: int) -> bool:
    return vectors == 1 or (short + 1) * vectors + 1 <= registers


def define_stream(cfg: TemplateConfig, product: Product) -> None:
    """The knobs of ``stream``."""
    long, short = _sides(product)
    registers = cfg.target.vector_registers
    cfg.define_knob("vectors", _stream_vectors(product, cfg.target.lanes(product.item)))
    cfg.define_knob("block", up_to(STREAM_BLOCKS, long))
    cfg.define_knob("block_k", up_to(STREAM_DEPTHS, product.k))
    cfg.define_knob("unroll_k", [0, 1, 2, 4])
    cfg.constrain(("vectors",), lambda vectors: _fits_stream(vectors.val, short, registers))
    cfg.constrain(("block_k", "unroll_k"), lambda k, unroll: unroll.val > 0 or k.val <= STREAM_DEPTHS[2])


def schedule_stream(cfg: TemplateConfig, product: Product) -> tuple[Schedule, list[Tensor]]:
    """A block of the result stays in the cache while a few rows of the matrix at a time are added to it."""
    define_stream(cfg, product)
    a, b, c = product.tensors()
    finished = apply_epilogue(c, product.epilogue)
    output = finished.output
    s = create_schedule(output)
    columns = cfg["vectors"].val * cfg.target.lanes(product.item)
    depth, _ = s[c].split(s[c].op.reduce_axis[0], cfg["block_k"].val)
    block, long, short = _split_long(s, cfg, product, output)
    if output is not c:
        vectors, lane = s[output].split(long, columns)
        s[output].reorder(block, short, vectors, lane)
        s[output].vectorize(lane)
        s[c].compute_at(s[output], block)
        *_, i, j = s[c].op.axis
        long, short = (i, j) if is_long_down(product) else (j, i)
    across, lane = s[c].split(long, columns)
    s[c].reorder(depth, across, short, lane)
    # Rows of a register tile are padded to vectors, which a column's rows of one element must not be.
    scope = "call" if is_long_down(product) else "register"
    tile = s.cache_inplace(c, scope, axis=depth)
    s[tile].compute_at(s[c], across)
    _compute_strip(s, product, tile, cfg["unroll_k"].val)
    s[c].unroll(short)
    s[c].vectorize(lane)
    return s, [a, b, *finished.operands, output]


def _split_long(
    s: Schedule, cfg: TemplateConfig, product: Product, output: Tensor
) -> tuple[IterVar, IterVar, IterVar]:
    """The parallel loop over blocks of the long side; the loops over a block and over the short side."""
    stage = s[output]
    *batch, i, j = stage.op.axis
    long, short = (i, j) if is_long_down(product) else (j, i)
    block, inner = stage.split(long, cfg["block"].val)
    stage.reorder(*batch, block, short, inner)
    stage.parallel(_shared_loop(cfg, [*batch, block]))
    return block, inner, short


def _compute_strip(s: Schedule, product: Product, tile: Tensor, unroll_k: int) -> None:
    (*_, i, j), (r,) = s[tile].op.axis, s[tile].op.reduce_axis
    long, short = (i, j) if is_long_down(product) else (j, i)
    s[tile].reorder(r, short, long)
    s[tile].unroll(r, unroll_k)
    s[tile].unroll(short)
    s[tile].vectorize(long)
