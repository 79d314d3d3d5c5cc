"""Products in tiles that the processor multiplies whole, against the meaning of the intrinsic."""

from __future__ import annotations

import re

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from tilewright.compiler import amx, te
from tilewright.compiler.amx import TileProduct, multiplies_tiles, tile_product
from tilewright.compiler.backends.interpreter import interpret
from tilewright.compiler.backends.llvm_jit import emit_assembly
from tilewright.compiler.build import compile_program, lower_for_target, lower_program, write_llvm
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Expr, IterVar

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


def products_of(shape: tuple[int, int, int, int], dtypes: Dtypes, count: int) -> Program:
    """Several products, the doubles of one written while the next is computed."""
    rows, columns, depth, part = shape
    a = te.placeholder((count, depth, rows, 16), "int32", name="A")
    b = te.placeholder((depth, 16, columns), "int32", name="B")
    q, r = te.reduce_axis((0, depth), "q"), te.reduce_axis((0, 16), "r")

    def element(p: IterVar, i: IterVar, j: IterVar) -> Expr:
        return te.sum(te.dot(a[p, q, i, r], b[q, r, j], dtypes), axis=(q, r))

    c = te.compute((count, rows, columns), element, name="C")
    y = te.compute((count, rows, columns), lambda p, i, j: c[p, i, j] * 2, name="Y")
    s = create_schedule(y)
    s[c].compute_at(s[y], y.op.axis[0])
    product = TileProduct(rows, columns, depth, part, dtypes, has_turns=True)
    s[c].tensorize(c.op.axis[1], tile_product(product))
    s[y].software_pipeline(y.op.axis[0], [c])
    return Program.from_json(Program.from_schedule(s, [a, b, y]).to_json())


@pytest.mark.skipif(not HAS_TILES, reason="needs AMX")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtypes", [("uint8", "int8"), HALVES])
def test_each_row_is_written_at_one_turn_of_the_next_product(
    dtypes: Dtypes, shape: tuple[int, int, int, int]
) -> None:
    rows, columns, depth, _ = shape
    x, y = draw((3, depth, rows, 16), dtypes, 0), draw((depth, 16, columns), dtypes, 1)
    expected = 2 * np.einsum("nqirp,qrjp->nij", parts_of_words(x, dtypes[0]), parts_of_words(y, dtypes[1]))
    found = load_kernel(compile_program(products_of(shape, dtypes, 3), Target.host()))(x, y)
    if dtypes == HALVES:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.skipif(not IS_X86, reason="names of x86 CPUs")
def test_rows_are_written_between_the_instructions_of_a_step() -> None:
    target = Target.named("sapphirerapids")
    program = products_of((64, 32, 4, 4), ("uint8", "int8"), 3)
    assert "meanwhile" in str(lower_for_target(program, target))
    text, full = write_llvm(program, target, 1)
    assembly = emit_assembly(text.text, target, full, text.linked)
    steps = re.findall(r"tdpbusd[^\n]*%tmm0\n(.*?)tdpbusd[^\n]*%tmm1\n", assembly, flags=re.DOTALL)
    # The first call has nothing to write beside it.
    assert [step.count("%zmm") > 0 for step in steps] == [False, True]


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
