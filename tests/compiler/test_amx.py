"""Products in tiles that the processor multiplies whole, against the meaning of the intrinsic."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from tilewright.compiler import amx, te
from tilewright.compiler.amx import TileProduct, multiplies_tiles, tile_product
from tilewright.compiler.backends.interpreter import interpret
from tilewright.compiler.backends.llvm_jit import emit_assembly
from tilewright.compiler.build import compile_program, lower_program, write_llvm
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target

Dtypes = tuple[str, str]
BYTES = [(a, b) for a in ("int8", "uint8") for b in ("int8", "uint8")]
HALVES = ("bfloat16", "bfloat16")
HAS_TILES = all(multiplies_tiles(Target.host(), dtypes) for dtypes in (*BYTES, HALVES))
IS_X86 = Target.host().architecture == "x86_64"
# Whole blocks of rows, half a block, both; a reduction in one part, in even and in uneven ones.
SHAPES = [(32, 32, 4, 4), (16, 32, 1, 1), (16, 16, 3, 2), (80, 16, 5, 2), (96, 32, 4, 1)]


def product_of(shape: tuple[int, int, int, int], dtypes: Dtypes, prefetches: bool = False) -> Program:
    """A product of one call."""
    rows, columns, depth, part = shape
    a = te.placeholder((depth, rows, 16), "int32", name="A")
    b = te.placeholder((depth, 16, columns), "int32", name="B")
    q, r = te.reduce_axis((0, depth), "q"), te.reduce_axis((0, 16), "r")
    c = te.compute(
        (rows, columns), lambda i, j: te.sum(te.dot(a[q, i, r], b[q, r, j], dtypes), axis=(q, r)), name="C"
    )
    s = create_schedule(c)
    product = TileProduct(rows, columns, depth, part, dtypes, prefetches=prefetches)
    s[c].tensorize(c.op.axis[0], tile_product(product))
    return Program.from_json(Program.from_schedule(s, [a, b, c]).to_json())


def draw(shape: tuple[int, ...], dtypes: Dtypes, seed: int) -> npt.NDArray[np.int32]:
    """Words of any bytes, or of numbers below 1."""
    rng = np.random.default_rng(seed)
    if dtypes != HALVES:
        return rng.integers(-(1 << 31), 1 << 31, shape, dtype=np.int64).astype(np.int32)
    numbers = rng.uniform(-1, 1, (*shape[:-1], 2 * shape[-1])).astype(ml_dtypes.bfloat16)
    return numbers.view(np.int32)


def parts_of_words(words: npt.NDArray[np.int32], dtype: str) -> npt.NDArray[np.float64]:
    """The numbers of each word, along one more dimension."""
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    return np.ascontiguousarray(words[..., None]).view(kind).astype(np.float64)


@pytest.mark.skipif(not HAS_TILES, reason="needs AMX")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtypes", [*BYTES, HALVES])
@pytest.mark.parametrize("prefetches", [False, True])
def test_tiles_are_multiplied_as_their_words_are(
    dtypes: Dtypes, shape: tuple[int, int, int, int], prefetches: bool
) -> None:
    rows, columns, depth, _ = shape
    x, y = draw((depth, rows, 16), dtypes, 0), draw((depth, 16, columns), dtypes, 1)
    program = product_of(shape, dtypes, prefetches)
    a, b = parts_of_words(x, dtypes[0]), parts_of_words(y, dtypes[1])
    expected = np.einsum("qirp,qrjp->ij", a, b)
    kernel = load_kernel(compile_program(program, Target.host()))
    before = np.full((rows, columns), 7, np.float32 if dtypes == HALVES else np.int32)
    found = kernel(x, y, out=before)
    if dtypes == HALVES:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
    else:
        np.testing.assert_array_equal(found, expected)
    if rows <= 16:
        np.testing.assert_allclose(
            interpret(lower_program(program), [x, y])[0], expected, rtol=1e-5, atol=1e-4
        )


@pytest.mark.skipif(not IS_X86, reason="names of x86 CPUs")
@pytest.mark.parametrize("dtypes", [*BYTES, HALVES])
def test_a_cpu_with_tiles_gets_its_instructions(dtypes: Dtypes) -> None:
    target = Target.named("sapphirerapids")
    assert multiplies_tiles(target, dtypes)
    text, full = write_llvm(product_of((80, 32, 4, 2), dtypes), target, 1)
    lines = [line.split() for line in emit_assembly(text.text, target, full, text.linked).splitlines()]
    names = [line[0] for line in lines if line]
    # A block of two rows of tiles and one of a single row, each for the first part and for others.
    assert names.count(amx.instruction_of(dtypes)) == 2 * (4 + 2)
    assert names.count("ldtilecfg") == names.count("tilerelease") == 1


@pytest.mark.skipif(not IS_X86, reason="names of x86 CPUs")
@pytest.mark.parametrize(("rows", "lines"), [(32, 32), (64, 16), (80, 11)])
def test_blocks_of_rows_share_the_next_panel(rows: int, lines: int) -> None:
    target = Target.named("sapphirerapids")
    text, full = write_llvm(product_of((rows, 32, 4, 4), HALVES, prefetches=True), target, 1)
    names = [
        line.split()[0]
        for line in emit_assembly(text.text, target, full, text.linked).splitlines()
        if line.split()
    ]
    # 80 rows are two blocks, which share code, and half a one.
    assert names.count("prefetcht1") == lines * (1 + (rows % 32 > 0))


@pytest.mark.skipif(not IS_X86, reason="names of x86 CPUs")
@pytest.mark.parametrize("cpu", ["icelake-server", "znver4", "haswell"])
def test_other_cpus_have_no_tiles(cpu: str) -> None:
    assert not multiplies_tiles(Target.named(cpu), ("uint8", "int8"))
    assert not multiplies_tiles(Target.named("sapphirerapids", ("-amx-int8",)), ("uint8", "int8"))
    assert not multiplies_tiles(Target.named("sapphirerapids"), ("float16", "float16"))
