"""The primitives as values: a schedule is the list of its steps, and replaying them gives it again.

Each class draws its rewrite. Stages and axes are referred to by name, so a step is plain data.
"""

from __future__ import annotations

import msgspec

from tilewright.compiler.te.tensor_intrin import TensorIntrin


class Split(msgspec.Struct, frozen=True, tag="split", tag_field="kind"):
    """Replace a loop by two; the factor need not divide the extent.

    ::

        for i in range(n):  ->  for i.outer in range(ceil(n / factor)):
            body(i)                 for i.inner in range(factor):
                                        if i.outer * factor + i.inner < n: body(...)

    Lowering turns the test into loop bounds. With ``nparts`` the outer loop's extent is given instead.
    ``tail`` says what becomes of the last, partial block instead (the names are those of Halide's tail
    strategies): ``shift_inwards`` moves it back so that it ends at the end, and computes some elements twice;
    ``guard`` keeps the loops whole and tests where elements are stored.
    """

    stage: str
    axis: str
    factor: int | None = None
    nparts: int | None = None
    tail: str = ""


class Fuse(msgspec.Struct, frozen=True, tag="fuse", tag_field="kind"):
    """Replace two nested loops by one over their product.

    ::

        for i in range(n):      ->  for i.j.fused in range(n * m):
            for j in range(m):          body(i.j.fused // m, i.j.fused % m)
                body(i, j)
    """

    stage: str
    outer: str
    inner: str


class Reorder(msgspec.Struct, frozen=True, tag="reorder", tag_field="kind"):
    """Put the named loops into the given order, in the places that they hold together."""

    stage: str
    axes: tuple[str, ...]


class Annotate(msgspec.Struct, frozen=True, tag="annotate", tag_field="kind"):
    """Say how a loop runs: ``vectorize``, ``unroll`` or ``parallel``.

    ``factor`` is an unrolled loop's number of copies: 0 for all, 1 for *rolled and never undone*.
    """

    stage: str
    axis: str
    how: str
    factor: int = 0


class RoundUp(msgspec.Struct, frozen=True, tag="round_up", tag_field="kind"):
    """Compute as much of an axis as whole tiles of the reader ask for, past the tensor's end too.

    ::

        for p in range(3):                             ->  for p in range(3):
            for f in range(min(4, 10 - 4 * p)):                for f in range(4):
                T[f] = sum(W[4 * p + f, k])                        T[f] = sum(W[4 * p + f, k])
            for f ... if 4 * p + f < 10: Y[4 * p + f] = T[f]   for f ... if 4 * p + f < 10: Y[...] = T[f]

    An axis that the stage itself splits is computed by whole tiles of that split, too. What is read there
    must exist: an operand packed with ``pad`` does.
    """

    stage: str
    axis: str


class Trim(msgspec.Struct, frozen=True, tag="trim", tag_field="kind"):
    """End the loops of a reduction where the ``where`` of its steps fails for all that is computed inside.

    ::

        for i in range(n):                             ->  for i in range(n):
            for k in range(n):                                 for k in range(min(n, i + 1)):
                y[i] += select(k < i + 1, f(i, k), 0)              y[i] += select(k < i + 1, f(i, k), 0)

    Stages that are computed inside another's loops compute no more than these steps read, rounded up to whole
    vectors. (Halide's pass of that name, ``trim_no_ops``, does so unasked.)
    """

    stage: str


class Outline(msgspec.Struct, frozen=True, tag="outline", tag_field="kind"):
    """Turn the body of a loop into one function, shared by all bodies of the same structure."""

    stage: str
    axis: str


class LoopPartition(msgspec.Struct, frozen=True, tag="loop_partition", tag_field="kind"):
    """Peel a loop's tail, so that the loops inside have constant extents.

    ::

        for o in range(5):                         ->  for o in range(4):
            for i in range(min(4, 17 - 4 * o)):            for i in range(4): body
                body                                   for i in range(1): body  # o = 4
    """

    stage: str
    axis: str


class ComputeAt(msgspec.Struct, frozen=True, tag="compute_at", tag_field="kind"):
    """Compute a stage inside a loop of one of its readers, just the region that the loop's body reads."""

    stage: str
    reader: str
    axis: str


class ComputeInline(msgspec.Struct, frozen=True, tag="compute_inline", tag_field="kind"):
    """Replace every read of a stage by its body."""

    stage: str


class ComputeRoot(msgspec.Struct, frozen=True, tag="compute_root", tag_field="kind"):
    """Compute a stage whole, ahead of its readers."""

    stage: str


class CacheRead(msgspec.Struct, frozen=True, tag="cache_read", tag_field="kind"):
    """Give readers a copy of a tensor, a stage of its own.

    ::

        C[i] = A[i]  ->  A.scope[i] = A[i]
                         C[i] = A.scope[i]

    With ``tile`` (dimension, factor pairs) the copy is packed: stored as the tiles' outer indices, the
    untiled dimensions, then the indices inside the tiles, as in ``B[k, n] -> B.scope[n // 16][k][n % 16]``.
    With ``pad`` the copy's dimensions are rounded up to whole tiles, which end with zeros.
    """

    stage: str
    scope: str
    readers: tuple[str, ...]
    tile: tuple[tuple[int, int], ...] = ()
    suffix: str = ""
    pad: bool = False


class CacheWrite(msgspec.Struct, frozen=True, tag="cache_write", tag_field="kind"):
    """Compute into a new stage; the old one copies from it.

    ::

        C[i] = sum(A[i, k], axis=k)  ->  C.scope[i] = sum(A[i, k], axis=k)
                                         C[i] = C.scope[i]
    """

    stage: str
    scope: str


class CacheInplace(msgspec.Struct, frozen=True, tag="cache_inplace", tag_field="kind"):
    """Accumulate across an outer reduction loop through a cache that is read back from the stage.

    ::

        for ko:                     ->  for ko:
            for i:                          for i: C.scope[i] = 0 if ko == 0 else C[i]
                for ki:                     for i:
                    C[i] += f(ko, ki)           for ki: C.scope[i] += f(ko, ki)
                                            for i: C[i] = C.scope[i]

    Reduction loops up to ``axis`` stay with the stage; those inside it move to the cache.
    """

    stage: str
    scope: str
    axis: str


class DecomposeReduction(msgspec.Struct, frozen=True, tag="decompose_reduction", tag_field="kind"):
    """Initialise a reduction just ahead of the loop ``axis``, not of its outermost reduction loop."""

    stage: str
    axis: str


class Rfactor(msgspec.Struct, frozen=True, tag="rfactor", tag_field="kind"):
    """Make a reduction loop a dimension of a new stage, which reduces over the others.

    ::

        B[i] = sum(f(i, ko, ki), axis=(ko, ki))  ->  B.rf[ki, i] = sum(f(i, ko, ki), axis=ko)
                                                     B[i] = sum(B.rf[ki, i], axis=ki)

    ``axis`` is the loop ``ki``; ``factor_axis`` is the place of the new dimension.
    """

    stage: str
    axis: str
    factor_axis: int = 0


class Pragma(msgspec.Struct, frozen=True, tag="pragma", tag_field="kind"):
    """Say how the loops inside a loop are to be unrolled, such as ``auto_unroll_max_step=16``.

    ::

        for i in range(n):          ->  for i in range(n):
            for j in range(3):              body(0, 0); body(0, 1); ...; body(2, 3)
                for k in range(4):
                    body(j, k)

    ``pragma_type`` is one of those in ``schedule/pragmas.py``; some are accepted and have no effect.
    """

    stage: str
    axis: str
    pragma_type: str
    pragma_value: int | bool | str | None = None


class Prefetch(msgspec.Struct, frozen=True, tag="prefetch", tag_field="kind"):
    """Bring to the caches what a loop's body will read of a tensor ``offset`` iterations later.

    ::

        for i in range(n):  ->  for i in range(n):
            body(A[i, 0:m])         prefetch(A[i + offset, 0]); prefetch(A[i + offset, 16]); ...
                                    body(A[i, 0:m])

    They come to the cache of ``level``. With ``over``, a loop around of the stage ``over_stage``, each of its
    iterations brings a share, so that all of them, if they are a power of two, bring everything once.
    """

    stage: str
    tensor: str
    axis: str
    offset: int
    level: int = 1
    over_stage: str = ""
    over: str = ""


class StorageAlign(msgspec.Struct, frozen=True, tag="storage_align", tag_field="kind"):
    """Space a scratch buffer's rows so that ``stride % factor == offset`` for the dimension of ``axis``.

    ::

        B = alloc((4, 60))  ->  B = alloc((4, 60), strides=(65, 1))  # factor 64, offset 1, axis 0
    """

    stage: str
    axis: str
    factor: int
    offset: int


class StoreNontemporal(msgspec.Struct, frozen=True, tag="store_nontemporal", tag_field="kind"):
    """Write an output past the caches, whole aligned vectors at a time.

    ::

        B = argument((1024,), float32)  ->  B = argument((1024,), float32, nontemporal)

    Vectors whose alignment does not follow from the loops are stored as before, and so is everything where
    a call's array is not aligned to a cache line.
    """

    stage: str


class Tensorize(msgspec.Struct, frozen=True, tag="tensorize", tag_field="kind"):
    """Replace the loops from ``axis`` inwards by one call of an intrinsic.

    ::

        for ko:                                 ->  for ko:
            for ji in range(8):                         gemv(&A[4 * ko], 1, &B[0, 4 * ko], 4, 1, &C[0], 1)
                for ki in range(4):
                    C[ji] += A[4*ko+ki] * B[ji, 4*ko+ki]

    The intrinsic's meaning and its LLVM IR travel in the step.
    """

    stage: str
    axis: str
    intrin: TensorIntrin


class SoftwarePipeline(msgspec.Struct, frozen=True, tag="software_pipeline", tag_field="kind"):
    """Let an iteration of a loop compute each group of the stages inside for another of its iterations.

    ::

        for i in range(n):  ->  for i in range(n + 1):
            B = f(A[i])             C[i - 1] = g(B)   # where there is such an iteration
            C[i] = g(B)             B = f(A[i])
    """

    stage: str
    axis: str
    groups: tuple[tuple[str, ...], ...]


Step = (
    Split
    | Fuse
    | Reorder
    | Annotate
    | RoundUp
    | Trim
    | Outline
    | LoopPartition
    | ComputeAt
    | ComputeInline
    | ComputeRoot
    | CacheRead
    | CacheWrite
    | CacheInplace
    | DecomposeReduction
    | Rfactor
    | Pragma
    | Prefetch
    | StorageAlign
    | StoreNontemporal
    | Tensorize
    | SoftwarePipeline
)
